//! Which cases there are.

use super::line::{Line, interop};
use super::scale::STREAMS_PER_SESSION;
use super::trial::Measure;
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// Windows that fill a fast line.
const WINDOWS: [&str; 4] = ["--sndwnd", "1024", "--rcvwnd", "1024"];

/// Neither FEC nor compression.
const PLAIN: [&str; 5] = ["--datashard", "0", "--parityshard", "0", "--nocomp"];

/// Round trip of the curve over loss, and loss of the curve over round trips.
const LOSS_RTT_MS: f64 = 60.0;
const RTT_LOSS_PCT: f64 = 1.0;

/// Rows that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// Bulk throughput, processor time and memory; default flags and windows of 1024
    Throughput,
    /// The same without FEC and compression
    Plain,
    /// 64-byte requests, alone and beside a bulk stream of the same session
    Latency,
    /// A hundred idle sessions
    Idle,
    /// Time until the programs listen
    Start,
    /// Many sessions, ten streams each
    Scale,
    /// Throughput, with and without FEC, and latency, both programs on one core
    Pinned,
    /// Lines that lose more and more
    Loss,
    /// Lines that are longer and longer
    Rtt,
}

/// A case to be measured.
pub(crate) struct Planned {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) flags: Vec<String>,
    pub(crate) measure: Measure,
    pub(crate) line: Option<Line>,
    /// Both programs on one core, the load on the others.
    pub(crate) pinned: bool,
}

/// What a plan is made of.
pub(crate) struct Wishes<'a> {
    pub(crate) rows: &'a [Row],
    /// Flags of all programs, after those of the cases.
    pub(crate) flags: &'a [String],
    pub(crate) loss_pct: &'a [f64],
    pub(crate) rtt_ms: &'a [f64],
    pub(crate) scenarios: &'a [PathBuf],
    pub(crate) interop: Option<&'a Path>,
    pub(crate) sessions: usize,
}

impl Wishes<'_> {
    /// The cases, in the order in which they are measured.
    pub(crate) fn plan(&self) -> anyhow::Result<Vec<Planned>> {
        let mut plan = Vec::new();
        for row in self.rows {
            self.row(*row, &mut plan)?;
        }
        for file in self.scenarios {
            let line = Line::of_scenario(file, &interop(self.interop)?)?;
            plan.push(self.over(format!("line {}", line.facts.curve), line));
        }
        Ok(plan)
    }

    fn row(&self, row: Row, plan: &mut Vec<Planned>) -> anyhow::Result<()> {
        let throughput = "one bulk stream to the target";
        let latency = "64-byte requests, alone and beside a bulk stream of the same session that is echoed";
        match row {
            Row::Throughput => plan.push(self.clean("throughput", throughput, Measure::Throughput)),
            Row::Plain => plan.push(self.plain("throughput-plain", throughput)),
            Row::Latency => plan.push(self.clean("latency", latency, Measure::Latency)),
            Row::Idle => {
                plan.push(self.clean("idle", "100 sessions with one idle stream each", Measure::Idle))
            }
            Row::Start => {
                plan.push(self.clean("start", "from the start of a program until it listens", Measure::Start))
            }
            Row::Scale => {
                let about = format!(
                    "{} sessions with {STREAMS_PER_SESSION} streams each on one server, default flags",
                    self.sessions
                );
                let scale = self.clean("scale", &about, Measure::Scale);
                plan.push(Planned { flags: self.flags.to_vec(), ..scale });
            }
            Row::Pinned => plan.extend(
                [
                    self.clean("pinned-throughput", throughput, Measure::Throughput),
                    self.plain("pinned-throughput-plain", throughput),
                    self.clean("pinned-latency", latency, Measure::Latency),
                ]
                .map(|case| Planned {
                    pinned: true,
                    about: format!("{}; both programs on one core", case.about),
                    ..case
                }),
            ),
            Row::Loss => self.curve("loss", self.loss_pct, |loss_pct| (loss_pct, LOSS_RTT_MS), plan)?,
            Row::Rtt => self.curve("rtt", self.rtt_ms, |rtt_ms| (RTT_LOSS_PCT, rtt_ms), plan)?,
        }
        Ok(())
    }

    fn curve(
        &self,
        name: &str,
        points: &[f64],
        link: impl Fn(f64) -> (f64, f64),
        plan: &mut Vec<Planned>,
    ) -> anyhow::Result<()> {
        for at in points {
            let (loss_pct, rtt_ms) = link(*at);
            let line = Line::of_curve(name, loss_pct, rtt_ms, *at, &interop(self.interop)?)?;
            plan.push(self.over(format!("{name}-{at}"), line));
        }
        Ok(())
    }

    fn clean(&self, name: &str, about: &str, measure: Measure) -> Planned {
        self.case(name, about, &WINDOWS, measure)
    }

    fn plain(&self, name: &str, about: &str) -> Planned {
        let about = format!("{about}, without FEC and compression");
        self.case(name, &about, &[&WINDOWS[..], &PLAIN].concat(), Measure::Throughput)
    }

    fn case(&self, name: &str, about: &str, flags: &[&str], measure: Measure) -> Planned {
        let flags = flags.iter().map(ToString::to_string).chain(self.flags.iter().cloned()).collect();
        Planned { name: name.to_owned(), about: about.to_owned(), flags, measure, line: None, pinned: false }
    }

    fn over(&self, name: String, line: Line) -> Planned {
        let about = "requests alone, then beside a bulk stream to the target";
        Planned { name, line: Some(line), ..self.clean("", about, Measure::Line) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(rows: &[Row], scenarios: &[PathBuf]) -> anyhow::Result<Vec<String>> {
        let wishes = Wishes {
            rows,
            flags: &["--crypt".into(), "none".into()],
            loss_pct: &[0.0, 2.5],
            rtt_ms: &[10.0],
            scenarios,
            interop: Some(Path::new("/bin/sh")),
            sessions: 1000,
        };
        let plan = wishes.plan()?;
        assert!(plan.iter().all(|case| case.flags.ends_with(wishes.flags)));
        Ok(plan.into_iter().map(|case| case.name).collect())
    }

    #[test]
    fn rows_become_cases() {
        let all = names(Row::value_variants(), &[]).unwrap().join(" ");
        let expected = "throughput throughput-plain latency idle start scale pinned-throughput \
            pinned-throughput-plain pinned-latency loss-0 loss-2.5 rtt-10";
        assert_eq!(all, expected);
        let said = format!("{:#}", names(&[], &["missing.json".into()]).unwrap_err());
        assert!(said.contains("missing.json"), "{said}");
    }
}
