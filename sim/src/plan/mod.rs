//! The typed contents of a scenario. Imports nothing else of the crate but sides,
//! units and the JSON of names.

mod adversary;
mod expect;
mod fault;
mod host;
mod link;
mod timeline;
mod work;

pub use adversary::{Act, AdversaryPlan, AttackPlan, Source};
pub use expect::{Expectation, Limit, Measure, Quantile};
pub use fault::{FaultKind, FaultName, FaultPlan, Ways, all_healed_at};
pub use host::{ClockPlan, HostPlan, NatPlan, Stall};
pub use link::{
    CodelPlan, FORGED_HEADERS_BYTES, HEADERS_BYTES, LinkPlan, LossPlan, Penalty, PolicerPlan, QueuePlan,
    ReorderPlan, WANDER_STEPS, WanderPlan,
};
pub use timeline::Timeline;
pub use work::{
    BulkPlan, Content, EchoPlan, GameTicksPlan, HalfClosePlan, IdleThenBurstPlan, PagePlan, Proxy,
    RequestResponsePlan, ShortStreamsPlan, StalledReaderPlan, StormPlan, TypingPlan, WorkKind, WorkPlan,
};

use crate::term::in_json;
use engine::{Settings, TunnelConfig, terms};
use std::sync::Arc;

terms! {
    /// The protocol that carries the streams of a run.
    pub enum Transport {
        Karst "karst" "The tunnel."
        TcpCubic "tcp-cubic" "Direct TCP with CUBIC congestion control."
        TcpBbr "tcp-bbr" "Direct TCP with BBR congestion control."
        TcpReno "tcp-reno" "Direct TCP with Reno congestion control."
    }
}

in_json!(Transport);

/// Files that do not name a transport are of the tunnel.
impl Default for Transport {
    fn default() -> Self {
        Self::Karst
    }
}

/// Everything that decides a run, except its seed. Made by [`Scenario::parse`].
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Short name, as in reports.
    pub name: String,
    /// One sentence: what the scenario shows.
    pub description: String,
    /// Seed used when none is given.
    pub seed: u64,
    /// Time after which sources stop offering bytes, microseconds.
    pub duration_us: u64,
    /// Time after the sources stopped within which everything must have arrived, microseconds; `None` is what
    /// [`Bound`](crate::outcome::Bound) computes.
    pub drain_us: Option<u64>,
    /// Client to server.
    pub up: LinkPlan,
    /// Server to client.
    pub down: LinkPlan,
    /// The machines the two sides run on.
    pub hosts: Hosts,
    /// What goes wrong, and when.
    pub faults: Vec<FaultPlan>,
    /// What lies between the client's sockets and the network.
    pub nat: NatPlan,
    /// An attacker on the path.
    pub adversary: AdversaryPlan,
    /// The client's options.
    pub client: SidePlan,
    /// The server's options.
    pub server: SidePlan,
    /// The applications, each on streams of its own.
    pub work: Vec<WorkPlan>,
    /// What the run is expected to measure.
    pub expect: Vec<Expectation>,
    /// Direct TCP instead of the tunnel.
    pub baseline: Option<Baseline>,
    /// Added to the start of the first workload, microseconds: tests plant here what differs from run to run, to prove
    /// that the gate notices. Scenario files cannot set it.
    pub planted: Option<fn() -> u64>,
    /// Seed of the links' random numbers if it differs from the run's, to find out what depends on them. Scenario files
    /// cannot set it.
    pub links_seed: Option<u64>,
}

impl Scenario {
    /// The protocol that carries the streams: the tunnel, or the baseline.
    pub const fn transport(&self) -> Transport {
        match self.baseline {
            None => Transport::Karst,
            Some(baseline) => baseline.transport(),
        }
    }
}

#[cfg(feature = "planted")]
impl Scenario {
    /// Puts a bug into both ends.
    pub fn plant(&mut self, bug: engine::planted::Planted) {
        for side in [&mut self.client, &mut self.server] {
            let config = Arc::make_mut(&mut side.config);
            config.planted = Some(bug);
            config.mux.planted = Some(bug);
        }
    }
}

/// The machines of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// Where the client runs.
    pub client: HostPlan,
    /// Where the server runs.
    pub server: HostPlan,
}

/// Options of one side.
#[derive(Clone, Debug)]
pub struct SidePlan {
    /// As kcptun names them.
    pub settings: Settings,
    /// What the engine made of them.
    pub config: Arc<TunnelConfig>,
}

/// Congestion control of direct TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// As Linux has it by default.
    Cubic,
    /// BBR, version 1 as in Linux.
    Bbr,
    /// As it was before.
    Reno,
}

impl Baseline {
    /// `cubic`, `bbr` or `reno`, as in scenario files and in Linux.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cubic => "cubic",
            Self::Bbr => "bbr",
            Self::Reno => "reno",
        }
    }

    /// The transport that it is.
    pub const fn transport(self) -> Transport {
        match self {
            Self::Cubic => Transport::TcpCubic,
            Self::Bbr => Transport::TcpBbr,
            Self::Reno => Transport::TcpReno,
        }
    }
}
