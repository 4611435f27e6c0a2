//! What a run found, as data. Its JSON form is what the report generator reads.
//!
//! A results file is `{"format": "karst-sim/1", "runs": [...]}`; each run is an [`Outcome`] whose keys are the field
//! names below. All numbers are integers; times are microseconds of simulated time unless the name says otherwise. Keys
//! are added, not renamed; a change of meaning changes the format's number.

mod activity;
mod expect;

pub use activity::{Activity, Stall};

use crate::check::{Bound, Violation, whole_from};
use crate::host::HostCounters;
use crate::link::Counters;
use crate::plan::{Expectation, Limit, Scenario};
use engine::{Instant, Stats};
use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use std::time::Duration;

/// The format's name and number.
pub const FORMAT: &str = "karst-sim/1";

/// A results file.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Results {
    /// [`FORMAT`].
    pub format: &'static str,
    /// The runs, in the order they were made.
    pub runs: Vec<Outcome>,
}

impl Results {
    /// A results file of these runs.
    pub const fn new(runs: Vec<Outcome>) -> Self {
        Self { format: FORMAT, runs }
    }
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Outcome {
    /// Name of the scenario.
    pub scenario: String,
    /// What it shows.
    pub description: String,
    /// What carried the streams: `karst`, or what it is compared with, `tcp-cubic` or `tcp-reno`.
    pub transport: &'static str,
    /// Seed of the run.
    pub seed: u64,
    /// No rule was broken.
    pub ok: bool,
    /// Rules that were broken; the first one ended the run.
    pub violations: Vec<ViolationOutcome>,
    /// What the scenario expected, and what came of it.
    pub expectations: Vec<ExpectationOutcome>,
    /// When the sources stopped; the end of the run when they never did.
    pub stopped_us: u64,
    /// Simulated time at the end.
    pub sim_us: u64,
    /// Real time the run took; 0 when nobody measured it. Not part of the result: it differs from run to run.
    pub wall_us: u64,
    /// Events processed.
    pub events: u64,
    /// Fingerprint, 16 hexadecimal digits.
    #[serde(serialize_with = "hex")]
    #[schemars(with = "String", regex(pattern = "^[0-9a-f]{16}$"))]
    pub trace_hash: u64,
    /// How long the rest took to arrive, and might have taken.
    pub liveness: LivenessOutcome,
    /// The workloads, in the scenario's order.
    pub workloads: Vec<WorkOutcome>,
    /// Payload read by receivers in each direction, bytes.
    pub useful_bytes: PerDirection<u64>,
    /// Link counters.
    pub links: PerDirection<LinkOutcome>,
    /// Counters of the machines.
    pub hosts: HostsOutcome,
    /// The faults, in the scenario's order.
    pub faults: Vec<FaultOutcome>,
    /// What the network and the driver did about sessions.
    pub sessions: SessionsOutcome,
    /// Names of the engine's rare paths that were taken, on either side.
    pub marks: Vec<&'static str>,
    /// Engine counters.
    pub client: SideOutcome,
    /// Engine counters.
    pub server: SideOutcome,
}

impl Outcome {
    /// A run of `scenario` in which nothing has happened.
    pub fn nothing(scenario: &Scenario, seed: u64) -> Self {
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
            hosts: HostsOutcome::default(),
            faults: Vec::new(),
            sessions: SessionsOutcome::default(),
            marks: Vec::new(),
            client: SideOutcome::default(),
            server: SideOutcome::default(),
        }
    }

    /// No rule was broken and every expectation is met.
    pub fn passed(&self) -> bool {
        self.ok && self.expectations.iter().all(|expectation| expectation.ok)
    }

    /// Judges the scenario's expectations by everything else that is known.
    pub fn judge(&mut self, expectations: &[Expectation]) {
        self.expectations = expectations.iter().map(|one| ExpectationOutcome::new(one, self)).collect();
    }
}

/// A pair of values, one for each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PerDirection<T> {
    /// Client to server.
    pub up: T,
    /// Server to client.
    pub down: T,
}

/// The time after the stop of the sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LivenessOutcome {
    /// When they had stopped and nothing was cut any more; 0 when they never stopped.
    pub from_us: u64,
    /// Time from then until everything had arrived; `null` when it never did.
    pub needed_us: Option<u64>,
    /// Time it might have taken.
    pub limit_us: u64,
    /// How that was computed; `null` when the scenario says it.
    pub bound: Option<Bound>,
}

