//! The arguments of `karst-report bench`, and of `lines`.

mod lines;

use crate::performance::{aligned, figure_rows, figures, goal_rows, summary, verdicts};
use anyhow::{Context, bail, ensure};
use lab::measure::{Amount, Bench, Row, Selection};
use lab::peers::{Found, Peer};
use lab::results::{FORMAT, Measurements, forges};
use lab::shell::own_command;
use lab::sys;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use lines::LinesArgs;

#[derive(clap::Args)]
#[command(after_help = "\
Every row is measured with each contestant in turn, A B A B, `--runs` times; medians are compared, the first peer with all others. The payload
is incompressible. Processor time and memory are the sums of client and server. Over emulated paths (loss, rtt, --scenario) tunnels pass
a UDP relay, and kernel TCP passes the same links with the same seeds between two network namespaces (root). All rows but `scale` use
windows of 1024; of a scenario only the links and their faults are used. With `--flags --tcp`, forged TCP is measured over the loopback
device of a network namespace of its own (root): throughput, plain and latency, which have goals of their own.")]
pub(crate) struct Args {
    /// A pair of programs; may be repeated: the first is compared with the others [default: karst beside this program, kcptun of the PATH]
    #[arg(long, value_name = "NAME=CLIENT,SERVER[,FLAG...]", value_parser = Peer::parse)]
    peer: Vec<Peer>,
    /// Runs of each contestant; goals need five
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    runs: u64,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Only these rows; `none` for --scenario alone [default: all; of forged TCP those with goals]
    #[arg(long, value_delimiter = ',', value_name = "ROW", value_parser = row)]
    rows: Vec<Option<Row>>,
    /// More flags for all programs, separated by spaces
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    flags: String,
    /// Points of the curve over loss, percent each way
    #[arg(long, value_delimiter = ',', default_value = "0,0.5,1,2,5,10", value_parser = point)]
    loss: Vec<f64>,
    /// Points of the curve over round trips, milliseconds
    #[arg(long, value_delimiter = ',', default_value = "10,30,60,120,240", value_parser = point)]
    rtt: Vec<f64>,
    /// Also measure over the links of this scenario; may be repeated
    #[arg(long, value_name = "FILE")]
    scenario: Vec<PathBuf>,
    /// Kernel TCP over emulated paths, with these congestion controls; `none` for none
    #[arg(long, value_delimiter = ',', default_value = "cubic,bbr", value_parser = control)]
    tcp: Vec<String>,
    /// Sessions of the row `scale`
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(5..=5000))]
    sessions: u64,
    /// Ignored: this program emulates paths itself
    #[arg(long, value_name = "FILE", hide = true)]
    interop: Option<PathBuf>,
    /// Write all results as JSON, for `karst-report html` and `md`
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn row(text: &str) -> Result<Option<Row>, String> {
    if text == "none" {
        return Ok(None);
    }
    let known = || Row::ALL.map(Row::name).join(", ");
    Row::from_name(text).map(Some).ok_or_else(|| format!("rows are {}", known()))
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
    /// Measures, prints and writes the results; returns whether every run succeeded.
    pub(crate) fn run(&self) -> anyhow::Result<bool> {
        let flags: Vec<String> = self.flags.split_whitespace().map(str::to_owned).collect();
        let is_forged = forges(flags.iter().map(String::as_str));
        let rows = self.rows(is_forged);
        create(self.json.as_deref())?;
        if is_forged {
            let emulated = rows.iter().any(|row| row.is_emulated()) || !self.scenario.is_empty();
            ensure!(
                !emulated,
                "forged TCP passes no UDP relay: only rows of the loopback device can be measured"
            );
            // Before any other thread starts.
            lab::netns::enter_loopback()?;
        }
        sys::watch_signals();
        let found = self.peers()?;
        let sessions = self.sessions as usize;
        let selection = Selection {
            rows: &rows,
            flags: &flags,
            loss_pct: &self.loss,
            rtt_ms: &self.rtt,
            scenarios: &self.scenario,
            sessions,
        };
        let bench = Bench {
            peers: found.peers,
            tcp: self.tcp.iter().filter(|control| *control != "none").cloned().collect(),
            plan: selection.plan()?,
            runs: self.runs,
            amount: Amount { time: Duration::from_secs(self.seconds), sessions },
        };
        ensure!(!bench.plan.is_empty(), "no row to measure");
        let peers = bench.peers.iter().map(Peer::facts).collect();
        let mut results =
            Measurements::begin(FORMAT, own_command("karst-report"), self.runs, self.seconds, peers);
        found.missing.iter().for_each(|missing| results.skip(&missing.name, &missing.reason));
        bench.run(&mut results, &mut |results| self.write(results))?;
        println!("{}", aligned(&figure_rows(&results, &figures(&results))));
        print!("{}", aligned(&goal_rows(&verdicts(&results))));
        Ok(results.is_complete())
    }

    fn rows(&self, is_forged: bool) -> Vec<Row> {
        match (self.rows.is_empty(), is_forged) {
            (true, true) => Row::FORGED.into(),
            (true, false) => Row::ALL.into(),
            (false, _) => self.rows.iter().copied().flatten().collect(),
        }
    }

    fn peers(&self) -> anyhow::Result<Found> {
        if self.peer.is_empty() {
            let found = Peer::find().karst_first();
            ensure!(!found.peers.is_empty(), "no programs to measure; give them with --peer");
            return Ok(found);
        }
        for (at, peer) in self.peer.iter().enumerate() {
            if self.peer[..at].iter().any(|other| other.name == peer.name) {
                bail!("two peers have the name {:?}", peer.name);
            }
        }
        Ok(Found { peers: self.peer.clone(), missing: Vec::new() })
    }

    /// Writes the results with their medians and verdicts, for programs that read no other file.
    fn write(&self, results: &Measurements) -> anyhow::Result<()> {
        let Some(path) = &self.json else { return Ok(()) };
        let mut json = serde_json::to_value(results)?;
        json["summary"] = summary(results);
        std::fs::write(path, json.to_string() + "\n").with_context(|| path.display().to_string())
    }
}

/// Creates the result file before the measurements, so that a wrong path is reported at once.
fn create(json: Option<&Path>) -> anyhow::Result<()> {
    let Some(path) = json else { return Ok(()) };
    std::fs::write(path, "").with_context(|| path.display().to_string())
}

/// `bench-sink`: the target of the row `scale`, in a separate process.
#[derive(clap::Args)]
pub(crate) struct SinkArgs {
    streams: u64,
}

impl SinkArgs {
    pub(crate) fn run(&self) -> anyhow::Result<bool> {
        lab::measure::sink::serve(self.streams).map(|()| true)
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
}
