//! karst-sim: plays scenario files and reports the outcomes.
//!
//! Exit code 0: every check held and every expectation was met. 1: a check or an expectation failed. 2: a file or the command
//! line was refused.

mod cli;

use clap::{ArgAction, Parser, Subcommand};
use cli::{compare, explain, list, pins, run, schema, shrink, swarm, trace};
use std::process::ExitCode;

const BROKEN: u8 = 1;
const REFUSED: u8 = 2;

/// Plays scenario files against the protocol engine in simulated time.
///
/// Exit code 0: every check held and every expectation was met; 1: a check or an expectation failed; 2: a file or the command
/// line was refused.
#[derive(Parser)]
#[command(
    name = "karst-sim",
    version,
    disable_version_flag = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Cli {
    /// Print name and version
    #[arg(short = 'v', short_alias = 'V', long, action = ArgAction::Version)]
    version: (),
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::Args,
}

#[derive(Subcommand)]
enum Command {
    /// Plays scenario files; the default without a subcommand.
    Run(run::Args),
    /// Lists the scenario files in a folder: name, theme and description.
    List(list::Args),
    /// Compares two settings or two scenarios over many seeds, or two results files.
    Compare(compare::Args),
    /// Explains the events of a segment, of a stream or around a moment of a run.
    Explain(explain::Args),
    /// Plays every scenario file twice and compares with the pinned trace hashes.
    Pins(pins::Args),
    /// Runs one random scenario per seed and checks coverage marks.
    Swarm(swarm::Args),
    /// Minimizes a failing scenario and writes it into scenarios/regressions.
    Shrink(shrink::Args),
    /// Prints the JSON Schema of scenario files, results or recordings.
    Schema(schema::Args),
    /// Prints the entries of the trace hash of a run, one per line.
    Trace(trace::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command.unwrap_or(Command::Run(cli.run)) {
        Command::Run(args) => run::main(&args),
        Command::List(args) => list::main(&args),
        Command::Compare(args) => compare::main(&args),
        Command::Explain(args) => explain::main(&args),
        Command::Pins(args) => pins::main(&args),
        Command::Swarm(args) => swarm::main(&args),
        Command::Shrink(args) => shrink::main(&args),
        Command::Schema(args) => schema::main(&args),
        Command::Trace(args) => trace::main(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(BROKEN),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("karst-sim: {error:#}");
            ExitCode::from(REFUSED)
        }
    }
}

/// Whether the reader of the output has closed it, which is not a failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.root_cause().downcast_ref::<std::io::Error>();
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}
