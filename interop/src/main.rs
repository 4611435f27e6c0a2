//! `karst-interop`: golden replay, live matrix, impairment relay.

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use interop::golden::{Report, find};
use interop::live::{MORE_SETTINGS, Program, Programs, SETTINGS, Table, Work, matrix};
use interop::relay::Relay;
use serde_json::Value;
use sim::Scenario;
use sim::link::{LinkPlan, LossPlan, ReorderPlan};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

#[derive(Parser)]
#[command(name = "karst-interop", version, about = "Conformance of karst with kcptun")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Replay recorded captures and traces through the engine and compare
    Golden(GoldenArgs),
    /// Run clients against servers, with streams whose every byte is checked
    Live(LiveArgs),
    /// Forward UDP datagrams and impair them
    Relay(RelayArgs),
}

#[derive(Args)]
struct GoldenArgs {
    /// Folders (searched with all their folders) or single files
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// Write the verdicts as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct LiveArgs {
    /// Client program; may be repeated [default: kcptun-client of the PATH, karst-client next to this program]
    #[arg(long, value_name = "NAME=PATH")]
    client: Vec<String>,
    /// Server program; may be repeated [default: kcptun-server of the PATH, karst-server next to this program]
    #[arg(long, value_name = "NAME=PATH")]
    server: Vec<String>,
    /// Every cipher, mode, and more, instead of the six settings of the tests
    #[arg(long)]
    all: bool,
    /// Run only the cells whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Streams at the same time
    #[arg(long, default_value_t = Work::default().streams)]
    streams: usize,
    /// Bytes of each stream in each direction
    #[arg(long, default_value_t = Work::default().stream_bytes)]
    stream_bytes: usize,
    /// Seconds after which a cell has failed
    #[arg(long, default_value_t = Work::default().limit.as_secs())]
    limit: u64,
    /// Write the outcomes as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
#[command(
    after_help = "One value counts for both directions; THERE,BACK sets them apart (there: towards the server)."
)]
struct RelayArgs {
    /// Address for clients
    #[arg(long)]
    listen: SocketAddr,
    /// Address of the server
    #[arg(long)]
    to: SocketAddr,
    /// Take both links from this scenario of the simulator: rate and queue, too
    #[arg(long, value_name = "FILE", conflicts_with_all = ["loss", "duplicate", "reorder", "reorder_by", "delay", "jitter"])]
    scenario: Option<PathBuf>,
    /// Percent lost, up to four decimals
    #[arg(long, default_value = "0", value_parser = percents)]
    loss: [u32; 2],
    /// Percent forwarded twice
    #[arg(long, default_value = "0", value_parser = percents)]
    duplicate: [u32; 2],
    /// Percent held back so that later ones overtake
    #[arg(long, default_value = "0", value_parser = percents)]
    reorder: [u32; 2],
    /// Milliseconds for which those are held back
    #[arg(long, default_value = "20", value_parser = millis)]
    reorder_by: [u32; 2],
    /// Milliseconds of delay of every datagram
    #[arg(long, default_value = "0", value_parser = millis)]
    delay: [u32; 2],
    /// Milliseconds of extra delay at most, without changing the order
    #[arg(long, default_value = "0", value_parser = millis)]
    jitter: [u32; 2],
    /// Seed of the decisions
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Golden(args) => golden(&args),
        Command::Live(args) => live(&args),
        Command::Relay(args) => relay(&args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("karst-interop: {error:#}");
        ExitCode::FAILURE
    })
}

fn golden(args: &GoldenArgs) -> anyhow::Result<ExitCode> {
    let report = Report(find(&args.dirs));
    println!("{report}");
    write_json(args.json.as_deref(), &report.to_json())?;
    if report.0.cases.is_empty() {
        eprintln!("no capture and no trace found");
    }
    Ok(exit(report.is_green()))
}

