//! The outcome of a run: one set of types that the simulator writes as JSON and the report generator reads.
//!
//! A results file is `{"format": "karst-sim/1", "runs": [...]}`; each run is an [`Outcome`] whose keys are the field
//! names below. All numbers are integers; times are microseconds of simulated time unless the name says otherwise. Keys
//! are added, not renamed; a change of meaning changes the version of the format.

mod activity;
mod bound;
mod counters;
mod expect;
mod rule;

pub use activity::{Activity, Stall};
pub use bound::Bound;
pub use counters::{AdversaryCounters, Counters, HostCounters};
pub use expect::Unit;
pub use rule::{Rule, Violation};

use crate::plan::{Expectation, FaultName, Limit, Scenario, Transport};
use crate::{Direction, stats, term};
use engine::observe::Counter;
use engine::{Instant, Mark, Marks, Stats, terms};
use hdrhistogram::Histogram;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Name and version of the format.
pub const FORMAT: &str = "karst-sim/1";

/// A results file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Results {
    /// [`FORMAT`].
    pub format: String,
    /// The runs, in order.
    pub runs: Vec<Outcome>,
}

impl Results {
    /// Creates a results file of `runs`.
    pub fn new(runs: Vec<Outcome>) -> Self {
        Self { format: FORMAT.into(), runs }
    }

    /// Reads a results file. Unknown keys are skipped; keys that older files lack have their defaults.
    ///
    /// # Errors
    /// The text is not JSON, lacks a key that every version has, or has another format.
    pub fn read(json: &str) -> Result<Self, ResultsError> {
        let results: Self = serde_json::from_str(json)?;
        if results.format != FORMAT {
            return Err(ResultsError::Format(results.format));
        }
        Ok(results)
    }
}

/// Why a results file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultsError {
    /// The file is not valid JSON, or lacks a key.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The file has another format or version.
    #[error("format is `{0}`, not `{FORMAT}`")]
    Format(String),
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// Name of the scenario.
    pub scenario: String,
    /// Description of the scenario, one sentence.
    pub description: String,
    /// The protocol that carried the streams.
    #[serde(default)]
    pub transport: Transport,
    /// Seed of the run.
    pub seed: u64,
    /// Whether no rule was broken.
    pub ok: bool,
    /// Rules that were broken; the first one ended the run.
    pub violations: Vec<Violation>,
    /// Verdicts on the expectations of the scenario.
    #[serde(default)]
    pub expectations: Vec<ExpectationOutcome>,
    /// Time at which the sources stopped; the end of the run if they did not.
    #[serde(default)]
    pub stopped_us: u64,
    /// Simulated time at the end.
    pub sim_us: u64,
    /// Real time of the run; 0 if it was not measured. Not part of the result: it differs from run to run.
    pub wall_us: u64,
    /// Events processed.
    pub events: u64,
    /// Trace hash, 16 hexadecimal digits.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    #[schemars(with = "String", regex(pattern = "^[0-9a-f]{16}$"))]
    pub trace_hash: u64,
    /// Time until all data had arrived after the sources stopped, and its bound.
    #[serde(default)]
    pub liveness: LivenessOutcome,
    /// The workloads, in the scenario's order.
    pub workloads: Vec<WorkOutcome>,
    /// Payload read by receivers in each direction, bytes.
    pub useful_bytes: PerDirection<u64>,
    /// Link counters.
    pub links: PerDirection<Counters>,
    /// Counters of the adversary; absent without one.
    #[serde(default, skip_serializing_if = "AdversaryCounters::is_idle")]
    pub adversary: AdversaryCounters,
    /// Counters of the hosts.
    #[serde(default)]
    pub hosts: HostsOutcome,
    /// The faults, in the scenario's order.
    #[serde(default)]
    pub faults: Vec<FaultOutcome>,
    /// Sessions and address translation.
    #[serde(default)]
    pub sessions: SessionsOutcome,
    /// Coverage marks of the engine that were hit, on either side.
    #[serde(default, with = "term::list")]
    #[schemars(schema_with = "term::list::schema::<Mark>")]
    pub marks: Vec<Mark>,
    /// Counters of the client's sessions.
    pub client: SideOutcome,
    /// Counters of the server's sessions.
    pub server: SideOutcome,
}

