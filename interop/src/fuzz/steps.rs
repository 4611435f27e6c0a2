//! Steps of the code under test: a measure of work that is the same in every run.
//!
//! The fuzzer's build calls [`step`] at every edge of the control-flow graph, in generic code of the standard library, too.
//! Other builds count nothing, so that there the limits always hold.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static STEPS: AtomicU64 = AtomicU64::new(0);

/// Counts a step.
#[inline(always)]
pub fn step() {
    // The fuzzer has one thread; an atomic addition would double the time it takes.
    STEPS.store(STEPS.load(Relaxed) + 1, Relaxed);
}

/// Steps since the program started.
pub fn steps() -> u64 {
    STEPS.load(Relaxed)
}

/// The share of all allowed steps.
pub const SHARE_WHOLE: u64 = 1000;

static SHARE: AtomicU64 = AtomicU64::new(0);

/// The largest share of its limit that any run of calls took since the last call of this, of [`SHARE_WHOLE`].
pub fn take_share() -> u64 {
    SHARE.swap(0, Relaxed)
}

/// Steps that a run of calls may take.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Of each run: what was saved by earlier calls may be spent by one.
    pub reserve: u64,
    /// Of each call.
    pub per_call: u64,
    /// Of each byte that a call takes or gives.
    pub per_byte: u64,
}

/// Compares the steps of calls with the number of calls and their bytes.
#[derive(Debug)]
pub struct Meter {
    limit: Limit,
    allowed: u64,
    spent: u64,
}

impl Meter {
    /// Nothing was spent.
    pub const fn new(limit: Limit) -> Self {
        Self { limit, allowed: limit.reserve, spent: 0 }
    }

    /// Makes a call that takes `bytes` bytes from the peer.
    ///
    /// # Panics
    /// When all calls up to this one took more steps than the limit allows.
    pub fn call<R>(&mut self, bytes: usize, call: impl FnOnce() -> R) -> R {
        let before = steps();
        let result = call();
        self.spent += steps() - before;
        self.allowed += self.limit.per_call + self.limit.per_byte * bytes as u64;
        SHARE.fetch_max(self.spent * SHARE_WHOLE / self.allowed.max(1), Relaxed);
        assert!(self.spent <= self.allowed, "{} steps taken, {} allowed", self.spent, self.allowed);
        result
    }
}
