//! Lines between the threads that log and the one that writes.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes that wait at most; lines beyond them are counted and dropped.
pub(super) const BYTES_MAX: usize = 256 * 1024;

/// Lines that wait to be written.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    written: Condvar,
}

#[derive(Debug)]
struct State {
    /// Whole lines.
    text: String,
    /// Lines dropped behind them.
    dropped: u64,
    /// The writer has lines that it took and did not finish.
    writing: bool,
}

impl Queue {
    pub(super) const fn new() -> Self {
        let state = State { text: String::new(), dropped: 0, writing: false };
        Self { state: Mutex::new(state), arrived: Condvar::new(), written: Condvar::new() }
    }

    /// Adds a line with its end. Never waits for the writer: without room, and until it has taken what waits, lines are dropped.
    pub(super) fn push(&self, line: &str) {
        let mut state = self.lock();
        if state.dropped > 0 || state.text.len() + line.len() > BYTES_MAX {
            state.dropped += 1;
        } else {
            state.text.push_str(line);
        }
        self.arrived.notify_one();
    }

    /// Waits for lines and moves them to `text`, whose content is written; returns how many were dropped behind them.
    pub(super) fn take(&self, text: &mut String) -> u64 {
        text.clear();
        let mut state = self.lock();
        state.writing = false;
        self.written.notify_all();
        let empty = |state: &mut State| state.text.is_empty() && state.dropped == 0;
        state = self.arrived.wait_while(state, empty).unwrap_or_else(PoisonError::into_inner);
        state.writing = true;
        std::mem::swap(&mut state.text, text);
        std::mem::take(&mut state.dropped)
    }

    /// Waits until everything is written, `limit` at most.
    pub(super) fn flush(&self, limit: Duration) {
        let busy = |state: &mut State| state.writing || !state.text.is_empty() || state.dropped > 0;
        drop(self.written.wait_timeout_while(self.lock(), limit, busy));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CLI-60
    #[test]
    fn a_full_queue_drops_and_counts_lines_until_it_is_taken() {
        let queue = Queue::new();
        let long = format!("{}\n", "x".repeat(BYTES_MAX / 2 - 1));
        (0..4).for_each(|_| queue.push(&long));
        // Shorter ones would fit, but not in order.
        queue.push("\n");
        let mut text = String::new();
        assert_eq!((queue.take(&mut text), text.len()), (3, BYTES_MAX));
        queue.push("after\n");
        assert_eq!((queue.take(&mut text), text.as_str()), (0, "after\n"));
    }

    // CLI-60
    #[test]
    fn a_flush_waits_no_longer_than_its_limit() {
        let queue = Queue::new();
        queue.flush(Duration::from_secs(60));
        queue.push("never written\n");
        queue.flush(Duration::from_millis(1));
    }
}
