//! karst-report: turns the simulator's results (`karst-sim --json`) and recordings (`karst-sim run --events`) into one HTML
//! page, results into Markdown, too.
//!
//! Exit code 0: written. 2: the command line or a results file was refused.

mod facts;
mod html;
mod markdown;
mod page;
mod recording;
mod results;
mod series;

use anyhow::{Context, bail, ensure};
use clap::{Parser, Subcommand};
use recording::Recording;
use results::{FORMAT, Results, Run};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Turns results and recordings of karst-sim into a page that a person can read.
#[derive(Parser)]
#[command(name = "karst-report", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One self-contained HTML page: tables of results, or the charts of one recording or two.
    Html(Args),
    /// Markdown.
    Md(Args),
}

#[derive(clap::Args)]
struct Args {
    /// Results files, as `karst-sim --json` writes them, or recordings, as `karst-sim run --events` does.
    #[arg(required = true, value_name = "FILE")]
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
    let (page, args) = match command {
        Command::Html(args) => (html(args)?, args),
        Command::Md(args) => (markdown::page(&results(args)?), args),
    };
    match &args.out {
        Some(path) => std::fs::write(path, page).with_context(|| path.display().to_string()),
        None => std::io::Write::write_all(&mut std::io::stdout(), page.as_bytes()).context("standard output"),
    }
}

fn html(args: &Args) -> anyhow::Result<String> {
    let recordings: Vec<bool> =
        args.files.iter().map(|path| Recording::is_one(path)).collect::<Result<_, _>>()?;
    match (recordings.iter().all(|is| *is), recordings.contains(&true)) {
        (true, _) if recordings.len() > 2 => bail!("a page compares at most two recordings"),
        (true, _) => {
            let read = args.files.iter().map(|path| Recording::read(path));
            Ok(page::page(&read.collect::<anyhow::Result<Vec<_>>>()?))
        }
        (false, true) => bail!("results and recordings do not go on one page"),
        (false, false) => Ok(html::page(&results(args)?)),
    }
}

fn results(args: &Args) -> anyhow::Result<Vec<Run>> {
    Ok(args.files.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<_>>>()?.concat())
}

fn read(path: &Path) -> anyhow::Result<Vec<Run>> {
    let name = || path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(name)?;
    let results: Results = serde_json::from_str(&text).with_context(name)?;
    ensure!(results.format == FORMAT, "{}: format is `{}`, not `{FORMAT}`", name(), results.format);
    Ok(results.runs)
}
