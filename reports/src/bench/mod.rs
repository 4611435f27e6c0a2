//! `karst-report bench`: pairs of tunnel programs against each other, in turn, on the same work.

mod line;
mod lines;
mod load;
mod machine;
mod pair;
mod peer;
mod plan;
mod process;
mod scale;
mod sink;
mod trial;

use crate::performance::{
    Bench, Case, DIRECT, FORMAT, Side, Skipped, Trial, aligned, figure_rows, figures, goal_rows, summary,
    verdicts,
};
use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use pair::Setup;
use peer::Peer;
use plan::{Planned, Row, Wishes};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use trial::Amount;

pub(crate) use lines::LinesArgs;
pub(crate) use sink::SinkArgs;

#[derive(clap::Args)]
#[command(after_help = "\
Every row is measured on each side in turn, A B A B, `--runs` times; medians are compared, the first peer with all others. Bytes do
not compress. The processor time is that of client plus server, and so is the memory. Over lines (loss, rtt, --scenario) the tunnels
go through `karst-interop relay`, and TCP without a tunnel through `karst-interop netns` (root) with the same links and dice. All rows but
`scale` have windows of 1024; what a scenario says about programs and work does not matter here.")]
pub(crate) struct Args {
    /// A pair of programs; repeated, the first is compared with the others [default: karst beside this program, kcptun of the PATH]
    #[arg(long, value_name = "NAME=CLIENT,SERVER[,FLAG...]", value_parser = Peer::parse)]
    peer: Vec<Peer>,
    /// Runs of each side; goals ask for five
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    runs: u64,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Only these rows; `none` for --scenario alone [default: all]
    #[arg(long, value_delimiter = ',', value_name = "ROW", value_parser = row)]
    rows: Vec<Option<Row>>,
    /// More flags for all programs, split at spaces
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    flags: String,
    /// Points of the curve over loss, percent each way
    #[arg(long, value_delimiter = ',', default_value = "0,0.5,1,2,5,10", value_parser = point)]
    loss: Vec<f64>,
    /// Points of the curve over round trips, milliseconds
    #[arg(long, value_delimiter = ',', default_value = "10,30,60,120,240", value_parser = point)]
    rtt: Vec<f64>,
    /// Measure over the links of this scenario, too; may be repeated
    #[arg(long, value_name = "FILE")]
    scenario: Vec<PathBuf>,
    /// Over lines: TCP without a tunnel, with these congestion controls; `none` for none
    #[arg(long, value_delimiter = ',', default_value = "cubic,bbr", value_parser = control)]
    tcp: Vec<String>,
    /// Sessions of the row `scale`
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(5..=5000))]
    sessions: u64,
    /// The program for lines [default: karst-interop beside this program]
    #[arg(long, value_name = "FILE")]
    interop: Option<PathBuf>,
    /// Write everything measured, for `karst-report html` and `md`
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn row(text: &str) -> Result<Option<Row>, String> {
    let known = || {
        let names = Row::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        names.map(|value| value.get_name().to_owned()).collect::<Vec<_>>().join(", ")
    };
    match text {
        "none" => Ok(None),
        _ => Row::from_str(text, false).map(Some).map_err(|_| format!("rows are {}", known())),
    }
}

fn point(text: &str) -> Result<f64, String> {
    let value: f64 = text.trim().parse().map_err(|_| format!("{text:?} is not a number"))?;
    if (0.0..=10_000.0).contains(&value) { Ok(value) } else { Err(format!("{text} is out of range")) }
}

fn control(text: &str) -> Result<String, String> {
    let named = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if named { Ok(text.to_owned()) } else { Err(format!("{text:?} is not the name of a congestion control")) }
}