impl Outcome {
    /// The outcome of a run of `scenario` before its first event.
    pub fn empty(scenario: &Scenario, seed: u64) -> Self {
        Self {
            scenario: scenario.name.clone(),
            description: scenario.description.clone(),
            transport: scenario.transport(),
            seed,
            ok: true,
            violations: Vec::new(),
            expectations: Vec::new(),
            stopped_us: 0,
            sim_us: 0,
            wall_us: 0,
            events: 0,
            trace_hash: 0,
            liveness: LivenessOutcome::default(),
            workloads: Vec::new(),
            useful_bytes: PerDirection::default(),
            links: PerDirection::default(),
            adversary: AdversaryCounters::default(),
            hosts: HostsOutcome::default(),
            faults: Vec::new(),
            sessions: SessionsOutcome::default(),
            marks: Vec::new(),
            client: SideOutcome::default(),
            server: SideOutcome::default(),
        }
    }

    /// Whether no rule was broken, all data arrived, and every expectation is met.
    pub fn passed(&self) -> bool {
        self.verdict() == Verdict::Ok
    }

    /// The verdict on the run, the first that applies.
    pub fn verdict(&self) -> Verdict {
        // Without a limit the sources did not stop, or the file is of a version that did not write it.
        let arrived = self.liveness.needed_us.is_some() || self.liveness.limit_us == 0;
        match (self.ok, arrived, self.expectations.iter().all(|expectation| expectation.ok)) {
            (false, ..) => Verdict::Failed,
            (true, false, _) => Verdict::Incomplete,
            (true, true, false) => Verdict::Unmet,
            (true, true, true) => Verdict::Ok,
        }
    }

    /// Whether the run counted the segments and repairs of its transport: a tunnel does, direct TCP only if it has a
    /// counter that moved.
    pub const fn counts_segments(&self) -> bool {
        matches!(self.transport, Transport::Karst)
            || self.client.stats.out_segs + self.server.stats.out_segs > 0
    }

    /// Evaluates the expectations of the scenario from the other fields.
    pub fn judge(&mut self, expectations: &[Expectation]) {
        self.expectations = expectations.iter().map(|one| ExpectationOutcome::new(one, self)).collect();
    }
}

terms! {
    /// Verdicts on a run.
    pub enum Verdict {
        Ok "ok" "No rule was broken, all data arrived, every expectation is met."
        Failed "FAILED" "A rule was broken."
        Incomplete "INCOMPLETE" "Data did not arrive within the time allowed; direct TCP has no rule against it."
        Unmet "expectation not met" "An expectation is not met."
    }
}

/// A pair of values, one for each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PerDirection<T> {
    /// Client to server.
    pub up: T,
    /// Server to client.
    pub down: T,
}

/// Time to drain after the sources stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LivenessOutcome {
    /// Start: sources have stopped and all outages have healed; 0 if the sources did not stop.
    pub from_us: u64,
    /// Time until all data had arrived; `null` if it did not.
    pub needed_us: Option<u64>,
    /// Maximum time allowed.
    pub limit_us: u64,
    /// Terms of the maximum; `null` when the scenario sets it.
    pub bound: Option<Bound>,
}

impl LivenessOutcome {
    /// End of the time allowed.
    pub fn ends_at(&self) -> Instant {
        Instant::from_micros(self.from_us.saturating_add(self.limit_us))
    }

    /// Records that all data has arrived at `now`.
    pub const fn note_done(&mut self, now: Instant) {
        self.needed_us = Some(now.as_micros().saturating_sub(self.from_us));
    }
}

/// An expectation of the scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExpectationOutcome {
    /// The measured quantity.
    #[serde(rename = "what")]
    pub quantity: String,
    /// Unit of the figures.
    pub unit: Unit,
    /// Lower limit, if there is one.
    pub at_least: Option<u64>,
    /// Upper limit, if there is one.
    pub at_most: Option<u64>,
    /// Measured value; `null` if the run did not measure it.
    pub measured: Option<u64>,
    /// Whether the expectation is met.
    pub ok: bool,
}

