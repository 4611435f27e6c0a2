use super::{Node, Wire};
use crate::Side;
use crate::checks::Rule;
use engine::mux::{ReadError, WriteError};
use engine::{Instant, StreamId, Tunnel};

/// A tunnel as an application sees it, at one instant. Every call that changes the tunnel settles it.
pub struct Port<'w> {
    now: Instant,
    node: Node,
    tunnel: &'w mut Tunnel,
    wire: &'w mut Wire,
}

impl<'w> Port<'w> {
    pub(super) const fn new(now: Instant, node: Node, tunnel: &'w mut Tunnel, wire: &'w mut Wire) -> Self {
        Self { now, node, tunnel, wire }
    }

    /// The time.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The side this tunnel is on.
    pub const fn side(&self) -> Side {
        self.node.side()
    }

    /// Opens a stream; a refusal breaks [`Rule::Stream`].
    pub fn open_stream(&mut self) -> Option<StreamId> {
        match self.tunnel.open_stream(self.now) {
            Ok(id) => {
                self.settle();
                Some(id)
            }
            Err(error) => {
                self.violate(Rule::Stream, format!("open: {error}"));
                None
            }
        }
    }

    /// Writes what there is room for.
    ///
    /// # Errors
    /// As [`Tunnel::write`].
    pub fn write(&mut self, id: StreamId, data: &[u8]) -> Result<usize, WriteError> {
        let written = self.tunnel.write(self.now, id, data);
        self.settle();
        written
    }

    /// The first unread bytes; empty at the end of the stream.
    ///
    /// # Errors
    /// As [`Tunnel::peek`].
    pub fn peek(&mut self, id: StreamId) -> Result<&[u8], ReadError> {
        self.tunnel.peek(id)
    }

    /// Takes `n` bytes that were peeked.
    pub fn consume(&mut self, id: StreamId, n: usize) {
        self.tunnel.consume(self.now, id, n);
        self.settle();
    }

    /// Ends this direction of the stream.
    ///
    /// # Errors
    /// As [`Tunnel::finish`].
    pub fn finish(&mut self, id: StreamId) -> Result<(), WriteError> {
        let finished = self.tunnel.finish(self.now, id);
        self.settle();
        finished
    }

    /// Notes a broken rule.
    pub fn violate(&mut self, rule: Rule, detail: String) {
        self.wire.violate(self.now, rule, format!("{:?}: {detail}", self.side()));
    }

    fn settle(&mut self) {
        self.wire.settle(self.now, self.node, self.tunnel);
    }
}
