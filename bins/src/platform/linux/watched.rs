//! A descriptor with datagrams, watched for what arrives, and for room to send only while a task waits for it.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A socket, or another descriptor that does not block.
#[derive(Debug)]
pub(super) struct Watched {
    /// Watched for what arrives only: it has room again after nearly every datagram sent, which no task waits for.
    socket: AsyncFd<OwnedFd>,
    /// The same while it has no room.
    room: RefCell<Option<AsyncFd<OwnedFd>>>,
}

impl Watched {
    /// Watches `socket`.
    ///
    /// # Errors
    /// No runtime, or the descriptor cannot be watched.
    pub(super) fn new(socket: impl Into<OwnedFd>) -> io::Result<Self> {
        Ok(Self { socket: watch(socket.into(), Interest::READABLE)?, room: RefCell::default() })
    }

    /// Ready when [`Self::receive`] is worth a try; wakes the task then.
    pub(super) fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_read_ready(cx).map_ok(|_| ())
    }

    /// Ready when there may be room to send; wakes the task then.
    pub(super) fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut room = self.room.borrow_mut();
        if room.is_none() {
            *room = Some(watch(self.socket.get_ref().try_clone()?, Interest::WRITABLE)?);
        }
        let ready = room.as_ref().map_or(Poll::Ready(Ok(())), |fd| fd.poll_write_ready(cx).map_ok(|_| ()));
        if ready.is_ready() {
            *room = None;
        }
        ready
    }

    /// Calls `receive` unless nothing has arrived. It returns whether more may be waiting: a call that emptied the descriptor
    /// says so, and the next one waits for news.
    ///
    /// # Errors
    /// `WouldBlock` when nothing has arrived; else those of `receive`.
    pub(super) fn receive(&self, receive: impl FnOnce(RawFd) -> io::Result<bool>) -> io::Result<()> {
        let mut emptied = false;
        let received = self.socket.try_io(Interest::READABLE, |socket| {
            emptied = !receive(socket.as_raw_fd())?;
            if emptied { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        if emptied { Ok(()) } else { received }
    }

    /// Notes that something was sent: no task waits for room.
    pub(super) fn note_sent(&self) {
        *self.room.borrow_mut() = None;
    }

    /// Whether room is watched.
    #[cfg(test)]
    pub(super) fn watches_room(&self) -> bool {
        self.room.borrow().is_some()
    }
}

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.get_ref().as_fd()
    }
}

fn watch(socket: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned, always the same, and nothing here takes it out.
    unsafe { AsyncFd::register_with_interest(socket, interest) }.map_err(io::Error::from)
}
