//! `karst-report lines`: everybody over the same lossy lines, side by side.

mod contestants;
mod figures;
mod path;
mod shared;

use super::line::interop;
use super::peer::Peer;
use super::{command, machine, point, skip, told};
use crate::performance::lossy::SHARED;
use crate::performance::{Bench, Case, LINES_FORMAT, LineFacts, Side, Trial, aligned, goal_rows, lossy};
use anyhow::{Context, bail, ensure};
use clap::Args;
use contestants::{Contestant, contestants};
use path::{Line, Times};
use serde_json::Value;
use shared::{PLAYS, Play};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

#[derive(Args)]
#[command(after_help = "\
One trial is a download and an echo of 64 bytes every 20 ms on a stream of its own, between two network namespaces that are joined by the
links of a scenario (`karst-interop netns`, root). Contestants: karst with --mode auto and else the defaults (auto); kcptun of the PATH
(go-fast3, go-fast2) with --sndwnd 1024 --rcvwnd 2048; kernel TCP (tcp-bbr, tcp-cubic). On the lines of files there is karst auto sending to
kcptun, too: to a kcptun client (auto-to-go-down), and, the line turned round, to a kcptun server (auto-to-go-up), which have --rcvwnd 8192
--smuxbuf 16777216 --streambuf 8388608; along curves karst in its four modes (fast3, fast2, fast, normal) with windows as kcptun's.
What counts begins after 1.5 s and six round trips; nothing after the end of --time counts but echoes of messages sent before. Curves are over lines of 20 Mbit/s with a queue of 100 packets: over loss with a round trip of 100 ms, over
round trips with a loss of 2 %. Run N has seed N for everybody.")]
pub(crate) struct LinesArgs {
    /// Scenarios whose links are measured; what else they say does not matter
    #[arg(value_name = "SCENARIO")]
    files: Vec<PathBuf>,
    /// Points of the curve over loss, percent each way [default: none]
    #[arg(long, value_delimiter = ',', value_name = "PERCENT", value_parser = point)]
    loss_pct: Vec<f64>,
    /// Points of the curve over round trips, milliseconds [default: none]
    #[arg(long, value_delimiter = ',', value_name = "MS", value_parser = point)]
    rtt_ms: Vec<f64>,
    /// Also who shares a line how: auto beside auto, BBR and CUBIC; and how fast auto follows a line that changes
    #[arg(long)]
    shared: bool,
    /// Only these contestants [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,
    /// Runs of each contestant on each line
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    runs: u64,
    /// Seconds that count of each trial on the lines of files
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=3600))]
    time: u64,
    /// Seconds that count of each trial along curves
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=3600))]
    curve_time: u64,
    /// The program that joins namespaces [default: karst-interop beside this program]
    #[arg(long, value_name = "FILE")]
    interop: Option<PathBuf>,
    /// Write everything measured, for `karst-report html` and `md`
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl LinesArgs {
    /// Measures, prints, writes. Whether every trial had a result.
    pub(crate) fn run(&self) -> anyhow::Result<bool> {
        if let Some(path) = &self.json {
            std::fs::write(path, "").with_context(|| path.display().to_string())?;
        }
        let interop = interop(self.interop.as_deref())?;
        let lines = self.lines()?;
        ensure!(!lines.is_empty() || self.shared, "no line to measure: name scenarios, or points of a curve");
        let (peers, missing) = Peer::find();
        let mut bench = self.begin(&peers);
        missing.iter().for_each(|[what, why]| skip(&mut bench.skipped, what, why));
        let contestants = self.contestants(&peers)?;
        for line in &lines {
            let case = self.case(line, &contestants, &interop, &mut bench)?;
            bench.cases.push(case);
            // An hour is not lost when something stops it.
            self.write(&bench)?;
        }
        if self.shared {
            let case = self.shared_case(&contestants, &interop, &mut bench);
            bench.cases.push(case);
            self.write(&bench)?;
        }
        print!("{}", aligned(&lossy::line_rows(&bench)));
        print!("\n{}", aligned(&goal_rows(&lossy::verdicts(&bench))));
        let mut trials = bench.cases.iter().flat_map(|case| &case.sides).flat_map(|side| &side.trials);
        Ok(trials.all(|trial| trial.error.is_none()))
    }

    fn lines(&self) -> anyhow::Result<Vec<Line>> {
        let files = self.files.iter().map(|file| Line::of_file(file));
        let loss = self.loss_pct.iter().map(|at| Ok(Line::of_loss(*at)));
        let rtt = self.rtt_ms.iter().map(|at| Ok(Line::of_rtt(*at)));
        files.chain(loss).chain(rtt).collect()
    }

    fn contestants(&self, peers: &[Peer]) -> anyhow::Result<Vec<Contestant>> {
        let mut contestants = contestants(peers);
        for name in &self.only {
            let known = contestants.iter().any(|contestant| contestant.name == name);
            ensure!(known, "{name:?} is nobody who can be measured here");
        }
        let asked = |name: &str| self.only.is_empty() || self.only.iter().any(|only| only == name);
        contestants.retain(|contestant| asked(contestant.name));
        Ok(contestants)
    }

    fn begin(&self, peers: &[Peer]) -> Bench {
        Bench {
            format: LINES_FORMAT.to_owned(),
            machine: machine::machine(),
            commit: machine::commit(),
            command: command(),
            runs: self.runs as usize,
            seconds: self.time,
            peers: peers.iter().map(Peer::bare_facts).collect(),
            cases: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// All runs of everybody on a line, in turn.
    fn case(
        &self,
        line: &Line,
        contestants: &[Contestant],
        interop: &Path,
        bench: &mut Bench,
    ) -> anyhow::Result<Case> {
        let skipped = |who: &&Contestant| bench.skipped.iter().all(|skipped| skipped.what != who.name);
        let here = contestants.iter().filter(|who| who.is_measured(line.is_of_file())).filter(skipped);
        let here: Vec<&Contestant> = here.collect();
        let side =
            |who: &&Contestant| Side { name: who.name.into(), commands: who.commands(), trials: Vec::new() };
        let mut sides: Vec<Side> = here.iter().map(side).collect();
        for run in 1..=self.runs {
            for (who, side) in here.iter().zip(&mut sides) {
                let start = Instant::now();
                let trial = self.trial(line, who, interop, run);
                let said = trial.as_ref().map_or_else(|error| format!("FAILED {error:#}"), told);
                eprintln!(
                    "{} {run}/{} {} ({:.1?}): {said}",
                    line.facts.curve_and_place(),
                    self.runs,
                    who.name,
                    start.elapsed()
                );
                match trial {
                    Err(error) if contestants::is_missing(&error) => {
                        skip(&mut bench.skipped, who.name, &format!("{error:#}"))
                    }
                    trial => side.trials.push(trial.unwrap_or_else(|error| Trial::failed(&error))),
                }
            }
        }
        sides.retain(|side| !side.trials.is_empty());
        let about = format!("{} s", self.times(line).counted_ms / 1000);
        Ok(Case { name: line.facts.curve_and_place(), about, line: Some(line.facts.clone()), sides })
    }

    /// Two flows on a line, and a line that changes.
    fn shared_case(&self, contestants: &[Contestant], interop: &Path, bench: &mut Bench) -> Case {
        let facts = LineFacts { curve: SHARED.to_owned(), at: None, links: String::new(), path: None };
        let mut case =
            Case { name: SHARED.to_owned(), about: String::new(), line: Some(facts), sides: Vec::new() };
        for play in PLAYS {
            let find = |name: &&str| contestants.iter().find(|contestant| contestant.name == *name);
            let Some(of) = play.names().iter().map(find).collect::<Option<Vec<_>>>() else {
                skip(&mut bench.skipped, &play.name(), "not all of them are here");
                continue;
            };
            let mut side =
                Side { name: play.name(), commands: vec![play.about().to_owned()], trials: Vec::new() };
            for run in 1..=self.runs {
                let trial = shared_trial(play, &of, interop, run);
                let said = trial.as_ref().map_or_else(|error| format!("FAILED {error:#}"), told);
                eprintln!("{SHARED} {run}/{} {}: {said}", self.runs, side.name);
                side.trials.push(trial.unwrap_or_else(|error| Trial::failed(&error)));
            }
            case.sides.push(side);
        }
        case
    }

    fn trial(&self, line: &Line, who: &Contestant, interop: &Path, seed: u64) -> anyhow::Result<Trial> {
        let times = self.times(line);
        let json = contest(interop, &line.scenario(who, times), &who.flags(), seed)?;
        figures::trial(&json, line, who, times)
    }

    fn times(&self, line: &Line) -> Times {
        Times::new(line, if line.is_of_file() { self.time } else { self.curve_time })
    }

    fn write(&self, bench: &Bench) -> anyhow::Result<()> {
        let Some(path) = &self.json else { return Ok(()) };
        let text = serde_json::to_string(bench)? + "\n";
        std::fs::write(path, text).with_context(|| path.display().to_string())
    }
}

fn shared_trial(play: Play, of: &[&Contestant], interop: &Path, seed: u64) -> anyhow::Result<Trial> {
    // Kernel TCP has no settings: those of the tunnel, if there is one, are the scenario's.
    let settings = &of[of.len() - 1].settings;
    play.trial(&contest(interop, &play.scenario(settings), &play.flags(of), seed)?)
}

/// What `karst-interop netns` finds.
fn contest(interop: &Path, scenario: &Value, flags: &[String], seed: u64) -> anyhow::Result<Value> {
    let scenario = Scratch::new("line", &scenario.to_string())?;
    let found = Scratch::new("found", "")?;
    let mut command = Command::new(interop);
    command.arg("netns").arg(&scenario.0).args(flags);
    command.args(["--seeds", "1", "--seed", &seed.to_string(), "--progress", "--json"]).arg(&found.0);
    let output = command.stdin(Stdio::null()).output().context("starting karst-interop")?;
    let text = std::fs::read_to_string(&found.0)?;
    let Ok(json) = serde_json::from_str(&text) else {
        bail!("karst-interop netns: {}", String::from_utf8_lossy(&output.stderr).trim());
    };
    Ok(json)
}

/// A file that is gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, text: &str) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("karst-{name}-{}.json", std::process::id()));
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
