//! Names of packets, tunnels and streams.

use crate::Side;
use engine::{SessionId, StreamId};
use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
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

/// An address of the adversary, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stranger(pub u16);

impl Stranger {
    const NETWORK: [u8; 2] = [10, 66];
    const FIRST_PORT: u16 = 20_000;

    /// The address of that number; no host of a run has one of these.
    pub const fn address(self) -> SocketAddr {
        let ([a, b], [c, d]) = (Self::NETWORK, self.0.to_be_bytes());
        let port = Self::FIRST_PORT + self.0 % 40_000;
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)
    }

    /// The number of such an address; `None` for one of a host.
    pub fn at(address: SocketAddr) -> Option<Self> {
        let IpAddr::V4(ip) = address.ip() else { return None };
        let [a, b, c, d] = ip.octets();
        ([a, b] == Self::NETWORK).then(|| Self(u16::from_be_bytes([c, d])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_adversary_have_numbers() {
        for number in [0, 1, 255, 256, 40_001, u16::MAX] {
            let stranger = Stranger(number);
            assert_eq!(Stranger::at(stranger.address()), Some(stranger));
        }
        assert_eq!(Stranger::at("10.0.0.2:29900".parse().unwrap()), None);
    }
}
