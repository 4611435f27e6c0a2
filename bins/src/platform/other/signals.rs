//! What ends a program or instructs it from outside: the events of its console, which a service manager sends, too.

use std::future::pending;
use std::io;
use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown,
};

/// Requests of one kind: there are none.
#[derive(Debug)]
pub(crate) struct Requests;

impl Requests {
    /// Waits without end.
    pub(crate) async fn next(&mut self) -> Option<()> {
        pending().await
    }
}

/// Requests to print counters: none.
///
/// # Errors
/// None.
pub(crate) const fn dump() -> io::Result<Requests> {
    Ok(Requests)
}

/// Requests to open the log file again: none. Windows does not rename files that are open.
///
/// # Errors
/// None.
pub(crate) const fn reopen() -> io::Result<Requests> {
    Ok(Requests)
}

/// Requests to end the program: Ctrl-C, Ctrl-Break, a console that closes, and a system that shuts down.
#[derive(Debug)]
pub(crate) struct Ends {
    interrupt: CtrlC,
    terminate: CtrlBreak,
    close: CtrlClose,
    shutdown: CtrlShutdown,
}

impl Ends {
    /// Installs the handlers.
    pub(crate) fn new() -> io::Result<Self> {
        let (interrupt, terminate) = (ctrl_c()?, ctrl_break()?);
        Ok(Self { interrupt, terminate, close: ctrl_close()?, shutdown: ctrl_shutdown()? })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.close.recv() => {}
            _ = self.shutdown.recv() => {}
        }
    }
}
