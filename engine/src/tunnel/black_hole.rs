//! A path that loses every large datagram and delivers small ones (KCP-40): its mtu is smaller than this end's, and the router that
//! drops says nothing. Without a diagnosis that looks like a stalled peer: acknowledgements and keepalives go on.
//!
//! The oldest segment in flight is watched. When it was sent several times, nothing as large was delivered meanwhile, and the
//! peer was heard, window probes show whether small datagrams make the round trip. The result is only reported.

use super::liveness::silence;
use crate::arq::{Arq, Flush};
use crate::time::Instant;
use core::time::Duration;

/// Datagrams below this are small: every path carries them (RFC 791: 576 bytes, headers included).
const LARGE_BYTES_MIN: usize = 549;

/// Transmissions of the oldest segment, and the time without anything as large delivered, before the path is probed.
const TRANSMISSIONS_MIN: u32 = 5;
const PATIENCE: Duration = Duration::from_secs(5);

/// Interval of probes, and how many have to be answered.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
const ANSWERS_MIN: u32 = 2;

#[derive(Debug, Default)]
pub(super) struct BlackHole {
    watch: Option<Watch>,
    /// Bytes of the datagrams that do not arrive.
    found: Option<usize>,
}

/// The oldest segment in flight, and what happened since nothing as large was delivered.
#[derive(Clone, Copy, Debug)]
struct Watch {
    sn: u32,
    since: Instant,
    transmissions: u32,
    /// When the peer was first heard after the third transmission.
    heard_at: Option<Instant>,
    probed_at: Option<Instant>,
    /// Transmissions at the first probe.
    probed_from: u32,
    /// Answers to probes, since creation, at the last probe; and how many were answered since the first.
    answers_before: u32,
    answered: u32,
}

impl BlackHole {
    /// A valid datagram was received.
    #[inline]
    pub(super) fn heard(&mut self, now: Instant) {
        if let Some(watch) = &mut self.watch
            && watch.transmissions >= 3
        {
            watch.heard_at.get_or_insert(now);
        }
    }

    /// Bytes of the datagrams that do not arrive, once that is known.
    pub(super) const fn found(&self) -> Option<usize> {
        self.found
    }

    /// Looks at the oldest segment in flight of a session with that mtu.
    pub(super) fn watch(&mut self, now: Instant, arq: &mut Arq, mtu: usize) {
        if self.found.is_some() {
            return;
        }
        let delivered_bytes = arq.take_delivered_bytes_max();
        let Some(oldest) = arq.oldest_in_flight() else {
            self.watch = None;
            return;
        };
        let same = self.watch.filter(|watch| watch.sn == oldest.sn && delivered_bytes < oldest.bytes);
        let mut watch = same.unwrap_or_else(|| Watch::new(now, oldest.sn));
        watch.transmissions = oldest.transmissions;
        let bytes = mtu - (arq.mss() - oldest.bytes);
        if bytes >= LARGE_BYTES_MIN && watch.is_suspicious(now, arq.state().rto_ms) {
            watch.probe(now, arq);
        }
        self.watch = Some(watch);
        if watch.answered >= ANSWERS_MIN && watch.transmissions > watch.probed_from {
            self.found = Some(bytes);
        }
    }
}

impl Watch {
    const fn new(now: Instant, sn: u32) -> Self {
        Self {
            sn,
            since: now,
            transmissions: 0,
            heard_at: None,
            probed_at: None,
            probed_from: 0,
            answers_before: 0,
            answered: 0,
        }
    }

    /// Sends a small datagram that the peer answers, once per interval.
    fn probe(&mut self, now: Instant, arq: &mut Arq) {
        if self.probed_at.is_some_and(|at| now < at + PROBE_INTERVAL) {
            return;
        }
        let answers = arq.window_answers();
        match self.probed_at {
            None => self.probed_from = self.transmissions,
            Some(_) => self.answered += u32::from(answers != self.answers_before),
        }
        (self.probed_at, self.answers_before) = (Some(now), answers);
        arq.ask_window();
        arq.flush(now, Flush::Full);
    }

    /// Whether the segment was lost often enough, and not because of an outage that has just ended.
    fn is_suspicious(&self, now: Instant, rto_ms: u32) -> bool {
        self.transmissions >= TRANSMISSIONS_MIN
            && now >= self.since + PATIENCE
            && self.heard_at.is_some_and(|at| now >= at + silence(rto_ms))
    }
}
