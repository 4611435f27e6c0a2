//! Streams that one side resets while the session lives (SMUX-33).

use super::{Notice, Tunnels};
use crate::Side;
use crate::check::is_truncation;
use crate::ids::{Node, Stream};
use crate::outcome::Rule;
use engine::mux::ReadError;
use engine::{Event, Instant};
use std::collections::{BTreeSet, VecDeque};

#[derive(Debug, Default)]
pub(super) struct Resets {
    /// Streams that were cut, with the side that has to read that.
    cut: BTreeSet<(Side, Stream)>,
    /// Streams that the client's process closed; the other side may still read them.
    closed: BTreeSet<Stream>,
    /// Resets of which applications are not notified yet.
    notices: VecDeque<(Side, Stream)>,
}

impl Resets {
    /// Whether the other side cut the stream.
    pub(super) fn is_cut(&self, side: Side, stream: Stream) -> bool {
        self.cut.contains(&(side, stream))
    }

    /// The client's process closed the stream. If the server cut it, no event about that follows.
    pub(super) fn note_closed(&mut self, stream: Stream) {
        if self.cut.remove(&(Side::Client, stream)) {
            self.notices.push_back((Side::Client, stream));
        } else {
            self.closed.insert(stream);
        }
    }

    /// The stream arrived in another session of its conversation, which did not cut it.
    pub(super) fn arrive_again(&mut self, stream: Stream) {
        self.cut.remove(&(Side::Client, stream));
    }

    pub(super) fn forget(&mut self, stream: Stream) {
        self.closed.remove(&stream);
    }
}

impl Tunnels {
    /// A fault: the process of that side resets all its streams, as one that stops does. Without half-close at both ends
    /// nothing happens: the other end could not know.
    pub(super) fn reset_streams(&mut self, now: Instant, side: Side) -> Option<Notice> {
        if !self.half_closes {
            return None;
        }
        let streams: Vec<Stream> = self.driver.network.owners.keys().copied().collect();
        let reset = streams.into_iter().filter(|&stream| self.reset_stream(now, side, stream)).collect();
        Some(Notice::Reset(side, reset))
    }

    /// Whether that side had the stream.
    fn reset_stream(&mut self, now: Instant, side: Side, stream: Stream) -> bool {
        let reset = self.change(now, side, stream, |tunnel, now, id| {
            let is_known = !matches!(tunnel.peek(id), Err(ReadError::UnknownStream));
            is_known.then(|| tunnel.reset_stream(now, id))
        });
        let Some(cut) = reset.flatten() else { return false };
        let other = if side == Side::Client { Side::Server } else { Side::Client };
        if cut && !self.resets.closed.contains(&stream) {
            self.resets.cut.insert((other, stream));
        } else {
            // The other side may not get an event, so its application is notified without one.
            self.resets.notices.push_back((other, stream));
        }
        if side == Side::Server {
            self.server.unbind(stream);
        }
        true
    }

    /// Handles an event about a stream that the other side cut: the reset follows behind what the application still reads.
    pub(super) fn note_cut(&mut self, now: Instant, node: Node, event: Event) {
        let (Event::Finished(id) | Event::Reset(id)) = event else { return };
        let side = node.side();
        let Some(stream) = self.stream_of(node, id, false) else { return };
        let cut = self.resets.cut.contains(&(side, stream));
        if is_truncation(event, cut) {
            let detail = format!("{side:?}: stream {stream} was cut and looks complete");
            self.driver.network.violate(now, Rule::Bytes, detail);
        }
        if matches!(event, Event::Reset(_)) {
            self.resets.notices.push_back((side, stream));
        }
    }

    /// The next application to notify of a reset; its process closes the stream.
    pub(super) fn next_reset(&mut self, now: Instant) -> Option<Notice> {
        let (side, stream) = self.resets.notices.pop_front()?;
        self.resets.cut.remove(&(side, stream));
        self.resets.forget(stream);
        self.change(now, side, stream, |tunnel, now, id| tunnel.close_stream(now, id));
        if side == Side::Server {
            self.server.unbind(stream);
        }
        Some(Notice::Reset(side, vec![stream]))
    }
}
