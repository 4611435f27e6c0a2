//! What the sessions to one peer know in common about the path to it (CC-20).

use super::Tally;
use super::loss::fade;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

/// What is assumed before anything is known, as transmissions that count like others: a twentieth is lost.
const ASSUMED: Tally = Tally { delivered: 38, lost: 2, runs: 0 };

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

    /// Whether both are handles of one path.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