impl LivenessOutcome {
    /// The sources of a run of `scenario` stop at `now`.
    pub fn new(scenario: &Scenario, now: Instant, outstanding_bytes: u64) -> Self {
        let bound = scenario.drain_us.is_none().then(|| Bound::new(scenario, now, outstanding_bytes));
        let limit_us = scenario.drain_us.or_else(|| bound.map(|bound| bound.total_us())).unwrap_or(0);
        let from_us = now.max(whole_from(scenario)).as_micros();
        Self { from_us, needed_us: None, limit_us, bound }
    }

    /// When the time is up.
    pub fn ends_at(&self) -> Instant {
        Instant::from_micros(self.from_us.saturating_add(self.limit_us))
    }

    /// Everything has arrived at `now`.
    pub const fn note_done(&mut self, now: Instant) {
        self.needed_us = Some(now.as_micros().saturating_sub(self.from_us));
    }
}

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ViolationOutcome {
    /// When.
    pub at_us: u64,
    /// Name of the rule.
    pub rule: &'static str,
    /// How it was broken.
    pub detail: String,
}

impl From<&Violation> for ViolationOutcome {
    fn from(violation: &Violation) -> Self {
        let Violation { at_us, rule, detail } = violation;
        Self { at_us: *at_us, rule: rule.name(), detail: detail.clone() }
    }
}

/// An expectation of the scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ExpectationOutcome {
    /// What was measured, in words.
    pub what: String,
    /// Unit of the figures: `kbit/s`, `us` or `thousandths`.
    pub unit: &'static str,
    /// The least that was expected, if there was such a limit.
    pub at_least: Option<u64>,
    /// The most that was expected, if there was such a limit.
    pub at_most: Option<u64>,
    /// What was measured; `null` when the run did not get that far.
    pub measured: Option<u64>,
    /// The expectation is met.
    pub ok: bool,
}

impl ExpectationOutcome {
    /// What `outcome` makes of `expectation`.
    pub fn new(expectation: &Expectation, outcome: &Outcome) -> Self {
        let (measured, ok) = expectation.judge(outcome);
        let (at_least, at_most) = match expectation.limit {
            Limit::AtLeast(least) => (Some(least), None),
            Limit::AtMost(most) => (None, Some(most)),
        };
        let Expectation { measure, .. } = expectation;
        Self { what: measure.words(), unit: measure.unit(), at_least, at_most, measured, ok }
    }
}

/// A fault that a scenario asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FaultOutcome {
    /// Its key in the scenario.
    pub kind: &'static str,
    /// When it began.
    pub at_us: u64,
    /// When it was healed.
    pub healed_us: u64,
    /// From then to the first bytes an application read that were sent later, in each direction; `null` if none.
    pub recovery_us: PerDirection<Option<u64>>,
}

/// How sessions came and went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SessionsOutcome {
    /// Tunnels the client dialled.
    pub dials: u64,
    /// Sessions the server accepted.
    pub accepted: u64,
    /// Sessions that ended, on either side, for reasons that the faults explain.
    pub ended: u64,
    /// Sessions the server moved to another address.
    pub moved: u64,
    /// Public addresses the client was given.
    pub addresses: u64,
    /// Datagrams dropped because nobody had the public address they went to any more.
    pub dropped_nat: u64,
    /// Datagrams dropped because the process they were for was not running.
    pub dropped_down: u64,
}

/// A workload; `kind` says which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WorkOutcome {
    /// A transfer.
    Bulk(BulkOutcome),
    /// Messages sent back.
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
    /// The counts of a workload of many streams or messages, and its kind in words; `None` for transfers and echoes.
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

    /// Payload per time, of those that measure it.
    pub const fn goodput_kbit(&self) -> Option<u64> {
        match self {
            Self::Bulk(bulk) => Some(bulk.goodput_kbit),
            _ => None,
        }
    }

    /// Latencies, of those that measure them.
    pub fn latency(&self) -> Option<&Percentiles> {
        match self {
            Self::Bulk(_) => None,
            Self::Echo(echo) => Some(&echo.latency_us),
            other => other.activity().map(|(_, activity)| &activity.latency_us),
        }
    }
}

