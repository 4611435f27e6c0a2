//! What decides how much is sent and how fast: one replaceable part behind a small trait.
//!
//! Without a [`Controller`] an [`Arq`](crate::arq::Arq) is the reference: kcp-go's windows, flushes and timeouts, byte for byte. With
//! one, its sender is paced, and the controller is told what became of every transmission. Nothing of that
//! is on the wire: segments, acknowledgements and windows mean what they always mean, so any peer will do.
//!
//! [`Auto`] is the controller of `--mode auto`; its model stands in [`model`].

mod loss;
mod max_filter;
mod model;

pub use model::{Auto, Phase};

use crate::time::Instant;

/// How hard the path was used when something was sent: what is lost then means different things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Load {
    /// Less than the path is believed to carry: what is lost is no congestion of this sender's.
    Gentle,
    /// As much.
    #[default]
    Even,
    /// More, to see whether it carries more.
    Push,
}

/// What became of transmissions, in segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Known to have arrived.
    pub delivered: u32,
    /// Taken for lost.
    pub lost: u32,
}

impl Tally {
    /// Both.
    pub const fn total(self) -> u32 {
        self.delivered + self.lost
    }

    /// Share that was lost, millionths; 0 of nothing.
    pub const fn loss_ppm(self) -> u32 {
        match (self.lost as u64 * 1_000_000).checked_div(self.total() as u64) {
            Some(ppm) => ppm as u32,
            None => 0,
        }
    }
}

/// A measured rate at which the peer received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateSample {
    /// Bytes per second.
    pub bytes_s: u64,
    /// Bytes that were known to be delivered when the newest segment of the sample was sent.
    pub delivered_before: u64,
    /// When that segment was sent.
    pub sent_at: Instant,
    /// The sender had nothing to send for a part of the time, so that the path may carry more.
    pub app_limited: bool,
}

/// What acknowledgements that came together, or a timer, said.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// When.
    pub now: Instant,
    /// What became of transmissions, by the load they were sent under ([`Load`] as an index).
    pub tallies: [Tally; 3],
    /// Bytes known to be delivered since the session began.
    pub delivered_bytes: u64,
    /// Of these, newly known.
    pub newly_delivered_bytes: u64,
    /// Bytes that are in flight now: sent, not acknowledged, not taken for lost.
    pub in_flight_bytes: u64,
    /// The shortest round trip that was measured.
    pub rtt_us: Option<u64>,
    /// The rate that was measured.
    pub rate: Option<RateSample>,
}

/// A controller's view of the path, for status pages and recordings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlState {
    /// What it is doing, in one word.
    pub phase: &'static str,
    /// Estimated rate of the bottleneck, bytes of segments per second.
    pub bandwidth_bytes_s: u64,
    /// Estimated round trip without queues, microseconds.
    pub min_rtt_us: u64,
    /// Rate at which segments may leave, bytes per second.
    pub pacing_bytes_s: u64,
    /// Bytes that may be in flight.
    pub window_bytes: u64,
    /// Bytes that are in flight.
    pub in_flight_bytes: u64,
    /// Estimated loss that is not congestion, millionths.
    pub loss_ppm: u32,
}

/// Decides how much may be in flight and how fast it may leave. All bytes are those of segments, headers included.
pub trait Controller: core::fmt::Debug + Send {
    /// News from the path.
    fn report(&mut self, report: &Report);

    /// Nothing was heard for so long that all that is in flight counts as lost.
    fn timed_out(&mut self);

    /// How hard the path is used by what is sent now.
    fn load(&self) -> Load;

    /// Rate at which segments may leave, bytes per second.
    fn pacing_bytes_s(&self) -> u64;

    /// Bytes that may be in flight.
    fn window_bytes(&self) -> u64;

    /// Its view of the path; the caller fills in what is in flight.
    fn state(&self) -> ControlState;
}
