use super::{Client, Server, Wire};
use crate::Side;
use crate::ids::{Node, Stream};
use crate::net::Event;
use crate::outcome::Rule;
use crate::record::Recorder;
use crate::transport::Port;
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

    /// Tells the recorder, if there is one.
    fn record(&mut self, tell: impl FnOnce(&mut Recorder, Instant, Side)) {
        let (now, side) = (self.now, self.side());
        if let Some(recorder) = &mut self.wire.net.recorder {
            tell(recorder, now, side);
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
                self.wire.newest.insert(stream.dial(), stream);
                let work = Some(self.work);
                self.record(|recorder, now, side| recorder.opened_stream(now, side, stream, work));
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
        if let Some(Ok(len)) = written {
            self.record(|recorder, now, side| recorder.wrote(now, side, stream, len));
        }
        written.unwrap_or(Err(WriteError::Blocked))
    }

    fn peek(&mut self, stream: Stream) -> Result<&[u8], ReadError> {
        let side = self.side();
        let found = match &mut self.host {
            Host::Client(client) => client.tunnel_of(stream),
            Host::Server(server) => server.tunnel_of(stream),
        };
        let (_, id, tunnel) = found.ok_or(ReadError::Blocked)?;
        let bytes = tunnel.peek(id)?;
        if let Some(recorder) = self.wire.net.recorder.as_mut().filter(|_| bytes.is_empty()) {
            recorder.ended(self.now, side, stream);
        }
        Ok(bytes)
    }

    fn consume(&mut self, stream: Stream, n: usize) {
        self.record(|recorder, now, side| recorder.read(now, side, stream, n));
        self.change(stream, |tunnel, now, id| tunnel.consume(now, id, n));
        self.wire.recovery.note_read(self.now, self.side().receives());
    }

    fn finish(&mut self, stream: Stream) -> Result<(), WriteError> {
        let finished = self.change(stream, |tunnel, now, id| tunnel.finish(now, id));
        if let Some(Ok(())) = finished {
            self.record(|recorder, now, side| recorder.finished(now, side, stream));
        }
        finished.unwrap_or(Ok(()))
    }

    fn close(&mut self, stream: Stream) {
        self.record(|recorder, now, side| recorder.closed(now, side, stream));
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
