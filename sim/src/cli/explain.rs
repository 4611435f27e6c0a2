//! `karst-sim explain`.

use super::record::recorded;
use super::{load, settings, to_stdout};
use anyhow::{Context, ensure};
use settings::Setting;
use sim::Side;
use sim::record::Recording;
use sim::tools::explain::{Only, Subject, contents, explain};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// Length of the head of a file that distinguishes a recording from a scenario.
const HEAD_BYTES: u64 = 64;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A scenario file, or a recording (`karst-sim run --events`).
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Seed of a scenario, instead of its own.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Set this value in a scenario, such as client.mode=fast3.
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<Setting>,
    #[command(flatten)]
    selector: Selector,
    /// Restrict to segments and streams sent by this side: client or server.
    #[arg(long, value_name = "SIDE", value_parser = side)]
    side: Option<Side>,
    /// Restrict to this session, numbered from 0 in the order of dialling.
    #[arg(long, value_name = "D")]
    session: Option<u32>,
    /// Milliseconds before and after --at.
    #[arg(long, value_name = "MS", default_value = "20", value_parser = millis, requires = "at")]
    around: u64,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Selector {
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
    let subject = match args.selector {
        Selector { stream: Some(stream), .. } => Subject::Stream(stream),
        Selector { sn: Some(sn), .. } => Subject::Segment(sn),
        Selector { at, .. } => Subject::Moment { at_us: at.unwrap_or(0), around_us: args.around },
    };
    let only = Only { side: args.side, session: args.session };
    let recording = recording(args)?;
    let text = explain(&recording, subject, only).with_context(|| {
        let contents = contents(&recording, subject, only);
        format!("{}: the run does not contain it; {contents}", args.run.display())
    });
    to_stdout(&text?)?;
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
    let mut head = Vec::new();
    let file = File::open(path).with_context(|| path.display().to_string())?;
    file.take(HEAD_BYTES).read_to_end(&mut head).with_context(|| path.display().to_string())?;
    Ok(Recording::is_one(&String::from_utf8_lossy(&head)))
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
