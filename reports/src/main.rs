//! karst-report: turns the simulator's results (`karst-sim --json`) into one HTML page or Markdown.
//!
//! Exit code 0: written. 2: the command line or a results file was refused.

mod facts;
mod html;
mod markdown;
mod results;

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use results::{FORMAT, Results, Run};
use std::path::PathBuf;
use std::process::ExitCode;

/// Turns results of karst-sim into a page that a person can read.
#[derive(Parser)]
#[command(name = "karst-report", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One self-contained HTML page.
    Html(Args),
    /// Markdown.
    Md(Args),
}

#[derive(clap::Args)]
struct Args {
    /// Results files, as `karst-sim --json` writes them.
    #[arg(required = true, value_name = "RESULT.json")]
    files: Vec<PathBuf>,
    /// Where the report goes; standard output when absent.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    match write(&Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("karst-report: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn write(command: &Command) -> anyhow::Result<()> {
    let (render, args): (fn(&[Run]) -> String, _) = match command {
        Command::Html(args) => (html::page, args),
        Command::Md(args) => (markdown::page, args),
    };
    let runs = args.files.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?.concat();
    let page = render(&runs);
    match &args.out {
        Some(path) => std::fs::write(path, page).with_context(|| path.display().to_string()),
        None => std::io::Write::write_all(&mut std::io::stdout(), page.as_bytes()).context("standard output"),
    }
}

fn read(path: &PathBuf) -> anyhow::Result<Vec<Run>> {
    let name = || path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(name)?;
    let results: Results = serde_json::from_str(&text).with_context(name)?;
    ensure!(results.format == FORMAT, "{}: format is `{}`, not `{FORMAT}`", name(), results.format);
    Ok(results.runs)
}
