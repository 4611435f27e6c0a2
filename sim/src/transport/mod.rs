//! What carries the streams of applications: the tunnel, or what it is compared with.

mod network;
mod port;
pub mod tcp;
pub mod tunnel;

pub use network::Network;
pub use port::{Port, SidePort};

use crate::Side;
use crate::host::Alarm;
use crate::ids::{PacketId, Stream};
use crate::outcome::Outcome;
use crate::plan::{FaultKind, Scenario};
use engine::Instant;
use engine::mux::{ReadError, WriteError};

/// Both sides of what carries streams, and the network between them. Times are those of the run, not of a side's clock.
///
/// A call may send packets and break rules at once; what applications have to do about it is fetched with
/// [`Transport::poll`].
pub trait Transport {
    /// Whether it is what is tested: then what does not arrive in time breaks [`Rule::Liveness`](crate::outcome::Rule), and
    /// otherwise it is only shown as incomplete.
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

    /// That side's process goes on with what it had no time for.
    fn resume(&mut self, _now: Instant, _side: Side) {}

    /// A fault begins, or heals; what applications have to do about it. Links are impaired by the caller.
    fn fault(&mut self, _now: Instant, _kind: FaultKind, _heals: bool) -> Option<Notice> {
        None
    }

    /// What an application has to do next, until there is nothing.
    fn poll(&mut self, now: Instant) -> Option<Notice>;

    /// Whether the client's process runs.
    fn client_runs(&self) -> bool {
        true
    }

    /// The ends of streams that applications have, in the order in which they learn that sources stop.
    fn ends(&self) -> Vec<(Side, Stream)>;

    /// Streams that the simulator itself remembers: those that are not over.
    fn streams_remembered(&self) -> usize {
        self.network().owners.len()
    }

    /// Whether nothing is left to send or to acknowledge.
    fn is_drained(&self) -> bool;

    /// Bytes queued for sending or reading.
    fn queued_bytes(&self) -> u64 {
        0
    }

    /// Packets that wait in sockets.
    fn held_packets(&self) -> u64 {
        0
    }

    /// Ends an event: notes what is held beyond its limits, of what changed; of everything where it is `thorough`.
    fn check(&mut self, _now: Instant, _thorough: bool) {}

    /// Adds what is known of the sides.
    fn report(&self, scenario: &Scenario, outcome: &mut Outcome);
}

/// What applications have to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The end of a stream on that side may have something to read, or room to write.
    Advance(Side, Stream),
    /// The ends of streams on that side are lost.
    Reset(Side, Vec<Stream>),
}
