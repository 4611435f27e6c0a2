//! What the sessions to one peer know in common about the path to it (CC-20).

use super::Tally;
use super::loss::fade;
use crate::time::Instant;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

/// What is assumed before anything is known, as transmissions that count like others: a twentieth is lost.
const ASSUMED: Tally = Tally { delivered: 38, lost: 2, runs: 0 };

/// Age at which the rate of bulk is forgotten, microseconds.
const BULK_AGE_US: u64 = 1_000_000;

/// See [`Path::extra_copies`].
const EXTRA_COPIES_MAX: u32 = 4;
const CALM_SEGMENTS: u32 = 4_096;

/// The path to one peer in sending direction, shared by all sessions to it. Clones share one state.
///
/// Sessions add what became of their transmissions, and read the loss rate of all. Only acknowledgements that passed the
/// session's cipher and belong to a segment in flight count, and on servers only those of validated sessions
/// ([`crate::Server`]): without the key, nothing can be added.
#[derive(Clone, Debug, Default)]
pub struct Path(Arc<Shared>);

/// The owner of the sessions calls them one after the other; the atomics only make the handle [`Send`].
#[derive(Debug, Default)]
struct Shared {
    /// Transmissions delivered (low half) and lost, of which older ones count less.
    transmissions: AtomicU64,
    /// Rate of a session that carries bulk, bytes per second, and when it was noted, microseconds.
    bulk_bytes_s: AtomicU64,
    bulk_at_us: AtomicU64,
    /// See [`Path::extra_copies`]; and segments delivered since that changed.
    extra_copies: AtomicU32,
    calm_segments: AtomicU32,
}

impl Path {
    /// Adds transmissions that were delivered or lost.
    pub fn add(&self, more: Tally) {
        if more.total() > 0 {
            let mut tally = self.tally();
            fade(&mut tally, more);
            self.0.transmissions.store(u64::from(tally.lost) << 32 | u64::from(tally.delivered), Relaxed);
        }
    }

    /// Transmissions of all sessions, of which older ones count less.
    pub fn tally(&self) -> Tally {
        let both = self.0.transmissions.load(Relaxed);
        Tally { delivered: both as u32, lost: (both >> 32) as u32, runs: 0 }
    }

    /// Loss rate to be expected, parts per million; 50,000 before anything is known.
    pub fn expected_loss_ppm(&self) -> u32 {
        let mut tally = self.tally();
        tally.add(ASSUMED);
        tally.loss_ppm()
    }

    /// A session carries bulk at a rate of `bytes_s` now.
    pub fn note_bulk(&self, now: Instant, bytes_s: u64) {
        self.0.bulk_bytes_s.store(bytes_s, Relaxed);
        self.0.bulk_at_us.store(now.as_micros(), Relaxed);
    }

    /// The rate at which a session carried bulk within the last second, bytes per second.
    pub fn bulk_bytes_s(&self, now: Instant) -> Option<u64> {
        let age_us = now.as_micros().saturating_sub(self.0.bulk_at_us.load(Relaxed));
        let bytes_s = self.0.bulk_bytes_s.load(Relaxed);
        (bytes_s > 0 && age_us < BULK_AGE_US).then_some(bytes_s)
    }

    /// Copies of a segment beyond those that independent losses call for. One more after each segment that was lost with all
    /// of its copies, one less after [`CALM_SEGMENTS`] segments.
    pub fn extra_copies(&self) -> u32 {
        self.0.extra_copies.load(Relaxed)
    }

    /// Segments of which copies were sent were delivered, one of them only by a retransmission if `missed`.
    pub(crate) fn note_copied(&self, segments: u32, missed: bool) {
        let extra = self.extra_copies();
        if missed {
            self.0.extra_copies.store((extra + 1).min(EXTRA_COPIES_MAX), Relaxed);
            self.0.calm_segments.store(0, Relaxed);
            return;
        }
        let calm = self.0.calm_segments.load(Relaxed) + segments;
        let over = calm >= CALM_SEGMENTS;
        self.0.calm_segments.store(if over { 0 } else { calm }, Relaxed);
        self.0.extra_copies.store(extra.saturating_sub(u32::from(over)), Relaxed);
    }

    /// Whether both are handles of one path.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