/// A transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BulkOutcome {
    /// Name of the workload.
    pub name: String,
    /// `up` or `down`.
    pub direction: String,
    /// Bytes the tunnel accepted from the writer.
    pub bytes_written: u64,
    /// Bytes the reader got and found equal.
    pub bytes_read: u64,
    /// Everything arrived, and as much as the scenario asked for.
    pub complete: bool,
    /// When the stream was opened.
    pub start_us: u64,
    /// When the last byte was read.
    pub end_us: u64,
    /// Bytes read over the time between, kbit/s.
    pub goodput_kbit: u64,
    /// Streams lost with the session that carried them.
    pub streams_reset: u64,
}

/// Messages sent back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EchoOutcome {
    /// Name of the workload.
    pub name: String,
    /// Bytes per message.
    pub message_bytes: u32,
    /// Time between messages.
    pub interval_us: u64,
    /// Messages made.
    pub sent: u64,
    /// Messages that came back.
    pub received: u64,
    /// Bytes the tunnel accepted from the client.
    pub bytes_written: u64,
    /// Bytes that came back and were found equal.
    pub bytes_read: u64,
    /// From making a message to its last byte coming back.
    pub latency_us: Percentiles,
    /// Streams lost with the session that carried them.
    pub streams_reset: u64,
}

/// A distribution, to three significant digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Percentiles {
    /// Samples.
    pub count: u64,
    /// Smallest.
    pub min: u64,
    /// Half of the samples are at most this.
    pub p50: u64,
    /// 90 % are.
    pub p90: u64,
    /// 99 % are.
    pub p99: u64,
    /// 99.9 % are.
    pub p999: u64,
    /// Largest.
    pub max: u64,
}

/// Collects latencies.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

impl Latency {
    const MAX_US: u64 = 600 * 1_000_000;

    /// Adds one; more than ten minutes count as ten minutes.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(Self::MAX_US));
    }

    /// The distribution so far; all zero when there is none.
    pub fn percentiles(&self) -> Percentiles {
        let Self(histogram) = self;
        if histogram.is_empty() {
            return Percentiles::default();
        }
        Percentiles {
            count: histogram.len(),
            min: histogram.min(),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        }
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, Self::MAX_US, 3).expect("constant bounds are valid"))
    }
}

/// A link. Bytes include IP and UDP headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LinkOutcome {
    /// Packets handed to the link.
    pub sent_packets: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Packets handed to the receiver.
    pub delivered_packets: u64,
    /// Their bytes.
    pub delivered_bytes: u64,
    /// Extra copies made.
    pub duplicated_packets: u64,
    /// Packets held back.
    pub reordered_packets: u64,
    /// Delivered with flipped bits.
    pub corrupted_packets: u64,
    /// Penalties of the policer.
    pub penalties: u64,
    /// Dropped as larger than the mtu.
    pub dropped_mtu: u64,
    /// Dropped because the link was dead.
    pub dropped_blackout: u64,
    /// Dropped because their numbers were listed.
    pub dropped_list: u64,
    /// Dropped at random.
    pub dropped_loss: u64,
    /// Dropped by the policer.
    pub dropped_policer: u64,
    /// Dropped before a full queue.
    pub dropped_queue: u64,
    /// Dropped by CoDel.
    pub dropped_codel: u64,
    /// Still inside at the end.
    pub in_flight_packets: u64,
    /// Most bytes that ever waited.
    pub queue_peak_bytes: u64,
}

impl From<&Counters> for LinkOutcome {
    fn from(counters: &Counters) -> Self {
        Self {
            sent_packets: counters.sent_packets,
            sent_bytes: counters.sent_bytes,
            delivered_packets: counters.delivered_packets,
            delivered_bytes: counters.delivered_bytes,
            duplicated_packets: counters.duplicated_packets,
            reordered_packets: counters.reordered_packets,
            corrupted_packets: counters.corrupted_packets,
            penalties: counters.penalties,
            dropped_mtu: counters.dropped_mtu,
            dropped_blackout: counters.dropped_blackout,
            dropped_list: counters.dropped_list,
            dropped_loss: counters.dropped_loss,
            dropped_policer: counters.dropped_policer,
            dropped_queue: counters.dropped_queue,
            dropped_codel: counters.dropped_codel,
            in_flight_packets: counters.in_flight().unwrap_or(0),
            queue_peak_bytes: counters.queue_peak_bytes,
        }
    }
}

