//! One session of the engine over a socket of its own.

use super::socket::{Socket, Via, is_no_news};
use engine::{Entropy, Event, Handled, Instant, StreamId, Tunnel, TunnelConfig};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

/// Longest wait for a datagram before the caller's condition is tried again.
const STEP: Duration = Duration::from_millis(20);

/// Room for any datagram; longer ones are cut, and dropped by the engine.
const DATAGRAM_BYTES_MAX: usize = 2048;

/// A client's session, driven by the calling thread.
pub(super) struct Session {
    pub(super) tunnel: Tunnel,
    /// Events of streams, in order.
    pub(super) events: Vec<Event>,
    socket: Socket,
    started: Moment,
    buffer: Vec<u8>,
}

impl Session {
    /// Dials. The session's first datagram announces this end, and opens no stream.
    ///
    /// # Errors
    /// As [`Via::connect`].
    pub(super) fn dial(
        config: &Arc<TunnelConfig>,
        via: &Via,
        to: SocketAddr,
        mut entropy: Entropy,
    ) -> io::Result<Self> {
        Ok(Self {
            socket: via.connect(to, &mut entropy)?,
            tunnel: Tunnel::connect(config, Instant::ZERO, to, entropy),
            events: Vec::new(),
            started: Moment::now(),
            buffer: vec![0; DATAGRAM_BYTES_MAX],
        })
    }

    pub(super) fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Drives the session until `done`, up to `limit`; whether it was done.
    ///
    /// # Errors
    /// The port is closed, or the path reports an error.
    pub(super) fn run(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> io::Result<bool> {
        let until = Moment::now() + limit;
        loop {
            let now = self.now();
            self.tunnel.handle_timeout(now);
            self.transmit()?;
            while let Some(event) = self.tunnel.poll_event() {
                self.events.push(event);
            }
            if done(self) {
                return Ok(true);
            }
            let Some(left) = until.checked_duration_since(Moment::now()) else { return Ok(false) };
            let due = self.tunnel.poll_timeout().map_or(STEP, |deadline| deadline.at.since(now));
            let now = self.now();
            if let Some(datagram) = self.socket.receive(left.min(due).min(STEP), &mut self.buffer)?
                // Bad datagrams are of no interest here.
                && self.tunnel.handle_datagram(now, datagram) == Handled::Used
            {
                self.socket.opened();
            }
        }
    }

    fn transmit(&mut self) -> io::Result<()> {
        let now = self.now();
        // With room for a single one, datagrams come one by one.
        let mut out = [0; engine::tunnel::MTU_MAX];
        while let Some(transmit) = self.tunnel.poll_transmit(now, &mut out) {
            let size = transmit.segment.map_or(transmit.len, |size| usize::from(size.get()));
            for datagram in out[..transmit.len].chunks(size) {
                match self.socket.send(datagram) {
                    Ok(()) => {}
                    Err(error) if is_no_news(&error) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Whether the peer sent stream data that this end can read.
    pub(super) fn understands(&self) -> bool {
        self.tunnel.stats().bytes_received > 0 && !self.tunnel.is_closed()
    }

    /// How the peer ended a stream, if it has.
    pub(super) fn end_of(&self, id: StreamId) -> Option<End> {
        self.events.iter().find_map(|event| match event {
            Event::Reset(of) if *of == id => Some(End::Reset),
            Event::Finished(of) if *of == id => Some(End::Finished),
            _ => None,
        })
    }
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Reset,
    Finished,
}
