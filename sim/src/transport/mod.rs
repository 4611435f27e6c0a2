//! The protocols that carry the streams of applications: the tunnel, and direct TCP for comparison.

mod network;
mod port;
pub mod tcp;
pub mod tunnel;

pub use network::Network;
pub use port::{Port, SidePort};

use crate::Side;
use crate::host::Alarm;
use crate::ids::{Node, PacketId, Stream};
use crate::outcome::Outcome;
use crate::plan::{FaultKind, Scenario};
use core::ops::Range;
use engine::Instant;
use engine::mux::{ReadError, WriteError};
use std::collections::BTreeMap;

/// A protocol that carries streams: its two sides and the network between them. Times are those of the run, not of a side's clock.
///
/// A call may send packets and break rules at once; the resulting [`Notice`]s for applications are fetched
/// with [`Transport::poll`].
pub trait Transport {
    /// Whether data that does not arrive in time breaks [`Rule::Liveness`](crate::outcome::Rule::Liveness). Otherwise the
    /// outcome shows the work as incomplete.
    const IS_TESTED: bool;

    /// The network between the sides.
    fn network(&self) -> &Network;

    /// The same, to change it.
    fn network_mut(&mut self) -> &mut Network;

    /// Opens a stream from the client.
    ///
    /// # Errors
    /// Why it cannot be opened, in words.
    fn open(&mut self, now: Instant) -> Result<Stream, String>;

    /// See [`Port::has`].
    fn has(&mut self, side: Side, stream: Stream) -> bool;

    /// See [`Port::write`].
    ///
    /// # Errors
    /// As there.
    fn write(&mut self, now: Instant, side: Side, stream: Stream, data: &[u8]) -> Result<usize, WriteError>;

    /// See [`Port::peek`].
    ///
    /// # Errors
    /// As there.
    fn peek(&mut self, side: Side, stream: Stream) -> Result<&[u8], ReadError>;

    /// See [`Port::consume`].
    fn consume(&mut self, now: Instant, side: Side, stream: Stream, n: usize);

    /// See [`Port::finish`].
    ///
    /// # Errors
    /// As there.
    fn finish(&mut self, now: Instant, side: Side, stream: Stream) -> Result<(), WriteError>;

    /// See [`Port::close`].
    fn close(&mut self, now: Instant, side: Side, stream: Stream);

    /// See [`Port::forget`].
    fn forget(&mut self, _stream: Stream) {}

    /// A packet leaves the link to that side. Its buffer is released, now or when the side has taken it.
    fn deliver(&mut self, now: Instant, side: Side, packet: PacketId);

    /// That side's timer.
    fn alarm(&self, side: Side) -> &Alarm;

    /// The same, to change it.
    fn alarm_mut(&mut self, side: Side) -> &mut Alarm;

    /// That side's timer fires.
    fn wake(&mut self, now: Instant, side: Side);

    /// Sets the timers to the earliest deadlines.
    fn arm(&mut self, now: Instant);

    /// That side's process continues with work for which its host had no time.
    fn resume(&mut self, _now: Instant, _side: Side) {}

    /// A fault begins or heals; returns the notice that results. The caller impairs the links.
    fn fault(&mut self, _now: Instant, _kind: FaultKind, _heals: bool) -> Option<Notice> {
        None
    }

    /// The next notice for an application; `None` when none is left.
    fn poll(&mut self, now: Instant) -> Option<Notice>;

    /// Whether the client's process runs.
    fn client_runs(&self) -> bool {
        true
    }

    /// The ends of streams that applications have, in the order in which applications stop them.
    fn ends(&self) -> Vec<(Side, Stream)>;

    /// Streams that the simulator itself remembers: those that are not over.
    fn streams_remembered(&self) -> usize {
        self.network().owners.len()
    }

    /// The tunnels that have something to send, or something that is not acknowledged: the serial numbers of that, if known.
    fn busy(&self) -> BTreeMap<Node, Option<Range<u32>>>;

    /// Bytes queued for sending or reading.
    fn queued_bytes(&self) -> u64 {
        0
    }

    /// Packets that wait in sockets.
    fn held_packets(&self) -> u64 {
        0
    }

    /// Ends an event: reports queues beyond their limits on the sides that changed, and on both, with all bytes counted, if
    /// `thorough`.
    fn check(&mut self, _now: Instant, _thorough: bool) {}

    /// Adds the counters of the sides to the outcome.
    fn report(&self, scenario: &Scenario, outcome: &mut Outcome);
}

/// A change that an application has to handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The end of a stream on that side may have something to read, or room to write.
    Advance(Side, Stream),
    /// The streams were lost on that side.
    Reset(Side, Vec<Stream>),
}
