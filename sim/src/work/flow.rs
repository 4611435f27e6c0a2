//! One stream with both its ends and both its directions: what may be written so far, and what was read and compared.

use super::Pattern;
use super::halves::{Reader, Writer};
use crate::ids::Stream;
use crate::outcome::Rule;
use crate::transport::Port;
use crate::{Direction, Side};
use engine::Instant;

/// A stream of an application, as both ends see it.
#[derive(Debug)]
pub(super) struct Flow {
    /// What the client writes.
    pub(super) up: Half,
    /// What the server writes.
    pub(super) down: Half,
    /// When the client opened it.
    pub(super) opened_at: Instant,
    /// The server's half as it was at the start, for a server that loses it.
    fresh: Fresh,
}

/// One direction of a flow.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) writer: Writer,
    pub(super) reader: Reader,
    /// Bytes that may be written in all.
    pub(super) offered: u64,
    /// The direction ends behind them.
    pub(super) ends: bool,
    /// The reader does not read.
    pub(super) stalled: bool,
    /// Where a writer ended that is gone; what it wrote may still arrive.
    past_end: Option<u64>,
}

#[derive(Debug)]
struct Fresh {
    up: Pattern,
    down: Pattern,
}

impl Flow {
    /// A stream that carries one pattern in each direction.
    pub(super) fn new(up: Pattern, down: Pattern, opened_at: Instant) -> Self {
        let (half_up, half_down) = (Half::new(&up), Half::new(&down));
        Self { up: half_up, down: half_down, opened_at, fresh: Fresh { up, down } }
    }

    /// Writes and reads what is possible on the port's side.
    pub(super) fn advance(&mut self, port: &mut dyn Port, stream: Stream) {
        if !port.has(stream) {
            return;
        }
        let (outward, inward) = match port.side() {
            Side::Client => (&mut self.up, &mut self.down),
            Side::Server => (&mut self.down, &mut self.up),
        };
        outward.write(port, stream);
        inward.read(port, stream);
    }

    /// The server lost its end: the next one starts from nothing.
    pub(super) fn restart_server(&mut self) {
        self.up.reader = Reader::new(self.fresh.up.clone());
        if self.down.writer.finished {
            self.down.past_end = Some(self.down.writer.written);
        }
        self.down.writer = Writer::new(self.fresh.down.clone());
    }

    /// One of its directions.
    pub(super) const fn half(&mut self, direction: Direction) -> &mut Half {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }

    /// Both ends read the end of the other's direction.
    pub(super) const fn is_over(&self) -> bool {
        self.up.reader.ended && self.down.reader.ended
    }

    /// Bytes offered that were not read.
    pub(super) const fn owed_bytes(&self) -> u64 {
        self.up.owed_bytes() + self.down.owed_bytes()
    }
}

impl Half {
    fn new(pattern: &Pattern) -> Self {
        Self {
            writer: Writer::new(pattern.clone()),
            reader: Reader::new(pattern.clone()),
            offered: 0,
            ends: false,
            stalled: false,
            past_end: None,
        }
    }

    fn write(&mut self, port: &mut dyn Port, stream: Stream) {
        self.writer.write_up_to(port, stream, self.offered);
        if self.ends && self.writer.written >= self.offered {
            self.writer.finish(port, stream);
        }
    }

    fn read(&mut self, port: &mut dyn Port, stream: Stream) {
        if self.stalled || self.reader.ended {
            return;
        }
        self.reader.read_all(port, stream);
        let (read, written) = (self.reader.read, self.writer.written);
        let is_complete = read == written && self.writer.finished;
        if self.reader.ended && !is_complete && self.past_end != Some(read) {
            let which = if self.writer.finished { "" } else { " so far" };
            port.violate(
                Rule::Bytes,
                format!("stream {stream} ended after {read} of {written} bytes{which}"),
            );
        }
    }

    const fn owed_bytes(&self) -> u64 {
        self.offered.saturating_sub(self.reader.read)
    }
}
