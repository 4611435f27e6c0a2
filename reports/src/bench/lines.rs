//! The arguments of `karst-report lines`.

use super::{create, point};
use crate::performance::{aligned, goal_rows, lossy};
use anyhow::{Context, ensure};
use clap::Args;
use lab::measure::lossy::{Lines, LossyPath};
use lab::peers::Peer;
use lab::results::Measurements;
use lab::shell::own_command;
use lab::sys;
use std::path::PathBuf;

#[derive(Args)]
#[command(after_help = "\
One trial is a download, and an echo of 64 bytes every 20 ms on its own stream, between two network namespaces that are joined by the
links of a scenario (root). Contestants: karst with --mode auto and otherwise defaults (auto); kcptun of the PATH (go-fast3, go-fast2)
with --sndwnd 1024 --rcvwnd 2048; kernel TCP (tcp-bbr, tcp-cubic). On the links of files also karst auto sending to kcptun: to a
client (auto-to-go-down), and over the reversed path to a server (auto-to-go-up), which have --rcvwnd 8192 --smuxbuf 16777216
--streambuf 8388608; along curves also karst in its four modes (fast3, fast2, fast, normal) with the windows of kcptun.
Counting starts after 1.5 s and six round trips and ends with --time; only echoes of messages sent before may arrive later. Curves are over
links of 20 Mbit/s with a queue of 100 packets: over loss with a round trip of 100 ms, over round trips with a loss of 2 %. Run N has
seed N for all contestants.")]
pub(crate) struct LinesArgs {
    /// Scenarios; only their links are used
    #[arg(value_name = "SCENARIO")]
    files: Vec<PathBuf>,
    /// Points of the curve over loss, percent each way [default: none]
    #[arg(long, value_delimiter = ',', value_name = "PERCENT", value_parser = point)]
    loss_pct: Vec<f64>,
    /// Points of the curve over round trips, milliseconds [default: none]
    #[arg(long, value_delimiter = ',', value_name = "MS", value_parser = point)]
    rtt_ms: Vec<f64>,
    /// Also measure how auto shares a bottleneck with auto, BBR and CUBIC, and how fast it adapts when the links change
    #[arg(long)]
    shared: bool,
    /// Only these contestants [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,
    /// Runs of each contestant on each link
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    runs: u64,
    /// Counted seconds of each trial on the links of files
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=3600))]
    time: u64,
    /// Counted seconds of each trial along curves
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=3600))]
    curve_time: u64,
    /// Ignored: this program emulates paths itself
    #[arg(long, value_name = "FILE", hide = true)]
    interop: Option<PathBuf>,
    /// Write all results as JSON, for `karst-report html` and `md`
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl LinesArgs {
    /// Measures, prints and writes the results; returns whether every run succeeded.
    pub(crate) fn run(&self) -> anyhow::Result<bool> {
        create(self.json.as_deref())?;
        sys::watch_signals();
        let lines = Lines {
            paths: self.paths()?,
            shared: self.shared,
            only: self.only.clone(),
            runs: self.runs,
            time: self.time,
            curve_time: self.curve_time,
        };
        let is_selected = !lines.paths.is_empty() || self.shared;
        ensure!(is_selected, "no links to measure: give scenarios, or points of a curve");
        let results =
            lines.run(own_command("karst-report"), &Peer::find().karst_first(), &mut |results| {
                self.write(results)
            })?;
        print!("{}", aligned(&lossy::link_rows(&results)));
        print!("\n{}", aligned(&goal_rows(&lossy::verdicts(&results))));
        Ok(results.is_complete())
    }

    fn paths(&self) -> anyhow::Result<Vec<LossyPath>> {
        let files = self.files.iter().map(|file| LossyPath::of_file(file));
        let loss = self.loss_pct.iter().map(|at| LossyPath::of_loss(*at));
        let rtt = self.rtt_ms.iter().map(|at| LossyPath::of_rtt(*at));
        files.chain(loss).chain(rtt).collect()
    }

    fn write(&self, results: &Measurements) -> anyhow::Result<()> {
        let Some(path) = &self.json else { return Ok(()) };
        let text = serde_json::to_string(results)? + "\n";
        std::fs::write(path, text).with_context(|| path.display().to_string())
    }
}
