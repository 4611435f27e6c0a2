//! `karst-interop`: golden replay, live matrix, and emulated networks in real time.

mod commands;

use anyhow::Context;
use clap::{ArgAction, Args, Parser, Subcommand};
use commands::{
    DecodeArgs, DiffArgs, JudgeArgs, MatrixArgs, NetnsArgs, ProbeArgs, RealityArgs, RelayArgs, RelayBenchArgs,
};
use interop::Program;
use interop::golden::{Report, find};
use interop::live::{MORE_SETTINGS, SETTINGS, Table, Work, matrix, with_mihomo};
use lab::mihomo;
use lab::peers::Peer;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

#[derive(Parser)]
#[command(
    name = "karst-interop",
    version,
    disable_version_flag = true,
    about = "Conformance of karst with kcptun"
)]
struct Cli {
    /// Print name and version
    #[arg(short = 'v', short_alias = 'V', long, action = ArgAction::Version)]
    version: (),
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Replay recorded captures and traces through the engine and compare
    Golden(GoldenArgs),
    /// Run clients against servers, and check every byte of the streams
    Live(LiveArgs),
    /// Present a capture in readable form: layers of each datagram, streams, losses and repairs
    Decode(DecodeArgs),
    /// Judge any clients with any servers: cases, controls, deliberate faults; results for the conformance page
    Matrix(Box<MatrixArgs>),
    /// Judge a tunnel whose programs run elsewhere, for launchers of `matrix`
    Judge(JudgeArgs),
    /// Play one end against a server or a client, and judge the requirements that show
    Probe(ProbeArgs),
    /// Play generated conversations against several servers, and list what differs
    Diff(DiffArgs),
    /// Forward UDP datagrams over the links of a scenario in real time
    Relay(RelayArgs),
    /// Benchmark the relay: datagrams per second, and added delay
    RelayBench(RelayBenchArgs),
    /// Join two network namespaces by the links of a scenario; run commands in them, or measure (root)
    Netns(NetnsArgs),
    /// Compare the simulator with real programs on the same scenarios, as a Markdown page
    Reality(RealityArgs),
}

#[derive(Args)]
struct GoldenArgs {
    /// Folders, searched recursively, or files
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// Also write the verdicts as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct LiveArgs {
    /// Client program; may be repeated [default: kcptun-client and mihomo of the PATH, karst-client next to this program]
    #[arg(long, value_name = "NAME=PATH[,FLAG...]")]
    client: Vec<String>,
    /// Server program; may be repeated [default: kcptun-server and mihomo of the PATH, karst-server next to this program]
    #[arg(long, value_name = "NAME=PATH[,FLAG...]")]
    server: Vec<String>,
    /// Run all settings (ciphers, modes, sizes) instead of the six of the tests
    #[arg(long)]
    all: bool,
    /// Run only cells whose name contains this text
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Concurrent streams
    #[arg(long, default_value_t = Work::default().streams)]
    streams: usize,
    /// Bytes of each stream in each direction
    #[arg(long, default_value_t = Work::default().stream_bytes)]
    stream_bytes: usize,
    /// Time limit of a cell, seconds
    #[arg(long, default_value_t = Work::default().limit.as_secs())]
    limit: u64,
    /// Also write the outcomes as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Golden(args) => golden(&args),
        Command::Live(args) => live(&args),
        Command::Decode(args) => args.run(),
        Command::Matrix(args) => args.run(),
        Command::Judge(args) => args.run(),
        Command::Probe(args) => args.run(),
        Command::Diff(args) => args.run(),
        Command::Relay(args) => args.run(),
        Command::RelayBench(args) => args.run(),
        Command::Netns(args) => args.run(),
        Command::Reality(args) => args.run(),
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
        eprintln!("no captures or traces found");
    }
    Ok(exit(report.is_success()))
}

fn live(args: &LiveArgs) -> anyhow::Result<ExitCode> {
    let found = Peer::find();
    let [clients, servers] = Program::of_peers(&found.peers);
    let mihomo = mihomo::find();
    if args.client.is_empty() || args.server.is_empty() {
        for missing in found.missing.iter().chain(mihomo.as_ref().err()) {
            eprintln!("SKIPPED {}: {}", missing.name, missing.reason);
        }
    }
    let work = Work {
        streams: args.streams,
        stream_bytes: args.stream_bytes,
        limit: Duration::from_secs(args.limit),
    };
    let settings = if args.all { [SETTINGS, MORE_SETTINGS].concat() } else { SETTINGS.to_vec() };
    let mut cells = matrix(
        &Program::given(&args.client, clients),
        &Program::given(&args.server, servers),
        &settings,
        work,
    );
    if let (Some(karst), Ok(mihomo), true, true) =
        (found.named("karst"), mihomo, args.client.is_empty(), args.server.is_empty())
    {
        cells.extend(with_mihomo(karst, mihomo, &settings, work));
    }
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

fn write_json(path: Option<&Path>, value: &Value) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let text = serde_json::to_string_pretty(value)? + "\n";
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

fn exit(green: bool) -> ExitCode {
    if green { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
