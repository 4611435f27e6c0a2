//! The trace hash of a run.

use crate::Side;
use crate::rng::fold;
use engine::Instant;
use std::fmt::{self, Display, Formatter};

/// Kinds of events that enter the trace hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A side passed a datagram to its link.
    Sent = 1,
    /// A link delivered a datagram to a side.
    Delivered = 2,
    /// A side's deadline fired.
    Timeout = 3,
    /// The engine reported an event to the application.
    Event = 4,
}

/// A 64-bit hash over every `(time_us, side, kind, datagram)`.
///
/// A datagram enters as its [`digest`], computed once when it is sent.
#[derive(Clone, Debug)]
pub struct Trace {
    hash: u64,
    /// Entries since the last [`Trace::take_record`], if a record is kept.
    record: Option<Vec<Entry>>,
}

/// One entry of a [`Trace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Simulated time.
    pub at: Instant,
    /// Side of the event.
    pub side: Side,
    /// Kind of the event.
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
        Self { hash: SALT[3], record: None }
    }

    /// An empty trace that also keeps a record.
    pub fn recording() -> Self {
        Self { record: Some(Vec::new()), ..Self::new() }
    }

    /// Takes the entries since the last call; none if no record is kept.
    pub fn take_record(&mut self) -> Vec<Entry> {
        self.record.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Adds an entry.
    pub fn record(&mut self, at: Instant, side: Side, kind: Kind, digest: u64) {
        // Three bits of kind and one of side leave room for four thousand simulated years.
        let head = at.as_micros() << 4 | u64::from(side as u8) << 3 | u64::from(kind as u8);
        self.hash = fold(self.hash ^ SALT[0] ^ head, fold(digest ^ SALT[1], SALT[2] ^ self.hash));
        if let Some(record) = &mut self.record {
            record.push(Entry { at, side, kind, digest });
        }
    }

    /// The hash of everything recorded so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

/// The hash of one datagram's bytes: four lanes of multiply and fold, some twenty times as fast as SipHash. It must
/// detect that two runs differ, not resist an adversary.
pub fn digest(datagram: &[u8]) -> u64 {
    let mut lanes = SALT;
    let (blocks, rest) = datagram.as_chunks::<64>();
    for block in blocks {
        absorb(&mut lanes, block);
    }
    if !rest.is_empty() {
        let mut last = [0; 64];
        last[..rest.len()].copy_from_slice(rest);
        absorb(&mut lanes, &last);
    }
    let halves = [fold(lanes[0] ^ SALT[1], lanes[1] ^ SALT[2]), fold(lanes[2] ^ SALT[3], lanes[3] ^ SALT[0])];
    fold(halves[0] ^ SALT[1], fold(halves[1] ^ SALT[0], datagram.len() as u64 ^ SALT[2]))
}

fn absorb(lanes: &mut [u64; 4], block: &[u8; 64]) {
    let (words, _) = block.as_chunks::<8>();
    for (n, lane) in lanes.iter_mut().enumerate() {
        let word = |k: usize| u64::from_le_bytes(words[2 * n + k]);
        *lane = fold(word(0) ^ SALT[n], word(1) ^ *lane);
    }
}

/// Constants of wyhash. Pinned: recorded trace hashes depend on them.
const SALT: [u64; 4] =
    [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db, 0x8ebc_6af0_9c88_c6e3, 0x5899_65cc_7537_4cc3];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_and_the_length_of_a_datagram_change_the_digest() {
        for len in [0, 1, 7, 31, 32, 33, 64, 1_400] {
            let datagram: Vec<u8> = (0..len).map(|n| (n * 7) as u8).collect();
            let mut seen = vec![digest(&datagram), digest(&[&datagram[..], &[0]].concat())];
            for bit in 0..len * 8 {
                let mut changed = datagram.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                seen.push(digest(&changed));
            }
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), len * 8 + 2, "{len} bytes");
        }
    }

    #[test]
    fn pairs_of_flipped_bits_change_the_digest() {
        let base = digest(&[0; 64]);
        for (first, second) in (0..512).flat_map(|first| (0..first).map(move |second| (first, second))) {
            let mut changed = [0; 64];
            changed[first / 8] ^= 1 << (first % 8);
            changed[second / 8] ^= 1 << (second % 8);
            assert_ne!(digest(&changed), base, "{first} {second}");
        }
    }

    /// Pinned: recorded trace hashes depend on it.
    #[test]
    fn digest_is_pinned() {
        assert_eq!(digest(b"what a datagram holds, forty-odd bytes"), PINNED);
    }
    const PINNED: u64 = 6_872_702_385_816_231_685;

    #[test]
    fn every_field_of_an_entry_changes_the_hash() {
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
