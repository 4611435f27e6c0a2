//! Congestion control: how much may be in flight and how fast it may leave, decided by one replaceable part behind a small
//! trait.
//!
//! Every mode is under a controller unless the option `governor` is off (CC-17, CC-19).
//!
//! Without a [`Controller`] an [`Arq`](crate::arq::Arq) is the reference: kcp-go's windows, flushes and timeouts, byte for byte.
//! With one, its sender is paced, and reports the fate of every transmission to the controller. Nothing of this is on the
//! wire: segments, acknowledgements and windows mean what they always mean, so the peer may be any KCP.
//!
//! [`Auto`] is the controller of `--mode auto`; `auto.rs` describes its model and gives the sources.

mod aggregation;
mod auto;
mod delivery;
mod loss;
mod max_filter;
mod path;
mod policer;
mod probe_up;
mod rtt;
mod startup;

pub use auto::{Auto, Phase};
pub use path::Path;

use crate::time::Instant;

/// Runs of losses beyond the expected ones below which nothing is concluded.
const RUNS_MIN: u64 = 4;

/// Sending rate relative to the estimated bandwidth; determines how losses are interpreted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Load {
    /// Below the estimated bandwidth: loss is random, not congestion of this sender's making.
    Below,
    /// At the estimated bandwidth.
    #[default]
    At,
    /// Above the estimated bandwidth, to probe for more.
    Above,
}

/// Transmissions by their fate, in segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Segments known to be delivered.
    pub delivered: u32,
    /// Segments taken for lost.
    pub lost: u32,
    /// Runs of consecutive transmissions among them: a burst of losses is one event, however long.
    pub runs: u32,
}

impl Tally {
    /// Segments delivered plus lost.
    pub const fn total(self) -> u32 {
        self.delivered + self.lost
    }

    /// Loss rate, parts per million; 0 of no segments.
    pub const fn loss_ppm(self) -> u32 {
        match (self.lost as u64 * 1_000_000).checked_div(self.total() as u64) {
            Some(ppm) => ppm as u32,
            None => 0,
        }
    }

    const fn add(&mut self, more: Self) {
        self.delivered += more.delivered;
        self.lost += more.lost;
        self.runs += more.runs;
    }

    /// Whether there are more runs of losses than chance explains on a path that loses as often as in `random`: the mean of a
    /// Poisson distribution, three standard deviations and three.
    pub(crate) fn exceeds(self, random: Self) -> bool {
        let expected = u64::from(random.runs) * u64::from(self.total()) / u64::from(random.total()).max(1);
        u64::from(self.runs) >= expected + 3 * expected.isqrt() + RUNS_MIN
    }
}

/// A measured delivery rate (draft-cheng-iccrg-delivery-rate-estimation).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateSample {
    /// Delivery rate, bytes per second.
    pub bytes_s: u64,
    /// Bytes that were delivered when the newest segment of the sample was sent (`rs.prior_delivered`).
    pub delivered_before: u64,
    /// When that segment was sent.
    pub sent_at: Instant,
    /// The sender had no data for a part of the time, so the path may carry more (`rs.is_app_limited`).
    pub app_limited: bool,
}

/// Fate of transmissions, as learned from the acknowledgements of one datagram, or from a timer.
#[derive(Clone, Copy, Debug)]
pub struct AckEvent {
    /// Time of the event.
    pub now: Instant,
    /// Segments by the load they were sent under ([`Load`] as an index).
    pub tallies: [Tally; 3],
    /// Bytes delivered since the session began.
    pub delivered_bytes: u64,
    /// Bytes delivered since the last event.
    pub newly_delivered_bytes: u64,
    /// Bytes in flight now: sent, neither acknowledged nor taken for lost.
    pub in_flight_bytes: u64,
    /// Shortest round trip measured since the last event, microseconds.
    pub rtt_us: Option<u64>,
    /// Time after which a segment that was not delivered is taken for lost, and no longer in flight, microseconds.
    pub lost_after_us: u64,
    /// Delivery rate of the newest segment delivered.
    pub rate: Option<RateSample>,
}

/// A controller's view of the path, for status pages and recordings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlState {
    /// Phase of the controller, as [`Phase::name`].
    pub phase: &'static str,
    /// Estimated bandwidth of the bottleneck, bytes of segments per second.
    pub bandwidth_bytes_s: u64,
    /// Minimum round trip, microseconds.
    pub min_rtt_us: u64,
    /// Pacing rate, bytes per second.
    pub pacing_bytes_s: u64,
    /// Bytes that may be in flight.
    pub window_bytes: u64,
    /// Bytes in flight.
    pub in_flight_bytes: u64,
    /// Loss rate of all transmissions to the peer, parts per million (CC-20).
    pub loss_ppm: u32,
}

/// Decides how much may be in flight and how fast it may leave. All bytes are those of segments, headers included.
pub trait Controller: core::fmt::Debug + Send {
    /// Transmissions were delivered or lost.
    fn on_ack(&mut self, event: &AckEvent);

    /// The peer was silent for so long that everything in flight counts as lost; the event with these losses follows.
    fn on_timeout(&mut self);

    /// Load of what is sent now.
    fn load(&self) -> Load;

    /// Pacing rate, bytes per second.
    fn pacing_bytes_s(&self) -> u64;

    /// Bytes that may be in flight.
    fn window_bytes(&self) -> u64;

    /// View of the path; the caller fills in the bytes in flight, and the loss rate that sessions share.
    fn state(&self) -> ControlState;
}