/// The two machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HostsOutcome {
    /// The client's.
    pub client: HostOutcome,
    /// The server's.
    pub server: HostOutcome,
}

impl HostsOutcome {
    /// From the counters of the client's machine and the server's.
    pub fn new(counters: [&HostCounters; 2]) -> Self {
        let [client, server] = counters.map(|counters| HostOutcome {
            dropped_socket: counters.dropped_socket,
            socket_peak_bytes: counters.socket_peak_bytes,
            cpu_busy_us: counters.cpu_busy_us,
            clock_offset_us: counters.clock_offset_us,
        });
        Self { client, server }
    }
}

/// A machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HostOutcome {
    /// Datagrams that arrived when the socket's buffer was full.
    pub dropped_socket: u64,
    /// Most bytes that ever waited in the socket.
    pub socket_peak_bytes: u64,
    /// Time the processor worked.
    pub cpu_busy_us: u64,
    /// What the clock showed at the beginning, plus its steps.
    pub clock_offset_us: u64,
}

/// Counters of one side's tunnel, under kcp-go's SNMP names where it has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SideOutcome {
    /// Datagrams the engine dropped.
    pub refused_datagrams: u64,
    /// Datagrams sent, parity included.
    pub out_pkts: u64,
    /// Datagrams fed in.
    pub in_pkts: u64,
    /// Segments encoded.
    pub out_segs: u64,
    /// Segments received.
    pub in_segs: u64,
    /// All retransmissions.
    pub retrans_segs: u64,
    /// Retransmissions by duplicate acknowledgements.
    pub fast_retrans_segs: u64,
    /// Retransmissions with nothing new to send.
    pub early_retrans_segs: u64,
    /// Retransmissions by timeout.
    pub lost_segs: u64,
    /// Segments received twice.
    pub repeat_segs: u64,
    /// Parity packets stored.
    pub fec_parity_shards: u64,
    /// Data shards rebuilt.
    pub fec_recovered: u64,
    /// Attempts to rebuild a shard group that failed.
    pub fec_errs: u64,
}

impl SideOutcome {
    /// The sum over all tunnels that a side had.
    pub fn sum(all: &[Stats], refused_datagrams: u64) -> Self {
        all.iter().fold(Self { refused_datagrams, ..Self::default() }, |sum, stats| {
            let Self {
                refused_datagrams: _,
                out_pkts,
                in_pkts,
                out_segs,
                in_segs,
                retrans_segs,
                fast_retrans_segs,
                early_retrans_segs,
                lost_segs,
                repeat_segs,
                fec_parity_shards,
                fec_recovered,
                fec_errs,
            } = Self::new(stats, 0);
            Self {
                refused_datagrams: sum.refused_datagrams,
                out_pkts: sum.out_pkts + out_pkts,
                in_pkts: sum.in_pkts + in_pkts,
                out_segs: sum.out_segs + out_segs,
                in_segs: sum.in_segs + in_segs,
                retrans_segs: sum.retrans_segs + retrans_segs,
                fast_retrans_segs: sum.fast_retrans_segs + fast_retrans_segs,
                early_retrans_segs: sum.early_retrans_segs + early_retrans_segs,
                lost_segs: sum.lost_segs + lost_segs,
                repeat_segs: sum.repeat_segs + repeat_segs,
                fec_parity_shards: sum.fec_parity_shards + fec_parity_shards,
                fec_recovered: sum.fec_recovered + fec_recovered,
                fec_errs: sum.fec_errs + fec_errs,
            }
        })
    }

    /// The counters of a report, from the engine's.
    pub const fn new(stats: &Stats, refused_datagrams: u64) -> Self {
        Self {
            refused_datagrams,
            out_pkts: stats.out_pkts,
            in_pkts: stats.in_pkts,
            out_segs: stats.out_segs,
            in_segs: stats.in_segs,
            retrans_segs: stats.retrans_segs,
            fast_retrans_segs: stats.fast_retrans_segs,
            early_retrans_segs: stats.early_retrans_segs,
            lost_segs: stats.lost_segs,
            repeat_segs: stats.repeat_segs,
            fec_parity_shards: stats.fec_parity_shards,
            fec_recovered: stats.fec_recovered,
            fec_errs: stats.fec_errs,
        }
    }
}

fn hex<S: Serializer>(hash: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{hash:016x}"))
}