impl ExpectationOutcome {
    /// Evaluates `expectation`.
    pub fn new(expectation: &Expectation, outcome: &Outcome) -> Self {
        let (measured, ok) = expectation.judge(outcome);
        let (at_least, at_most) = match expectation.limit {
            Limit::AtLeast(least) => (Some(least), None),
            Limit::AtMost(most) => (None, Some(most)),
        };
        let Expectation { measure, .. } = expectation;
        Self { quantity: measure.words(), unit: measure.unit(), at_least, at_most, measured, ok }
    }
}

/// A fault of the scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FaultOutcome {
    /// Kind of the fault: its key in the scenario.
    pub kind: FaultName,
    /// Start of the fault.
    pub at_us: u64,
    /// End of the fault.
    pub healed_us: u64,
    /// Time from healing until an application read data sent later, per direction; `null` if none.
    pub recovery_us: PerDirection<Option<u64>>,
}

/// Sessions and address translation of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SessionsOutcome {
    /// Tunnels the client dialled.
    pub dials: u64,
    /// Sessions the server accepted.
    pub accepted: u64,
    /// Sessions that ended on either side because of a fault.
    pub ended: u64,
    /// Sessions the server migrated to another address.
    pub moved: u64,
    /// Public addresses assigned to the client.
    pub addresses: u64,
    /// Datagrams dropped because their public address was no longer mapped.
    pub dropped_nat: u64,
    /// Datagrams dropped because their process was not running.
    pub dropped_down: u64,
}

/// The outcome of a workload, by `kind`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WorkOutcome {
    /// A bulk transfer.
    Bulk(BulkOutcome),
    /// Messages that are echoed.
    Echo(EchoOutcome),
    /// Requests, timed to the end of their replies.
    RequestResponse(Activity),
    /// Streams with one request each, timed to the end of the reply.
    ShortStreams(Activity),
    /// Pages, timed to their last object.
    Page(Activity),
    /// Messages of both directions, timed one way.
    GameTicks(Activity),
    /// Keystrokes, timed to their echo.
    Typing(Activity),
    /// Downloads, not timed; see [`Stall`].
    StalledReader(Activity),
    /// Requests, timed to the end of their late replies.
    HalfClose(Activity),
    /// Streams, timed to the moment the server read their end.
    Storm(Activity),
    /// Bursts, timed from their request to their last byte.
    IdleThenBurst(Activity),
}

impl WorkOutcome {
    /// The counts of a workload of many streams or messages, and a label for its kind; `None` for transfers and echoes.
    pub const fn activity(&self) -> Option<(&'static str, &Activity)> {
        match self {
            Self::Bulk(_) | Self::Echo(_) => None,
            Self::RequestResponse(activity) => Some(("requests", activity)),
            Self::ShortStreams(activity) => Some(("short streams", activity)),
            Self::Page(activity) => Some(("pages", activity)),
            Self::GameTicks(activity) => Some(("game", activity)),
            Self::Typing(activity) => Some(("typing", activity)),
            Self::StalledReader(activity) => Some(("stalled reader", activity)),
            Self::HalfClose(activity) => Some(("half-close", activity)),
            Self::Storm(activity) => Some(("storm", activity)),
            Self::IdleThenBurst(activity) => Some(("bursts", activity)),
        }
    }

    /// Name of the workload.
    pub fn name(&self) -> &str {
        match self {
            Self::Bulk(bulk) => &bulk.name,
            Self::Echo(echo) => &echo.name,
            other => other.activity().map_or("", |(_, activity)| &activity.name),
        }
    }

    /// Goodput, for workloads that measure it.
    pub const fn goodput_kbit(&self) -> Option<u64> {
        match self {
            Self::Bulk(bulk) => Some(bulk.goodput_kbit),
            _ => None,
        }
    }

