use super::{Client, Node, Port, Server, Stream, Wire};
use crate::Side;
use crate::checks::Rule;
use crate::net::Event;
use engine::mux::{ReadError, WriteError};
use engine::{Instant, StreamId, Tunnel};

/// The tunnels of one side as an application sees them. Every call that changes a tunnel settles it.
pub struct TunnelPort<'w> {
    now: Instant,
    work: usize,
    host: Host<'w>,
    wire: &'w mut Wire,
}

/// The tunnels of one side.
pub(super) enum Host<'w> {
    Client(&'w mut Client),
    Server(&'w mut Server),
}

impl<'w> TunnelPort<'w> {
    pub(super) const fn new(now: Instant, work: usize, host: Host<'w>, wire: &'w mut Wire) -> Self {
        Self { now, work, host, wire }
    }

    fn tunnel(&mut self, stream: Stream) -> Option<(Node, StreamId, &mut Tunnel)> {
        match &mut self.host {
            Host::Client(client) => client.tunnel_of(stream),
            Host::Server(server) => server.tunnel_of(stream),
        }
    }

    /// Calls `change` on the tunnel of that stream, if it lives, and settles it.
    fn change<R>(
        &mut self,
        stream: Stream,
        change: impl FnOnce(&mut Tunnel, Instant, StreamId) -> R,
    ) -> Option<R> {
        let found = match &mut self.host {
            Host::Client(client) => client.tunnel_of(stream),
            Host::Server(server) => server.tunnel_of(stream),
        };
        let (node, id, tunnel) = found?;
        let result = change(tunnel, self.wire.local(node.side(), self.now), id);
        self.wire.settle(self.now, node, tunnel);
        Some(result)
    }
}

impl Port for TunnelPort<'_> {
    fn now(&self) -> Instant {
        self.now
    }

    fn side(&self) -> Side {
        match &self.host {
            Host::Client(_) => Side::Client,
            Host::Server(_) => Side::Server,
        }
    }

    fn open(&mut self) -> Option<Stream> {
        let opened = match &mut self.host {
            Host::Client(client) => client.open_stream(self.wire, self.now),
            Host::Server(_) => return None,
        };
        match opened {
            Ok(stream) => {
                self.wire.owners.insert(stream, self.work);
                self.wire.newest = Some(stream);
                Some(stream)
            }
            Err(error) => {
                self.violate(Rule::Stream, format!("open: {error}"));
                None
            }
        }
    }

    fn has(&mut self, stream: Stream) -> bool {
        self.tunnel(stream).is_some()
    }

    fn write(&mut self, stream: Stream, data: &[u8]) -> Result<usize, WriteError> {
        // A stream that is lost blocks; what becomes of it is told by `Application::reset`.
        let written = self.change(stream, |tunnel, now, id| tunnel.write(now, id, data));
        written.unwrap_or(Err(WriteError::Blocked))
    }

    fn peek(&mut self, stream: Stream) -> Result<&[u8], ReadError> {
        let (_, id, tunnel) = self.tunnel(stream).ok_or(ReadError::Blocked)?;
        tunnel.peek(id)
    }

    fn consume(&mut self, stream: Stream, n: usize) {
        self.change(stream, |tunnel, now, id| tunnel.consume(now, id, n));
        self.wire.recovery.note_read(self.now, self.side().receives());
    }

    fn finish(&mut self, stream: Stream) -> Result<(), WriteError> {
        self.change(stream, |tunnel, now, id| tunnel.finish(now, id)).unwrap_or(Ok(()))
    }

    fn close(&mut self, stream: Stream) {
        self.change(stream, |tunnel, now, id| tunnel.close_stream(now, id));
    }

    fn forget(&mut self, stream: Stream) {
        self.wire.owners.remove(&stream);
        self.wire.over.push(stream);
    }

    fn wake_at(&mut self, at: Instant, tag: u64) {
        let event = Event::Wake { work: self.work, side: self.side(), tag };
        self.wire.net.schedule.push(at, event);
    }

    fn violate(&mut self, rule: Rule, detail: String) {
        let side = self.side();
        self.wire.violate(self.now, rule, format!("{side:?}: {detail}"));
    }
}
