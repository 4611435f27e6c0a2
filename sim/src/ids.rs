//! Names of packets, tunnels and streams.

use crate::Side;
use engine::{SessionId, StreamId};
use std::fmt::{self, Display, Formatter};
use std::ops::RangeInclusive;

/// A packet held by [`Packets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PacketId(pub(crate) u32);

/// One tunnel of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// The client's one of that dial.
    Client(u32),
    /// The server's one of that id.
    Server(ServerId),
}

impl Node {
    /// The side it is on.
    pub const fn side(self) -> Side {
        match self {
            Self::Client(_) => Side::Client,
            Self::Server(_) => Side::Server,
        }
    }
}

/// A session of the server: how often the server was started before, and the endpoint's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerId {
    pub(crate) life: u32,
    pub(crate) id: SessionId,
}

/// A stream as applications know it: the same on both sides, and used once in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stream(pub u64);

impl Stream {
    /// The stream of that id in the client's tunnel of that dial.
    pub fn new(dial: u32, id: StreamId) -> Self {
        Self(u64::from(dial) << 32 | u64::from(id.0))
    }

    /// Number of the dial.
    pub const fn dial(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The multiplexer's number.
    pub const fn id(self) -> StreamId {
        StreamId(self.0 as u32)
    }

    /// All streams of that dial.
    pub fn all_of(dial: u32) -> RangeInclusive<Self> {
        Self::new(dial, StreamId(0))..=Self::new(dial, StreamId(u32::MAX))
    }
}

impl Display for Stream {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self.dial() {
            0 => write!(out, "{}", self.id().0),
            dial => write!(out, "{} of dial {dial}", self.id().0),
        }
    }
}
