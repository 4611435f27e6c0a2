//! The rows of `karst-report bench`, and the cases that they become.

use super::emulated::{Bottleneck, EmulatedPath, Point};
use super::scale::STREAMS_PER_SESSION;
use super::trial::Measure;
use std::path::PathBuf;

/// Windows that fill a fast path.
const WINDOWS: [&str; 4] = ["--sndwnd", "1024", "--rcvwnd", "1024"];

/// Neither FEC nor compression.
const PLAIN: [&str; 5] = ["--datashard", "0", "--parityshard", "0", "--nocomp"];

/// Round trip of the curve over loss, and loss of the curve over round trips.
const LOSS_RTT_MS: f64 = 60.0;
const RTT_LOSS_PCT: f64 = 1.0;

/// The bottleneck of both curves.
const BOTTLENECK: Bottleneck = Bottleneck { rate_kbit: 100_000, queue: ("queue_bytes", 750_000, "750 kB") };

/// A group of cases that the command line selects by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// Bulk throughput, processor time and memory; default flags and windows of 1024
    Throughput,
    /// Bulk throughput without FEC and compression
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
    /// Paths of increasing loss
    Loss,
    /// Paths of increasing round-trip time
    Rtt,
}

impl Row {
    /// All rows in measurement order.
    pub const ALL: [Self; 9] = [
        Self::Throughput,
        Self::Plain,
        Self::Latency,
        Self::Idle,
        Self::Start,
        Self::Scale,
        Self::Pinned,
        Self::Loss,
        Self::Rtt,
    ];

    /// The rows that have goals with forged TCP.
    pub const FORGED: [Self; 3] = [Self::Throughput, Self::Plain, Self::Latency];

    /// Whether an emulated path is between the programs.
    pub const fn is_emulated(self) -> bool {
        matches!(self, Self::Loss | Self::Rtt)
    }

    /// Name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Plain => "plain",
            Self::Latency => "latency",
            Self::Idle => "idle",
            Self::Start => "start",
            Self::Scale => "scale",
            Self::Pinned => "pinned",
            Self::Loss => "loss",
            Self::Rtt => "rtt",
        }
    }

    /// Parses the name of a row.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|row| row.name() == name)
    }
}

/// A case with its load, flags and path.
pub struct Planned {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) flags: Vec<String>,
    pub(super) measure: Measure,
    pub(super) path: Option<EmulatedPath>,
    /// Both programs on one core, the load on the others.
    pub(super) pinned: bool,
}

/// Selection and parameters of the cases.
pub struct Selection<'a> {
    /// The rows.
    pub rows: &'a [Row],
    /// Flags of all programs, after those of the cases.
    pub flags: &'a [String],
    /// Points of the curve over loss, percent in each direction.
    pub loss_pct: &'a [f64],
    /// Points of the curve over round-trip time, milliseconds.
    pub rtt_ms: &'a [f64],
    /// Scenario files whose links are also measured.
    pub scenarios: &'a [PathBuf],
    /// Sessions of the row `scale`.
    pub sessions: usize,
}

impl Selection<'_> {
    /// The cases, in the order in which they are measured.
    ///
    /// # Errors
    /// A scenario file that cannot be read, or is not valid.
    pub fn plan(&self) -> anyhow::Result<Vec<Planned>> {
        let mut plan = Vec::new();
        self.rows.iter().for_each(|row| self.row(*row, &mut plan));
        for file in self.scenarios {
            let path = EmulatedPath::of_file(file)?;
            path.conditions(1)?;
            plan.push(self.over(format!("line {}", path.info.curve), path));
        }
        Ok(plan)
    }

    fn row(&self, row: Row, plan: &mut Vec<Planned>) {
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
            Row::Loss => self.curve("loss", self.loss_pct, |loss_pct| (loss_pct, LOSS_RTT_MS), plan),
            Row::Rtt => self.curve("rtt", self.rtt_ms, |rtt_ms| (RTT_LOSS_PCT, rtt_ms), plan),
        }
    }

    fn curve(
        &self,
        curve: &'static str,
        points: &[f64],
        link: impl Fn(f64) -> (f64, f64),
        plan: &mut Vec<Planned>,
    ) {
        plan.extend(points.iter().map(|at| {
            let (loss_pct, rtt_ms) = link(*at);
            let path = EmulatedPath::of_point(Point { curve, at: *at, loss_pct, rtt_ms }, BOTTLENECK);
            self.over(path.info.name(), path)
        }));
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
        Planned { name: name.to_owned(), about: about.to_owned(), flags, measure, path: None, pinned: false }
    }

    fn over(&self, name: String, path: EmulatedPath) -> Planned {
        let about = "requests alone, then beside a bulk stream to the target";
        Planned { name, path: Some(path), ..self.clean("", about, Measure::Path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(rows: &[Row], scenarios: &[PathBuf]) -> anyhow::Result<Vec<String>> {
        let selection = Selection {
            rows,
            flags: &["--crypt".into(), "none".into()],
            loss_pct: &[0.0, 2.5],
            rtt_ms: &[10.0],
            scenarios,
            sessions: 1000,
        };
        let plan = selection.plan()?;
        assert!(plan.iter().all(|case| case.flags.ends_with(selection.flags)));
        Ok(plan.into_iter().map(|case| case.name).collect())
    }

    #[test]
    fn rows_become_cases() {
        let all = names(&Row::ALL, &[]).unwrap().join(" ");
        let expected = "throughput throughput-plain latency idle start scale pinned-throughput \
            pinned-throughput-plain pinned-latency loss-0 loss-2.5 rtt-10";
        assert_eq!(all, expected);
        let said = format!("{:#}", names(&[], &["missing.json".into()]).unwrap_err());
        assert!(said.contains("missing.json"), "{said}");
    }
}
