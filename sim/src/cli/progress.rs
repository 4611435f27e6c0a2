//! How far a long call has come, on standard error when that is a terminal.

use std::io::{IsTerminal, Write, stderr};
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) struct Progress {
    all: usize,
    done: AtomicUsize,
    shown: bool,
}

impl Progress {
    pub(crate) fn new(all: usize) -> Self {
        let progress = Self { all, done: AtomicUsize::new(0), shown: all > 1 && stderr().is_terminal() };
        progress.show(0);
        progress
    }

    pub(crate) fn one_more(&self) {
        self.show(self.done.fetch_add(1, Ordering::Relaxed) + 1);
    }

    /// Wipes the line.
    pub(crate) fn end(&self) {
        self.print("\r\x1b[K".into());
    }

    fn show(&self, done: usize) {
        self.print(format!("\r{done} of {} runs", self.all));
    }

    /// Nothing is lost when a progress line cannot be written.
    fn print(&self, line: String) {
        if self.shown {
            let _ = stderr().write_all(line.as_bytes());
        }
    }
}
