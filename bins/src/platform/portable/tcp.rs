//! The state of connections.

use socket2::Socket;
use std::io::ErrorKind;
use std::mem::MaybeUninit;
use tokio::io::Interest;

/// No interest in resets: [`ends`] shows them.
pub(crate) const RESET: Option<Interest> = None;

/// The ends of a connection that have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The peer ended its direction.
    pub(crate) half: bool,
    /// The peer reset the connection.
    pub(crate) both: bool,
}

/// The ends of a connection that have come. The end of a direction shows once everything before it was read.
pub(crate) fn ends(socket: &Socket) -> Ends {
    let broken = Ends { half: true, both: true };
    if !matches!(socket.take_error(), Ok(None)) {
        return broken;
    }
    match socket.peek(&mut [MaybeUninit::uninit()]) {
        Ok(0) => Ends { half: true, both: false },
        Ok(_) => Ends::default(),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ends::default()
        }
        Err(_) => broken,
    }
}

/// Nothing: the system does not report what the peer's system has not acknowledged.
pub(crate) const fn unacknowledged_bytes(_socket: &Socket) -> usize {
    0
}
