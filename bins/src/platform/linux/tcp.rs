//! The state of connections.

use socket2::Socket;
use std::os::fd::AsRawFd;
use tokio::io::Interest;

/// What a connection is waited for with until its peer resets it; `None` where only [`ends`] shows that.
pub(crate) const RESET: Option<Interest> = Some(Interest::ERROR);

/// The ends of a connection that have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The peer ended its direction.
    pub(crate) half: bool,
    /// The peer closed or reset the connection.
    pub(crate) both: bool,
}

/// The ends of a connection that have come, also while bytes wait to be read.
pub(crate) fn ends(socket: &Socket) -> Ends {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLRDHUP, revents: 0 };
    // SAFETY: the descriptor is open, and the call reads and writes one entry.
    let count = unsafe { libc::poll(&raw mut poll, 1, 0) };
    let state = if count > 0 { poll.revents } else { 0 };
    Ends { half: state & libc::POLLRDHUP != 0, both: state & (libc::POLLHUP | libc::POLLERR) != 0 }
}

/// Bytes that the peer's system has not acknowledged, the end included; 0 for a connection that is gone.
pub(crate) fn unacknowledged_bytes(socket: &Socket) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open, and the call writes one int.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 { usize::try_from(bytes).unwrap_or(0) } else { 0 }
}
