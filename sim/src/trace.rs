//! The fingerprint of a run.

use crate::Side;
use engine::Instant;
use siphasher::sip::SipHasher13;
use std::fmt::{self, Display, Formatter};
use std::hash::Hasher;

/// What happened, as far as the fingerprint is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A side handed a datagram to its link.
    Sent = 1,
    /// A link handed a datagram to a side.
    Delivered = 2,
    /// A side's deadline fired.
    Timeout = 3,
    /// The engine reported an event to the application.
    Event = 4,
}

/// A 64-bit hash over every `(time_us, side, kind, datagram)`, SipHash-1-3 under a fixed key.
///
/// Datagrams enter by their [`digest`], taken once when they are sent.
#[derive(Clone, Debug)]
pub struct Trace {
    hasher: SipHasher13,
    /// What entered since the record was taken last, if one is kept.
    record: Option<Vec<Entry>>,
}

/// One thing that entered a [`Trace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Instant,
    /// On which side.
    pub side: Side,
    /// What happened.
    pub kind: Kind,
    /// Hash of the datagram, or the stream and the number of the event.
    pub digest: u64,
}

impl Display for Entry {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self { at, side, kind, digest } = self;
        write!(out, "{} us {side:?} {kind:?} {digest:016x}", at.as_micros())
    }
}

impl Trace {
    /// An empty trace.
    pub fn new() -> Self {
        Self { hasher: SipHasher13::new_with_keys(KEYS.0, KEYS.1), record: None }
    }

    /// An empty trace that also keeps a record.
    pub fn recording() -> Self {
        Self { record: Some(Vec::new()), ..Self::new() }
    }

    /// What entered since the last call; nothing when no record is kept.
    pub fn take_record(&mut self) -> Vec<Entry> {
        self.record.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Adds one thing that happened.
    pub fn record(&mut self, at: Instant, side: Side, kind: Kind, digest: u64) {
        let mut entry = [0; 18];
        entry[..8].copy_from_slice(&at.as_micros().to_le_bytes());
        entry[8] = side as u8;
        entry[9] = kind as u8;
        entry[10..].copy_from_slice(&digest.to_le_bytes());
        self.hasher.write(&entry);
        if let Some(record) = &mut self.record {
            record.push(Entry { at, side, kind, digest });
        }
    }

    /// The hash of everything recorded so far.
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

/// The hash of one datagram's bytes.
pub fn digest(datagram: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(KEYS.0, KEYS.1);
    hasher.write(datagram);
    hasher.finish()
}

/// Fixed for ever: recorded hashes depend on it.
const KEYS: (u64, u64) = (0x6b61_7273_7420_7369, 0x6d20_7472_6163_6521);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_an_entry_counts() {
        let hash = |at: u64, side, kind, digest| {
            let mut trace = Trace::new();
            trace.record(Instant::from_micros(at), side, kind, digest);
            trace.hash()
        };
        let base = hash(1, Side::Client, Kind::Sent, 7);
        assert_eq!(base, hash(1, Side::Client, Kind::Sent, 7));
        assert_ne!(base, hash(2, Side::Client, Kind::Sent, 7));
        assert_ne!(base, hash(1, Side::Server, Kind::Sent, 7));
        assert_ne!(base, hash(1, Side::Client, Kind::Delivered, 7));
        assert_ne!(base, hash(1, Side::Client, Kind::Sent, 8));
    }
}
