//! Names the option that differs (CLI-50): a few datagrams per source that do not open are tried with the other ciphers.
//! Off the hot path: only datagrams without a session, a bounded number of them per second.

use crate::log::{Bucket, log_event};
use engine::Instant;
use engine::crypt::{Cipher, MasterKey};
use engine::diagnose::Diagnosis;
use engine::tunnel::MTU_MAX;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Datagrams tried per source, until it is forgotten.
const DATAGRAMS_MAX: u8 = 3;

/// Sources remembered; the one that was tried longest ago makes room.
const SOURCES_MAX: usize = 256;

/// Time after which a source is tried, and named, again.
const FORGET: Duration = Duration::from_secs(600);

/// Datagrams tried, and lines logged of each kind: at once, and one more after each interval. A flood from many sources uses them
/// up, but no longer than it lasts.
const TRIES: (u32, Duration) = (300, Duration::from_millis(100));
const LINES: (u32, Duration) = (10, Duration::from_secs(10));

pub(crate) struct Diagnose {
    own: Cipher,
    key: MasterKey,
    /// Derives keys, so it is created by the first datagram that needs it.
    diagnosis: Option<Diagnosis>,
    sources: BTreeMap<IpAddr, Source>,
    tries: Bucket,
    named: Bucket,
    unnamed: Bucket,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    tried: u8,
    tried_at: Instant,
}

impl Diagnose {
    pub(crate) fn new(own: Cipher, key: MasterKey) -> Self {
        let (tries, named, unnamed) = (Bucket::new(TRIES), Bucket::new(LINES), Bucket::new(LINES));
        Self { own, key, diagnosis: None, sources: BTreeMap::new(), tries, named, unnamed }
    }

    /// Whether a datagram of this source is worth a copy, in case it does not open.
    pub(crate) fn wants(&mut self, now: Instant, from: SocketAddr, len: usize) -> bool {
        len <= MTU_MAX && self.tries.has(now) && self.tried(now, from.ip()) < DATAGRAMS_MAX
    }

    /// Tries a sealed datagram that could not be used, and logs the result.
    pub(crate) fn judge(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        self.tries.take(now);
        let diagnosis = self.diagnosis.get_or_insert_with(|| Diagnosis::new(self.own, &self.key));
        // It opens, so key and cipher are equal: the rest of a session that ended, or a replay.
        if diagnosis.is_own(datagram) {
            return;
        }
        let found = diagnosis.cipher_of(datagram);
        let tried = self.tried(now, from.ip()) + 1;
        let lines = if found.is_some() { &mut self.named } else { &mut self.unnamed };
        let logs = (found.is_some() || tried >= DATAGRAMS_MAX) && lines.take(now);
        // A source that should have been named is tried again.
        self.note(now, from.ip(), if logs { DATAGRAMS_MAX } else { tried.min(DATAGRAMS_MAX - 1) });
        if !logs {
            return;
        }
        match found {
            Some(cipher) => log_event!(
                Warn,
                "mismatch",
                [peer = from, reason = "crypt"],
                "{from} uses --crypt {} and this side --crypt {}, with the same --key: make them equal",
                cipher.name(),
                self.own.name()
            ),
            None => log_event!(
                Warn,
                "mismatch",
                [peer = from, reason = "key"],
                "{from} sends datagrams that open under no cipher with this side's key: is --key the same on both sides?"
            ),
        }
    }

    /// Datagrams of a source that were tried.
    fn tried(&self, now: Instant, source: IpAddr) -> u8 {
        let source = self.sources.get(&source).filter(|source| now.since(source.tried_at) < FORGET);
        source.map_or(0, |source| source.tried)
    }

    fn note(&mut self, now: Instant, source: IpAddr, tried: u8) {
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&source) {
            let oldest = self.sources.iter().min_by_key(|(_, source)| source.tried_at);
            oldest.map(|(source, _)| *source).map(|oldest| self.sources.remove(&oldest));
        }
        self.sources.insert(source, Source { tried, tried_at: now });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn source(number: u32) -> SocketAddr {
        (IpAddr::from((0xc000_0000 + number).to_be_bytes()), 29_900).into()
    }

    /// Sends as the driver does; whether the datagram was tried.
    fn send(diagnose: &mut Diagnose, now: Instant, number: u32) -> bool {
        let junk = [7; 100];
        let wanted = diagnose.wants(now, source(number), junk.len());
        if wanted {
            diagnose.judge(now, source(number), &junk);
        }
        wanted
    }

    // CLI-50
    #[test]
    fn a_flood_is_bounded_and_ends_with_itself() {
        log::take();
        let mut diagnose = Diagnose::new(Cipher::Aes, MasterKey::derive(b"key"));
        let flood = (0..100_000).filter(|index| send(&mut diagnose, at(1), index / 3)).count();
        assert_eq!(flood, 300);
        assert!(log::take().len() <= 10 && diagnose.sources.len() <= SOURCES_MAX);
        // One permit of each kind is there again after its interval.
        (0..3).for_each(|_| assert!(send(&mut diagnose, at(20), 1 << 20)));
        let lines = log::take();
        assert!(lines.len() == 1 && lines[0].starts_with(&source(1 << 20).to_string()), "{lines:?}");
        assert!(!send(&mut diagnose, at(20), 1 << 20) && send(&mut diagnose, at(620), 1 << 20));
    }
}
