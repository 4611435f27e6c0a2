//! Kind and conversation of an opened datagram, before it is passed to a session (overview section 6).

use super::DropReason;
use crate::arq::{Command, Header, OVERHEAD};
use crate::fec::{self, Kind};
use std::net::SocketAddr;

/// Shortest payload that any layer could use.
const PAYLOAD_BYTES_MIN: usize = 12;

/// An opened datagram that may start a session.
#[derive(Debug)]
pub(crate) struct Incoming<'d> {
    /// Source address.
    pub(crate) from: SocketAddr,
    /// Its conversation.
    pub(crate) conv: u32,
    /// Number of the first segment of a new conversation.
    pub(crate) first_sn: u32,
    pub(crate) payload: &'d [u8],
    /// Length of the datagram as received, bytes.
    pub(crate) bytes: usize,
}

impl Incoming<'_> {
    /// Whether it looks like the first datagram of a new conversation, not like one from the middle of a known one.
    pub(crate) fn starts_session(&self) -> bool {
        let starts = |identity: Identity| identity.replaces(self.first_sn).is_some();
        Identity::of(self.payload).is_ok_and(starts)
    }

    /// Clock value of its first segment.
    pub(crate) fn ts(&self) -> Option<u32> {
        Identity::of(self.payload).ok().and_then(|identity| identity.first).map(|header| header.ts)
    }

    pub(crate) fn begins_with_data(&self) -> bool {
        Identity::of(self.payload).is_ok_and(|identity| identity.starts().is_some())
    }
}

/// Kind of a payload and the first segment in it, where it can be seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) kind: Option<Kind>,
    first: Option<Header>,
}

impl Identity {
    pub(crate) fn of(payload: &[u8]) -> Result<Self, DropReason> {
        if payload.len() < PAYLOAD_BYTES_MIN {
            return Err(DropReason::Short);
        }
        let kind = fec::kind(payload);
        let segments = match kind {
            Some(Kind::Data) => &payload[fec::HEADER_LEN..],
            Some(Kind::Parity) => &[],
            Some(Kind::OutOfBand) => return Err(DropReason::OutOfBand),
            None if payload.len() < OVERHEAD => return Err(DropReason::Short),
            None => payload,
        };
        Ok(Self { kind, first: Header::parse(segments).map(|(header, _)| header) })
    }

    /// The conversation, unless the payload does not show it.
    pub(crate) fn conv(&self) -> Option<u32> {
        self.first.map(|header| header.conv)
    }

    /// Whether the first segment is one of KCP's and lies within `payload`.
    pub(crate) fn fits(&self, payload: &[u8]) -> bool {
        let before = if self.kind.is_some() { fec::HEADER_LEN } else { 0 } + OVERHEAD;
        self.first.is_some_and(|header| {
            header.command().is_some() && payload.len().saturating_sub(before) >= header.len as usize
        })
    }

    /// The conversation, if a session may start with this datagram. Stricter than kcp-go, which takes any command: only
    /// data starts a session, so that a late acknowledgement of a dead one cannot.
    pub(crate) fn starts(&self) -> Option<u32> {
        let header = self.first?;
        (header.command() == Some(Command::Push)).then_some(header.conv)
    }

    /// The conversation, if this datagram may replace the session of its address: data that starts at the first sn.
    pub(crate) fn replaces(&self, first_sn: u32) -> Option<u32> {
        self.starts().filter(|_| self.first.is_some_and(|header| header.sn == first_sn))
    }
}