impl Args {
    /// Measures, prints, writes. Whether every trial had a result.
    pub(crate) fn run(&self) -> anyhow::Result<bool> {
        if let Some(path) = &self.json {
            // Before the hours rather than after them.
            std::fs::write(path, "").with_context(|| path.display().to_string())?;
        }
        let mut skipped = Vec::new();
        let peers = self.peers(&mut skipped)?;
        let flags: Vec<String> = self.flags.split_whitespace().map(str::to_owned).collect();
        let every = Row::value_variants().to_vec();
        let wishes = Wishes {
            rows: &if self.rows.is_empty() { every } else { self.rows.iter().copied().flatten().collect() },
            flags: &flags,
            loss_pct: &self.loss,
            rtt_ms: &self.rtt,
            scenarios: &self.scenario,
            interop: self.interop.as_deref(),
            sessions: self.sessions as usize,
        };
        let plan = wishes.plan()?;
        ensure!(!plan.is_empty(), "nothing to measure");
        let mut bench = self.begin(&peers);
        for case in &plan {
            bench.cases.push(self.case(case, &peers, &mut skipped));
            bench.skipped.clone_from(&skipped);
            // An hour is not lost when something stops it.
            self.write(&bench)?;
        }
        tell(&bench);
        Ok(bench
            .cases
            .iter()
            .flat_map(|case| &case.sides)
            .flat_map(|side| &side.trials)
            .all(|trial| trial.error.is_none()))
    }

    fn peers(&self, skipped: &mut Vec<Skipped>) -> anyhow::Result<Vec<Peer>> {
        if self.peer.is_empty() {
            let (peers, missing) = Peer::find();
            missing.into_iter().for_each(|[what, why]| skip(skipped, &what, &why));
            ensure!(!peers.is_empty(), "nobody to measure: name the programs (--peer)");
            return Ok(peers);
        }
        for (at, peer) in self.peer.iter().enumerate() {
            if self.peer[..at].iter().any(|other| other.name == peer.name) {
                bail!("two peers are called {:?}", peer.name);
            }
        }
        Ok(self.peer.clone())
    }

