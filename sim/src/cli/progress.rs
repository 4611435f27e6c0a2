//! Progress of a long command, on standard error if that is a terminal.

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

    /// Erases the progress line.
    pub(crate) fn end(&self) {
        self.print("\r\x1b[K".into());
    }

    fn show(&self, done: usize) {
        self.print(format!("\r{done} of {} runs", self.all));
    }

    /// Ignores errors: progress is not part of the output.
    fn print(&self, line: String) {
        if self.shown {
            let _ = stderr().write_all(line.as_bytes());
        }
    }
}
