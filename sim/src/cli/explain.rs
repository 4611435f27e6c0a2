//! `karst-sim explain`.

use super::record::recorded;
use super::{load, say, settings};
use anyhow::{Context, ensure};
use settings::Setting;
use sim::Side;
use sim::record::Recording;
use sim::tools::explain::{Only, Subject, explain};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// The part of a file that distinguishes a recording from a scenario.
const BEGINNING_BYTES: u64 = 64;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A scenario file, or a recording (`karst-sim run --events`).
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Of a scenario: use this seed instead of its own.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Of a scenario: use this value instead of the file's, such as client.mode=fast3.
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<Setting>,
    #[command(flatten)]
    what: What,
    /// Only segments and streams that this side sent: client or server.
    #[arg(long, value_name = "SIDE", value_parser = side)]
    side: Option<Side>,
    /// Only this session; they are numbered from 0 on, as they were dialled.
    #[arg(long, value_name = "D")]
    session: Option<u32>,
    /// With --at: how long before and after it.
    #[arg(long, value_name = "MS", default_value = "20", value_parser = millis, requires = "at")]
    around: u64,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Explain this stream: its events, and the delivery of its segments.
    #[arg(long, value_name = "N")]
    stream: Option<u32>,
    /// Explain this segment, by its KCP sequence number.
    #[arg(long, value_name = "N")]
    sn: Option<u32>,
    /// Explain the events around this moment, in milliseconds since the start.
    #[arg(long, value_name = "MS", value_parser = millis)]
    at: Option<u64>,
}

pub(crate) fn main(args: &Args) -> anyhow::Result<bool> {
    let subject = match args.what {
        What { stream: Some(stream), .. } => Subject::Stream(stream),
        What { sn: Some(sn), .. } => Subject::Segment(sn),
        What { at, .. } => Subject::Moment { at_us: at.unwrap_or(0), around_us: args.around },
    };
    let only = Only { side: args.side, session: args.session };
    let text = explain(&recording(args)?, subject, only);
    say(&text.with_context(|| format!("{}: there is no such thing in this run", args.run.display()))?)?;
    Ok(true)
}

fn recording(args: &Args) -> anyhow::Result<Recording> {
    if !is_recording(&args.run)? {
        let file = settings::apply(load(&args.run)?, &args.set)?;
        return recorded(&file, args.seed.unwrap_or(file.seed()));
    }
    let name = args.run.display().to_string();
    ensure!(
        args.seed.is_none() && args.set.is_empty(),
        "{name}: is a recording, whose seed and settings are fixed"
    );
    let file = File::open(&args.run).with_context(|| name.clone())?;
    Recording::read(BufReader::new(file)).with_context(|| name)
}

fn is_recording(path: &Path) -> anyhow::Result<bool> {
    let mut beginning = Vec::new();
    let file = File::open(path).with_context(|| path.display().to_string())?;
    file.take(BEGINNING_BYTES).read_to_end(&mut beginning).with_context(|| path.display().to_string())?;
    Ok(Recording::is_one(&String::from_utf8_lossy(&beginning)))
}

fn side(name: &str) -> Result<Side, String> {
    [Side::Client, Side::Server]
        .into_iter()
        .find(|side| side.name() == name)
        .ok_or_else(|| "must be client or server".into())
}

/// Milliseconds with up to three decimals, as microseconds.
fn millis(text: &str) -> Result<u64, String> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let valid = !whole.is_empty() && digits(whole) && digits(part) && part.len() <= 3;
    let us = valid.then(|| format!("{whole}{part:0<3}").parse().ok()).flatten();
    us.ok_or_else(|| "must be milliseconds with at most 3 decimals".into())
}