fn live(args: &LiveArgs) -> anyhow::Result<ExitCode> {
    let found = Programs::find();
    let given = |texts: &[String], found: Vec<Program>| {
        if texts.is_empty() { found } else { texts.iter().map(|text| Program::parse(text)).collect() }
    };
    if args.client.is_empty() || args.server.is_empty() {
        for missing in &found.missing {
            eprintln!("SKIPPED {}: {}", missing.name, missing.why);
        }
    }
    let work = Work {
        streams: args.streams,
        stream_bytes: args.stream_bytes,
        limit: Duration::from_secs(args.limit),
    };
    let settings = if args.all { [SETTINGS, MORE_SETTINGS].concat() } else { SETTINGS.to_vec() };
    let mut cells =
        matrix(&given(&args.client, found.clients), &given(&args.server, found.servers), &settings, work);
    cells.retain(|cell| cell.name().contains(&args.only));
    if cells.is_empty() {
        let settings: Vec<&str> = settings.iter().map(|setting| setting.name).collect();
        eprintln!("no cell to run (settings: {})", settings.join(", "));
    }
    let table = Table::run(&cells, |line| println!("{line}"));
    println!("{}", table.summary());
    write_json(args.json.as_deref(), &table.to_json())?;
    Ok(exit(table.failures() == 0 && !cells.is_empty()))
}

fn relay(args: &RelayArgs) -> anyhow::Result<ExitCode> {
    let plans = match &args.scenario {
        Some(path) => links(path)?,
        None => [0, 1].map(|at| args.link(at)),
    };
    let relay = Relay::start(args.listen, args.to, plans, args.seed)
        .with_context(|| format!("listening on {}", args.listen))?;
    println!("{} -> {}", relay.address(), args.to);
    relay.wait();
    Ok(ExitCode::SUCCESS)
}

/// The links of a scenario file.
fn links(path: &Path) -> anyhow::Result<[LinkPlan; 2]> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let scenario = Scenario::parse(&path.display().to_string(), &text)?;
    Ok([scenario.up, scenario.down])
}

impl RelayArgs {
    fn link(&self, at: usize) -> LinkPlan {
        LinkPlan {
            loss: LossPlan::Bernoulli { ppm: self.loss[at] }.into(),
            delay_us: u64::from(self.delay[at]).into(),
            jitter_us: u64::from(self.jitter[at]).into(),
            reorder: Some(
                ReorderPlan { ppm: self.reorder[at], extra_us: u64::from(self.reorder_by[at]) }.into(),
            ),
            duplicate_ppm: self.duplicate[at].into(),
            ..LinkPlan::default()
        }
    }
}

fn write_json(path: Option<&Path>, value: &Value) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let text = serde_json::to_string_pretty(value)? + "\n";
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

fn exit(green: bool) -> ExitCode {
    if green { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Percent as parts per million.
fn percents(text: &str) -> Result<[u32; 2], String> {
    let ppm = both(text, 10_000)?;
    if ppm.iter().all(|ppm| *ppm <= 1_000_000) { Ok(ppm) } else { Err("more than 100 percent".to_owned()) }
}

/// Milliseconds as microseconds.
fn millis(text: &str) -> Result<[u32; 2], String> {
    both(text, 1000)
}

/// One decimal number, or two with a comma between them, times `scale`.
fn both(text: &str, scale: u32) -> Result<[u32; 2], String> {
    let (there, back) = text.split_once(',').unwrap_or((text, text));
    Ok([scaled(there, scale)?, scaled(back, scale)?])
}

fn scaled(text: &str, scale: u32) -> Result<u32, String> {
    let value: f64 = text.trim().parse().map_err(|_| format!("{text:?} is not a number"))?;
    let scaled = (value * f64::from(scale)).round();
    if (0.0..=f64::from(u32::MAX)).contains(&scaled) {
        Ok(scaled as u32)
    } else {
        Err(format!("{text} is out of range"))
    }
}
