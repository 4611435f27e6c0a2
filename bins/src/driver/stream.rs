//! One stream of a session, as its task sees it.

use super::hub::{Hub, Scratch};
use engine::mux::{ReadError, WriteError};
use engine::{SessionId, StreamId};
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Wakes the task of a stream.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    pub(crate) readable: Notify,
    pub(crate) writable: Notify,
    /// The tunnel closed the stream: its reader stalled.
    pub(crate) cut: Notify,
    /// The peer stopped reading.
    pub(crate) stopped: Notify,
    pub(crate) is_stopped: Cell<bool>,
    /// The peer ended its direction in order.
    pub(crate) is_finished: Cell<bool>,
    /// The peer reset the stream.
    pub(crate) reset: Notify,
    /// The client acknowledged something, or its session ended.
    validated: Notify,
    /// Counts the stream's connection until then (KCP-35).
    early: RefCell<Option<OwnedSemaphorePermit>>,
}

impl Signals {
    pub(crate) fn wake_all(&self) {
        self.readable.notify_one();
        self.writable.notify_one();
        self.note_validation();
    }

    /// The client of the session acknowledged something.
    pub(crate) fn note_validation(&self) {
        self.early.take();
        self.validated.notify_one();
    }
}

/// Handle of a stream; dropping it resets the stream, as far as this side's direction was not finished.
pub(crate) struct Stream {
    hub: Rc<Hub>,
    session: SessionId,
    id: StreamId,
    signals: Rc<Signals>,
    /// Bytes of it were read.
    received: Cell<bool>,
    /// Address of the session's peer; the session may have ended when it is logged.
    peer: Option<SocketAddr>,
}

impl Stream {
    pub(crate) fn new(hub: Rc<Hub>, session: SessionId, id: StreamId, signals: Rc<Signals>) -> Self {
        let peer = hub.peer(session);
        Self { hub, session, id, signals, received: Cell::new(false), peer }
    }

    /// The thread's buffers.
    pub(crate) fn scratch(&self) -> &Scratch {
        &self.hub.scratch
    }

    /// As kcptun logs it: the session's peer and the stream's number.
    pub(crate) fn label(&self) -> String {
        match self.peer {
            Some(peer) => format!("{peer}({})", self.id.0),
            None => format!("?({})", self.id.0),
        }
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> Result<usize, WriteError> {
        if self.hub.waits_for_memory(self.session) {
            return Err(WriteError::Blocked);
        }
        let now = self.hub.scratch.clock.now();
        let written = self.hub.with_tunnel(self.session, |tunnel| tunnel.write(now, self.id, bytes));
        written.unwrap_or(Err(WriteError::Closed))
    }

    /// Passes the unread bytes (none at the end of the stream) to `take`, which returns how many it took.
    pub(crate) fn read_with<E>(
        &self,
        take: impl FnOnce(&[u8]) -> Result<usize, E>,
    ) -> Result<Result<usize, E>, ReadError> {
        let looked = self.hub.look_at_tunnel(self.session, |tunnel| tunnel.peek(self.id).map(take));
        let taken = looked.unwrap_or(Err(ReadError::Closed))?;
        if let Ok(count @ 1..) = taken {
            self.received.set(true);
            let now = self.hub.scratch.clock.now();
            self.hub.with_tunnel(self.session, |tunnel| tunnel.consume(now, self.id, count));
        }
        Ok(taken)
    }

    /// Whether the peer's last frame has arrived in part.
    pub(crate) fn is_inside_frame(&self) -> bool {
        self.hub.look_at_tunnel(self.session, |tunnel| tunnel.is_inside_frame(self.id)).unwrap_or(false)
    }

    /// Whether bytes of the stream were read.
    pub(crate) const fn has_received(&self) -> bool {
        self.received.get()
    }

    pub(crate) fn finish(&self) -> Result<(), WriteError> {
        let now = self.hub.scratch.clock.now();
        let finished = self.hub.with_tunnel(self.session, |tunnel| tunnel.finish(now, self.id));
        finished.unwrap_or(Err(WriteError::Closed))
    }

    /// Whether the peer still takes data after it ended its own direction.
    pub(crate) fn peer_half_closes(&self) -> bool {
        let looked = self.hub.look_at_tunnel(self.session, |tunnel| tunnel.peer_half_closes());
        looked.unwrap_or(false)
    }

    /// Whether the peer ended its direction in order; bytes of it may still have to be read.
    pub(crate) fn is_finished(&self) -> bool {
        self.signals.is_finished.get()
    }

    /// Waits until the peer resets the stream (SMUX-33).
    pub(crate) async fn reset(&self) {
        self.signals.reset.notified().await;
    }

    /// Waits until the program stops; the time at which it ends.
    pub(crate) async fn stopping(&self) -> Instant {
        self.hub.scratch.stopping.began().await
    }

    /// Waits until the tunnel closes the stream because its stalled reader blocks the others (SMUX-28).
    pub(crate) async fn cut(&self) {
        self.signals.cut.notified().await;
    }

    /// Whether the peer stopped reading the stream (SMUX-29).
    pub(crate) fn is_stopped(&self) -> bool {
        self.signals.is_stopped.get()
    }

    /// Waits until the peer stops reading the stream (SMUX-29).
    pub(crate) async fn stopped(&self) {
        self.signals.stopped.notified().await;
    }

    /// Waits until the target may be connected to: the client has acknowledged something, or only few wait for that (KCP-35).
    /// `false` when the session ended meanwhile.
    pub(crate) async fn admitted(&self, early: &Arc<Semaphore>) -> bool {
        let validated = || self.hub.look_at_tunnel(self.session, |tunnel| tunnel.is_validated());
        if validated() == Some(false) {
            tokio::select! {
                biased;
                () = self.signals.validated.notified() => {}
                permit = Arc::clone(early).acquire_owned() => {
                    *self.signals.early.borrow_mut() = permit.ok();
                }
            }
        }
        validated().is_some()
    }

    /// Waits until a write that returned blocked can be retried.
    pub(crate) async fn writable(&self) {
        self.signals.writable.notified().await;
    }

    /// Waits until a read that returned blocked can be retried.
    pub(crate) async fn readable(&self) {
        self.signals.readable.notified().await;
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.hub.reset_stream(self.session, self.id);
    }
}