    /// Latencies, for workloads that measure them.
    pub fn latency(&self) -> Option<&Percentiles> {
        match self {
            Self::Bulk(_) => None,
            Self::Echo(echo) => Some(&echo.latency_us),
            other => other.activity().map(|(_, activity)| &activity.latency_us),
        }
    }
}

/// Payload that receivers read in each direction. Echoed bytes count in both directions.
pub fn useful_bytes(workloads: &[WorkOutcome]) -> PerDirection<u64> {
    let mut useful = PerDirection::default();
    for workload in workloads {
        match workload {
            WorkOutcome::Bulk(bulk) if bulk.direction == Direction::Up => useful.up += bulk.bytes_read,
            WorkOutcome::Bulk(bulk) => useful.down += bulk.bytes_read,
            WorkOutcome::Echo(echo) => {
                useful.up += echo.bytes_read;
                useful.down += echo.bytes_read;
            }
            other => {
                let bytes = other.activity().map_or((0, 0), |(_, of)| (of.bytes_up, of.bytes_down));
                useful.up += bytes.0;
                useful.down += bytes.1;
            }
        }
    }
    useful
}

/// Outcome of a bulk transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BulkOutcome {
    /// Name of the workload.
    pub name: String,
    /// Direction of the bytes.
    pub direction: Direction,
    /// Bytes the tunnel accepted from the writer.
    pub bytes_written: u64,
    /// Bytes the reader received and verified.
    pub bytes_read: u64,
    /// Whether all data arrived, in the amount that the scenario requires.
    pub complete: bool,
    /// Time at which the stream was opened.
    pub start_us: u64,
    /// Time at which the last byte was read.
    pub end_us: u64,
    /// Bytes that goodput counts: an endless transfer's until the sources stopped, without what its buffers still held.
    #[serde(default)]
    pub measured_bytes: u64,
    /// Time in which they were read, from `start_us` on.
    #[serde(default)]
    pub measured_us: u64,
    /// Goodput: `measured_bytes` over `measured_us`, kbit/s.
    pub goodput_kbit: u64,
    /// Streams reset because their session ended.
    #[serde(default)]
    pub streams_reset: u64,
}

impl BulkOutcome {
    /// The bytes that goodput counts, and the time in which they were read, microseconds. Files of versions that did not
    /// write them counted all bytes until the last one.
    pub const fn measured(&self) -> (u64, u64) {
        match self.measured_us {
            0 => (self.bytes_read, self.end_us.saturating_sub(self.start_us)),
            us => (self.measured_bytes, us),
        }
    }
}

/// Messages echoed by the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EchoOutcome {
    /// Name of the workload.
    pub name: String,
    /// Bytes per message.
    pub message_bytes: u32,
    /// Time between messages.
    pub interval_us: u64,
    /// Messages sent.
    pub sent: u64,
    /// Messages echoed.
    pub received: u64,
    /// Bytes the tunnel accepted from the client.
    pub bytes_written: u64,
    /// Bytes echoed and verified.
    pub bytes_read: u64,
    /// Time from sending a message to reading the last byte of its echo.
    pub latency_us: Percentiles,
    /// Streams reset because their session ended.
    #[serde(default)]
    pub streams_reset: u64,
}

/// A latency distribution, to three significant digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Percentiles {
    /// Number of samples.
    pub count: u64,
    /// Minimum.
    pub min: u64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile.
    pub p999: u64,
    /// Maximum.
    pub max: u64,
    /// The quantiles at [`CURVE`]: all zero in files of versions that did not write them.
    pub curve: [u64; CURVE.len()],
}

/// Shares of samples whose quantiles draw a distribution, from the minimum to the maximum.
pub const CURVE: [f64; 22] = [
    0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998,
    0.999, 0.9995, 0.9999, 1.0,
];

impl Percentiles {
    /// Share and value of each point of the curve, as far as there are samples to tell its points apart; nothing without
    /// samples or curve.
    pub fn points(&self) -> impl Iterator<Item = (f64, u64)> {
        let known = self.count > 0 && self.curve[CURVE.len() - 1] > 0;
        let told = 1.0 - 1.0 / self.count.max(1) as f64;
        let points = CURVE.into_iter().zip(self.curve);
        points.filter(move |(share, _)| known && (*share <= told || *share == 1.0))
    }
}

