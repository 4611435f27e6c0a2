//! `karst-interop decode`.

use anyhow::Context;
use clap::Args;
use engine::crypt::Cipher;
use interop::decode::{Decode, DecodeError, Outputs};
use sim::record::Recording;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufWriter, Write, stdout};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Args)]
pub(crate) struct DecodeArgs {
    /// Capture: pcap or pcapng, of UDP or forged TCP
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Key of the programs
    #[arg(long, value_name = "KEY")]
    key: OsString,
    /// Cipher; all are tried without this option
    #[arg(long, value_name = "NAME", value_parser = cipher)]
    crypt: Option<Cipher>,
    /// Print one JSON object per line: datagrams, flows, sessions, streams, totals
    #[arg(long)]
    json: bool,
    /// Leave out the datagrams
    #[arg(long)]
    summary: bool,
    /// Also write a capture with decrypted payloads, and the layers as comments
    #[arg(long, value_name = "FILE")]
    pcapng: Option<PathBuf>,
    /// Also write a page of charts
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub(super) fn cipher(name: &str) -> Result<Cipher, String> {
    let names: Vec<&str> = Cipher::ALL.iter().map(|cipher| cipher.name()).collect();
    Cipher::from_name(name).ok_or_else(|| format!("one of {}", names.join(", ")))
}

impl DecodeArgs {
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        let create = |path: &PathBuf| {
            File::create(path).map(BufWriter::new).with_context(|| format!("writing {}", path.display()))
        };
        let mut pcapng = self.pcapng.as_ref().map(create).transpose()?;
        let mut recording =
            self.html.is_some().then(|| Recording { header: Default::default(), events: Vec::new() });
        let mut text = BufWriter::new(stdout().lock());
        let outputs = Outputs {
            text: &mut text,
            pcapng: pcapng.as_mut().map(|out| out as &mut dyn Write),
            recording: recording.as_mut(),
        };
        let decode = Decode {
            key: self.key.clone().into_vec(),
            cipher: self.crypt,
            json: self.json,
            summary: self.summary,
        };
        let done = decode.run(&self.file, outputs);
        if let (Some(path), Some(recording)) = (&self.html, &recording)
            && !matches!(done, Err(DecodeError::Open { .. }))
        {
            write(path, &reports::recording_page(recording))?;
        }
        match done {
            Ok(done) if done.opened > 0 => Ok(ExitCode::SUCCESS),
            Ok(_) => anyhow::bail!("{}: no datagram opens with this key", self.file.display()),
            // The reader of a pipe left.
            Err(DecodeError::Write(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn write(path: &Path, page: &str) -> anyhow::Result<()> {
    std::fs::write(path, page).with_context(|| format!("writing {}", path.display()))
}
