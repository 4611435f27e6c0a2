//! `karst-interop probe`.

use super::decode::cipher;
use anyhow::{Context, bail};
use clap::Args;
use engine::crypt::Cipher;
use engine::fec::Shape;
use interop::probe::{Settings, Table, junit, probe_client, probe_server};
use lab::probe::Probe;
use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub(crate) struct ProbeArgs {
    /// Server under test
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "client", required_unless_present = "client")]
    server: Option<String>,
    /// Address to which the server connects; the kit listens there. Without it, most checks are not measured
    #[arg(long, value_name = "ADDRESS:PORT", requires = "server")]
    target: Option<SocketAddr>,
    /// Command line of the client under test, with {server} and {listen} for the addresses
    #[arg(long, value_name = "CMD")]
    client: Option<String>,
    /// Key of the program
    #[arg(long, value_name = "KEY")]
    key: OsString,
    /// Its cipher
    #[arg(long, value_name = "NAME", default_value = "aes", value_parser = cipher)]
    crypt: Cipher,
    /// Its version of smux
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    smuxver: u8,
    /// It does not compress
    #[arg(long)]
    nocomp: bool,
    /// Each stream begins with an address, as shadowsocks without a cipher writes it: mihomo
    #[arg(long)]
    shadowsocks: bool,
    /// Data shards of the kit, 0 without FEC
    #[arg(long, value_name = "N", default_value_t = 10)]
    datashard: usize,
    /// Parity shards of the kit, 0 without FEC
    #[arg(long, value_name = "N", default_value_t = 3)]
    parityshard: usize,
    /// Run only checks whose words contain this text, or that have this id
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Name of the program in the results [default: its address or command]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Also write the verdicts, with datagrams, as JSON, an input of the conformance page
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write the page of conformance with these verdicts
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Also write the verdicts as JUnit
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

impl ProbeArgs {
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        let fec = match (self.datashard, self.parityshard) {
            (0, _) | (_, 0) => None,
            (data, parity) => Some(Shape::new(data, parity)?),
        };
        let settings = Settings {
            key: self.key.clone().into_vec(),
            cipher: self.crypt,
            smux: self.smuxver,
            nocomp: self.nocomp,
            fec,
            shadowsocks: self.shadowsocks,
        };
        let mut probe = match (&self.server, &self.client) {
            (Some(server), _) => {
                let resolved = server.to_socket_addrs().with_context(|| format!("--server {server}"))?.next();
                let address = resolved.with_context(|| format!("--server {server}: no address"))?;
                probe_server(address, self.target, &settings, &self.only).context("--target")?
            }
            (None, Some(client)) => probe_client(client, &settings, &self.only),
            (None, None) => bail!("--server or --client is needed"),
        };
        if let Some(name) = &self.name {
            probe.subject.clone_from(name);
        }
        println!("{}", Table(&probe));
        self.write(&probe)?;
        Ok(if probe.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn write(&self, probe: &Probe) -> anyhow::Result<()> {
        let write = |path: &Option<PathBuf>, text: &dyn Fn() -> anyhow::Result<String>| {
            path.as_ref().map_or(Ok(()), |path| {
                std::fs::write(path, text()?).with_context(|| format!("writing {}", path.display()))
            })
        };
        write(&self.json, &|| Ok(serde_json::to_string_pretty(probe)? + "\n"))?;
        write(&self.html, &|| Ok(reports::conformance_page(Vec::new(), vec![probe.clone()])))?;
        write(&self.junit, &|| Ok(junit(probe)))
    }
}
