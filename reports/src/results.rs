//! Results of the simulator, as far as reports show them. The format is documented in `sim::outcome`; unknown keys are
//! skipped, because keys are only ever added.

use serde::Deserialize;

pub(crate) const FORMAT: &str = "karst-sim/1";

#[derive(Deserialize)]
pub(crate) struct Results {
    pub(crate) format: String,
    pub(crate) runs: Vec<Run>,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Run {
    pub(crate) scenario: String,
    pub(crate) description: String,
    pub(crate) seed: u64,
    pub(crate) ok: bool,
    pub(crate) violations: Vec<Violation>,
    #[serde(default = "karst")]
    pub(crate) transport: String,
    #[serde(default)]
    pub(crate) expectations: Vec<Expectation>,
    pub(crate) sim_us: u64,
    pub(crate) wall_us: u64,
    pub(crate) trace_hash: String,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) useful_bytes: PerDirection<u64>,
    pub(crate) links: PerDirection<Link>,
    pub(crate) client: Side,
    pub(crate) server: Side,
}

/// What carried the streams in files that do not say it.
fn karst() -> String {
    "karst".into()
}

#[derive(Clone, Deserialize)]
pub(crate) struct Expectation {
    pub(crate) what: String,
    pub(crate) unit: String,
    pub(crate) at_least: Option<u64>,
    pub(crate) at_most: Option<u64>,
    pub(crate) measured: Option<u64>,
    pub(crate) ok: bool,
}

impl Run {
    /// No rule was broken and every expectation is met.
    pub(crate) fn passed(&self) -> bool {
        self.ok && self.expectations.iter().all(|expectation| expectation.ok)
    }
}

#[derive(Clone, Deserialize)]
pub(crate) struct Violation {
    pub(crate) at_us: u64,
    pub(crate) rule: String,
    pub(crate) detail: String,
}

#[derive(Clone, Deserialize)]
pub(crate) struct PerDirection<T> {
    pub(crate) up: T,
    pub(crate) down: T,
}

#[derive(Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Workload {
    Bulk(Bulk),
    Echo(Echo),
    #[serde(
        rename = "request_response",
        alias = "short_streams",
        alias = "page",
        alias = "game_ticks",
        alias = "typing",
        alias = "stalled_reader",
        alias = "half_close",
        alias = "storm",
        alias = "idle_then_burst"
    )]
    Activity(Activity),
}

#[derive(Clone, Deserialize)]
pub(crate) struct Bulk {
    pub(crate) name: String,
    pub(crate) direction: String,
    pub(crate) bytes_read: u64,
    pub(crate) complete: bool,
    pub(crate) start_us: u64,
    pub(crate) end_us: u64,
    pub(crate) goodput_kbit: u64,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Echo {
    pub(crate) name: String,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) latency_us: Percentiles,
}

/// A workload of messages, requests, objects or streams.
#[derive(Clone, Deserialize)]
pub(crate) struct Activity {
    pub(crate) name: String,
    pub(crate) begun: u64,
    pub(crate) done: u64,
    pub(crate) streams_reset: u64,
    pub(crate) latency_us: Percentiles,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Percentiles {
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p99: u64,
    pub(crate) max: u64,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Link {
    pub(crate) sent_packets: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) dropped_mtu: u64,
    pub(crate) dropped_loss: u64,
    pub(crate) dropped_queue: u64,
    pub(crate) queue_peak_bytes: u64,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Side {
    pub(crate) out_segs: u64,
    pub(crate) lost_segs: u64,
    pub(crate) fast_retrans_segs: u64,
    pub(crate) early_retrans_segs: u64,
    pub(crate) fec_recovered: u64,
    pub(crate) fec_errs: u64,
}
