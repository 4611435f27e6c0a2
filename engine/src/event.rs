//! Names of sessions and streams, and the events of both: shared by the multiplexer, the tunnel, the server and the client.

/// One stream of a session, as numbered by the multiplexer: odd numbers are opened by the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

/// One session of a server or client, numbered in the order of creation and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// What a session reports to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The peer opened a stream.
    Opened(StreamId),
    /// Bytes, or the end of the stream, can be read. Repeated only after a read returned blocked.
    Readable(StreamId),
    /// A write that returned blocked can be retried.
    Writable(StreamId),
    /// The peer finished the stream; bytes may still wait to be read.
    Finished(StreamId),
    /// The peer reset the stream: bytes may still wait to be read, then [`crate::mux::ReadError::Reset`] is returned
    /// instead of the end.
    Reset(StreamId),
    /// The peer stopped reading the stream: written bytes that were not sent yet are dropped (SMUX-29).
    Stopped(StreamId),
    /// The tunnel closed the stream: its reader stopped and blocked every other stream of the session (SMUX-28).
    Cut(StreamId),
    /// The peer accepts the session that was on trial ([`crate::Tunnel::begin_trial`]).
    Passed,
    /// The session ended, and all its streams with it.
    Closed(CloseReason),
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// Closed by the driver, or by the client that replaced it.
    Local,
    /// Nothing was received from the peer for the keepalive timeout.
    PeerTimeout,
    /// The peer broke the multiplexer's protocol (other smux version or compression setting).
    Protocol,
    /// The compressed stream was corrupt (other compression setting).
    Corrupt,
    /// The peer started a new session from the same address.
    Replaced,
    /// The peer lost its state: it restarted, or receives this side's datagrams from an address it does not know.
    PeerRestarted,
    /// This side lost its state, and the peer continues the old session.
    Unknown,
    /// The peer ended a session on trial: its smux version or compression differs.
    Rejected,
    /// The permutation pads of both sides differ (QPP-11).
    Pads,
    /// Nothing listens on the peer's port: its host refused datagrams, and nothing was heard since.
    Refused,
    /// The driver ran out of memory.
    Memory,
    /// The peer acknowledged nothing: a replayed datagram, or a path that works one way only.
    Unvalidated,
}

impl core::fmt::Display for CloseReason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Local => "closed locally",
            Self::PeerTimeout => "nothing heard from the peer for the keepalive timeout",
            Self::Protocol => "invalid protocol: do smuxver and nocomp match on both sides?",
            Self::Corrupt => "corrupt compressed stream: does nocomp match on both sides?",
            Self::Replaced => "replaced by a new session of the same peer",
            Self::Unknown => "the peer goes on with a session that is not known here (any more)",
            Self::Rejected => {
                "the peer ended the session at its first frame: do smuxver and nocomp match on both sides?"
            }
            Self::Pads => {
                "QPP differs, streams would be scrambled: make --QPP and --QPPCount equal on both sides"
            }
            Self::Refused => "nothing listens on the peer's port",
            Self::Memory => "memory ran short",
            Self::Unvalidated => {
                "the peer acknowledged nothing: a replayed datagram, or a path that works one way only"
            }
            Self::PeerRestarted => "the peer lost its state: restarted, or the path to it changed",
        })
    }
}
