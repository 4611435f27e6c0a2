//! The command line of karst-report.

use crate::conformance;
use crate::{bench, html, markdown, page, performance};
use anyhow::{Context, ensure};
use clap::{ArgAction, Parser, Subcommand};
use lab::results::Measurements;
use sim::Outcome;
use sim::outcome::Results;
use sim::record::Recording;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Renders results, recordings and measurements; measures real programs
#[derive(Parser)]
#[command(name = "karst-report", version, disable_version_flag = true)]
struct Cli {
    /// Print name and version
    #[arg(short = 'v', short_alias = 'V', long, action = ArgAction::Version)]
    version: (),
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Render one self-contained HTML page: tables of results, charts of one or two recordings, measured performance, or conformance
    Html(Args),
    /// Render the same as Markdown, without charts
    Md(Args),
    /// Compare pairs of tunnel programs: throughput, latency, processor time, memory
    Bench(Box<bench::Args>),
    /// Compare karst, kcptun and kernel TCP over lossy links (root)
    Lines(Box<bench::LinesArgs>),
    #[command(hide = true)]
    BenchSink(bench::SinkArgs),
}

#[derive(clap::Args)]
struct Args {
    /// Results (`karst-sim --json`), recordings (`karst-sim run --events`), one measurement (`bench --json`, `lines --json`), or
    /// verdicts of conformance (`karst-interop matrix --json`, `probe --json`)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Output file [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Markdown file with notes, placed after the goals of a `bench` or `lines` page
    #[arg(long, value_name = "FILE")]
    notes: Option<PathBuf>,
    /// Top folder of the repository, whose requirements and tests a page of conformance lists
    #[arg(long, value_name = "DIR")]
    requirements: Option<PathBuf>,
}

impl Args {
    fn notes(&self) -> anyhow::Result<String> {
        let read = |path: &PathBuf| std::fs::read_to_string(path).with_context(|| path.display().to_string());
        self.notes.as_ref().map_or(Ok(String::new()), read)
    }

    fn rules(&self) -> anyhow::Result<Vec<conformance::Requirement>> {
        self.requirements.as_ref().map_or(Ok(Vec::new()), |root| conformance::requirements(root))
    }
}

/// Runs the program with the arguments of the process.
pub fn run() -> ExitCode {
    let done = match &Cli::parse().command {
        Command::Html(args) => html(args).and_then(|page| write(args, &page)),
        Command::Md(args) => markdown(args).and_then(|page| write(args, &page)),
        Command::Bench(args) => args.run(),
        Command::Lines(args) => args.run(),
        Command::BenchSink(args) => args.run(),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("karst-report: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn write(args: &Args, page: &str) -> anyhow::Result<bool> {
    match &args.out {
        Some(path) => std::fs::write(path, page).with_context(|| path.display().to_string())?,
        None => {
            std::io::Write::write_all(&mut std::io::stdout(), page.as_bytes()).context("standard output")?
        }
    }
    Ok(true)
}

fn markdown(args: &Args) -> anyhow::Result<String> {
    if let Some(contents) = conformance(args)? {
        return Ok(conformance::markdown(&contents));
    }
    match measured(args)? {
        Some(bench) => Ok(performance::markdown(&bench, &args.notes()?)),
        None if are_recordings(args)? => Ok(markdown::recordings(&recordings(args)?)),
        None => Ok(markdown::page(&results(args)?)),
    }
}

fn html(args: &Args) -> anyhow::Result<String> {
    if let Some(contents) = conformance(args)? {
        return Ok(conformance::page(&contents));
    }
    if let Some(bench) = measured(args)? {
        return Ok(performance::html(&bench, &args.notes()?));
    }
    if !are_recordings(args)? {
        return Ok(html::page(&results(args)?));
    }
    ensure!(args.files.len() <= 2, "a page compares at most two recordings");
    Ok(page::page(&recordings(args)?))
}

/// Whether the files are recordings rather than results.
fn are_recordings(args: &Args) -> anyhow::Result<bool> {
    let are: Vec<bool> = args.files.iter().map(|path| is_recording(path)).collect::<anyhow::Result<_>>()?;
    let all = are.iter().all(|is| *is);
    ensure!(all || !are.contains(&true), "results and recordings cannot share a page");
    Ok(all)
}

/// The contents of a page of conformance, if the files are results of `karst-interop matrix` or `probe`.
fn conformance(args: &Args) -> anyhow::Result<Option<conformance::Contents>> {
    let Some(mut contents) = conformance::Contents::read(&args.files)? else {
        ensure!(
            args.requirements.is_none(),
            "--requirements applies to pages of `karst-interop matrix` and `probe` only"
        );
        return Ok(None);
    };
    contents.requirements = args.rules()?;
    Ok(Some(contents))
}

/// The measurements in the file, if it is a result file of `bench` or `lines`.
fn measured(args: &Args) -> anyhow::Result<Option<Measurements>> {
    for path in &args.files {
        if Measurements::is_one(path)? {
            ensure!(
                args.files.len() == 1,
                "{}: only one file of measurements fits on a page",
                path.display()
            );
            return Measurements::read(path).map(Some);
        }
    }
    ensure!(args.notes.is_none(), "--notes applies to pages of `bench` or `lines` only");
    Ok(None)
}

/// Whether the first line of the file is the header of a recording.
fn is_recording(path: &Path) -> anyhow::Result<bool> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut first = String::new();
    // A file that is not text is not a recording.
    let read = BufReader::new(file.take(4_096)).read_line(&mut first);
    Ok(read.is_ok() && Recording::is_one(&first))
}

fn recordings(args: &Args) -> anyhow::Result<Vec<Recording>> {
    let read = |path: &PathBuf| {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        Recording::read(BufReader::new(file)).with_context(|| path.display().to_string())
    };
    args.files.iter().map(read).collect()
}

fn results(args: &Args) -> anyhow::Result<Vec<Outcome>> {
    Ok(args.files.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<_>>>()?.concat())
}

fn read(path: &Path) -> anyhow::Result<Vec<Outcome>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Ok(Results::read(&text).with_context(|| path.display().to_string())?.runs)
}
