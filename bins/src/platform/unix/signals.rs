//! What ends a program or instructs it from outside: signals.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Requests of one kind.
#[derive(Debug)]
pub(crate) struct Requests(Signal);

impl Requests {
    /// Waits for the next one; `None` when there will be none.
    pub(crate) async fn next(&mut self) -> Option<()> {
        self.0.recv().await
    }
}

/// Requests to print counters: SIGUSR1.
///
/// # Errors
/// The system refuses the handler.
pub(crate) fn dump() -> io::Result<Requests> {
    signal(SignalKind::user_defined1()).map(Requests)
}

/// Requests to open the log file again: SIGHUP.
///
/// # Errors
/// The system refuses the handler.
pub(crate) fn reopen() -> io::Result<Requests> {
    signal(SignalKind::hangup()).map(Requests)
}

/// Requests to end the program: SIGTERM and SIGINT.
#[derive(Debug)]
pub(crate) struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    /// Installs the handlers of all signals that a running program takes: one that comes early must not end it.
    pub(crate) fn new() -> io::Result<Self> {
        drop((dump()?, reopen()?));
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Self { terminate: signal(terminate)?, interrupt: signal(interrupt)? })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