    fn begin(&self, peers: &[Peer]) -> Bench {
        Bench {
            format: FORMAT.to_owned(),
            machine: machine::machine(),
            commit: machine::commit(),
            command: command(),
            runs: self.runs as usize,
            seconds: self.seconds,
            peers: peers.iter().map(Peer::facts).collect(),
            cases: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// All runs of a case, the sides in turn.
    fn case(&self, planned: &Planned, peers: &[Peer], skipped: &mut Vec<Skipped>) -> Case {
        let names = self.sides(planned, peers, skipped);
        let side = |name: String| Side { name, commands: Vec::new(), trials: Vec::new() };
        let mut sides: Vec<Side> = names.into_iter().map(side).collect();
        for run in 1..=self.runs {
            for side in &mut sides {
                let start = Instant::now();
                let found = self.trial(planned, peers, &side.name, run);
                let said = match &found {
                    Ok((trial, _)) => told(trial),
                    Err(error) => format!("FAILED {error:#}"),
                };
                eprintln!(
                    "{} {run}/{} {} ({:.0?}): {said}",
                    planned.name,
                    self.runs,
                    side.name,
                    start.elapsed()
                );
                match found {
                    Err(error) if side.name.starts_with(DIRECT) && run == 1 => {
                        skip(skipped, &side.name, &format!("{error:#}"));
                    }
                    Err(error) => side.trials.push(Trial::failed(&error)),
                    Ok((trial, commands)) => {
                        side.trials.push(trial);
                        side.commands = commands;
                    }
                }
            }
            sides.retain(|side| !side.trials.is_empty());
        }
        let line = planned.line.as_ref().map(|line| line.facts.clone());
        Case { name: planned.name.clone(), about: planned.about.clone(), line, sides }
    }

    /// Who is measured: all peers, and over lines TCP without a tunnel unless it was found not to work.
    fn sides(&self, planned: &Planned, peers: &[Peer], skipped: &[Skipped]) -> Vec<String> {
        let direct =
            self.tcp.iter().filter(|control| *control != "none").map(|control| format!("{DIRECT}{control}"));
        let works =
            |name: &String| planned.line.is_some() && skipped.iter().all(|skipped| skipped.what != *name);
        peers.iter().map(|peer| peer.name.clone()).chain(direct.filter(works)).collect()
    }

    /// One run of one side.
    fn trial(
        &self,
        planned: &Planned,
        peers: &[Peer],
        side: &str,
        run: u64,
    ) -> anyhow::Result<(Trial, Vec<String>)> {
        let amount = Amount { time: Duration::from_secs(self.seconds), sessions: self.sessions as usize };
        let line = planned.line.as_ref();
        let Some(peer) = peers.iter().find(|peer| peer.name == side) else {
            let line = line.context("TCP without a tunnel needs a line")?;
            return trial::direct(line, side.strip_prefix(DIRECT).unwrap_or(side), run, amount);
        };
        let on = |cores: Option<&str>| {
            let flags = &planned.flags;
            let setup = Setup { peer, flags, client_flags: &[], cores, line, seed: run, bare: false };
            trial::run(planned.measure, setup, amount)
        };
        if planned.pinned { trial::pinned(|core| on(Some(core))) } else { on(None) }
    }

    /// Writes what there is, with its medians and verdicts for those who read no other file of it.
    fn write(&self, bench: &Bench) -> anyhow::Result<()> {
        let Some(path) = &self.json else { return Ok(()) };
        let mut json = serde_json::to_value(bench)?;
        json["summary"] = summary(bench);
        std::fs::write(path, json.to_string() + "\n").with_context(|| path.display().to_string())
    }
}

/// Prints figures and goals.
fn tell(bench: &Bench) {
    println!("{}", aligned(&figure_rows(bench, &figures(bench))));
    print!("{}", aligned(&goal_rows(&verdicts(bench))));
}

fn skip(skipped: &mut Vec<Skipped>, what: &str, why: &str) {
    eprintln!("SKIPPED {what}: {why}");
    skipped.push(Skipped { what: what.to_owned(), why: why.to_owned() });
}

/// The figures of a trial in a line.
fn told(trial: &Trial) -> String {
    trial.metrics.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

/// As it was typed, but for where this program lies.
fn command() -> String {
    let words = std::iter::once("karst-report".to_owned()).chain(std::env::args().skip(1));
    words.map(|word| quoted(&word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:+%@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// `bench-target`: a target for direct TCP, until it is killed.
#[derive(clap::Args)]
pub(crate) struct TargetArgs {
    listen: SocketAddr,
}

impl TargetArgs {
    pub(crate) fn run(&self) -> anyhow::Result<bool> {
        let _target = load::Target::start(self.listen)?;
        loop {
            std::thread::park();
        }
    }
}

/// `bench-probe`: the load for direct TCP; prints the trial.
#[derive(clap::Args)]
pub(crate) struct ProbeArgs {
    to: SocketAddr,
    /// Congestion control.
    control: String,
    /// Milliseconds of each measurement.
    time: u64,
}

impl ProbeArgs {
    pub(crate) fn run(&self) -> anyhow::Result<bool> {
        let patience = Duration::from_secs(5);
        let start = Instant::now();
        while std::net::TcpStream::connect_timeout(&self.to, patience).is_err() {
            ensure!(start.elapsed() < patience, "{}: nobody listens", self.to);
            std::thread::sleep(Duration::from_millis(50));
        }
        let entry = load::Entry { address: self.to, control: Some(&self.control) };
        let trial = trial::over_line(entry, Duration::from_millis(self.time), None)?;
        println!("{}", serde_json::to_string(&trial)?);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_points_are_refused_by_name() {
        assert_eq!((row("scale"), row("none")), (Ok(Some(Row::Scale)), Ok(None)));
        assert!(row("bulk").unwrap_err().starts_with("rows are throughput, plain, latency, idle,"));
        assert_eq!((point("2.5"), point("x")), (Ok(2.5), Err("\"x\" is not a number".into())));
        assert!(control("bbr").is_ok() && control("bbr; reboot").is_err() && control("").is_err());
        assert!(point("-1").is_err() && point("NaN").is_err());
    }

    #[test]
    fn the_command_can_be_pasted() {
        assert_eq!(
            ["a=b/c,--d", "two words", "it's", ""].map(quoted),
            ["a=b/c,--d", "'two words'", r"'it'\''s'", "''"]
        );
    }
}