/// Collects latencies.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

impl Latency {
    const MAX_US: u64 = 600 * 1_000_000;

    /// Adds a sample; longer ones count as ten minutes.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(Self::MAX_US));
    }

    /// The distribution so far; all zero without samples.
    pub fn percentiles(&self) -> Percentiles {
        let Self(histogram) = self;
        if histogram.is_empty() {
            return Percentiles::default();
        }
        let [p50, p90, p99, p999] = [0.5, 0.9, 0.99, 0.999].map(|share| self.quantile(share));
        Percentiles {
            count: histogram.len(),
            min: histogram.min(),
            p50,
            p90,
            p99,
            p999,
            max: histogram.max(),
            curve: CURVE.map(|share| self.quantile(share)),
        }
    }

    fn quantile(&self, share: f64) -> u64 {
        let Self(histogram) = self;
        let at = |rank: u64| {
            let mut before = 0;
            let reached = histogram.iter_recorded().find(|bucket| {
                before += bucket.count_since_last_iteration();
                before > rank
            });
            reached.map_or(0, |bucket| bucket.value_iterated_to().min(histogram.max())) as f64
        };
        let found = stats::interpolated(histogram.len(), share, at).unwrap_or(0.0);
        // No percentile is outside the range of the samples.
        (found.round() as u64).clamp(histogram.min(), histogram.max())
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, Self::MAX_US, 3).expect("constant bounds are valid"))
    }
}

/// Counters of the two hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HostsOutcome {
    /// Counters of the client's host.
    pub client: HostCounters,
    /// Counters of the server's host.
    pub server: HostCounters,
}

impl HostsOutcome {
    /// From the counters of client and server.
    pub const fn new([client, server]: [HostCounters; 2]) -> Self {
        Self { client, server }
    }
}

/// Counters of one side, the sum over all its sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SideOutcome {
    /// Datagrams the engine dropped.
    pub refused_datagrams: u64,
    /// The engine's counters, each under the name of its field.
    #[serde(flatten, serialize_with = "counters_to_map", deserialize_with = "counters_from_map")]
    #[schemars(schema_with = "counters_schema")]
    pub stats: Stats,
}

impl SideOutcome {
    /// Sums the sessions of a side. Coverage marks are those of the [`Outcome`].
    pub fn new(sessions: Vec<Stats>, refused_datagrams: u64) -> Self {
        Self { refused_datagrams, stats: Stats { marks: Marks::NONE, ..sessions.into_iter().sum() } }
    }
}

/// Without segments nothing but datagrams was counted: what is zero then was not measured, and is left out.
fn counters_to_map<S: Serializer>(stats: &Stats, to: S) -> Result<S::Ok, S::Error> {
    let counts = stats.out_segs + stats.in_segs > 0;
    to.collect_map(stats.counters().filter(|(_, count)| counts || *count > 0))
}

/// Counters that older files lack are 0.
fn counters_from_map<'de, D: Deserializer<'de>>(from: D) -> Result<Stats, D::Error> {
    let values = BTreeMap::<String, Value>::deserialize(from)?;
    let mut stats = Stats::default();
    for Counter { field, of_mut, .. } in Stats::COUNTERS {
        *of_mut(&mut stats) = values.get(*field).and_then(Value::as_u64).unwrap_or(0);
    }
    Ok(stats)
}

fn counters_schema(_: &mut SchemaGenerator) -> Schema {
    let property = |counter: &Counter| {
        let schema = json!({ "type": "integer", "minimum": 0, "description": counter.meaning });
        (counter.field.to_owned(), schema)
    };
    let properties: Map<String, Value> = Stats::COUNTERS.iter().map(property).collect();
    json_schema!({ "type": "object", "properties": properties })
}

fn to_hex<S: Serializer>(hash: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{hash:016x}"))
}

fn from_hex<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    u64::from_str_radix(&String::deserialize(from)?, 16).map_err(serde::de::Error::custom)
}
