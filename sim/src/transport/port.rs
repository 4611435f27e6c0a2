use super::Transport;
use crate::Side;
use crate::ids::Stream;
use crate::net::Event;
use crate::outcome::Rule;
use crate::record::Recorder;
use engine::Instant;
use engine::mux::{ReadError, WriteError};

/// The interface of an application to its streams, on one side and at one instant.
pub trait Port {
    /// The time.
    fn now(&self) -> Instant;

    /// The side the application acts on.
    fn side(&self) -> Side;

    /// Opens a stream; the other side is notified when it arrives there. A refusal breaks [`Rule::Stream`].
    fn open(&mut self) -> Option<Stream>;

    /// Whether the stream can be used on this side: it arrived, and what carries it is alive.
    fn has(&mut self, _stream: Stream) -> bool {
        true
    }

    /// Writes what there is room for: at least one byte of a non-empty `data`.
    ///
    /// # Errors
    /// [`WriteError::Blocked`] when nothing fits; the application is advanced when it does. Others when the stream does
    /// not take bytes any more.
    fn write(&mut self, stream: Stream, data: &[u8]) -> Result<usize, WriteError>;

    /// The first unread bytes; empty at the end of the stream. A stream is forgotten when its end was seen here and
    /// both sides finished.
    ///
    /// # Errors
    /// [`ReadError::Blocked`] when nothing is there; the application is advanced when something is. Others when nothing
    /// will come any more.
    fn peek(&mut self, stream: Stream) -> Result<&[u8], ReadError>;

    /// Takes `n` bytes that were peeked.
    fn consume(&mut self, stream: Stream, n: usize);

    /// Ends this side's direction of the stream behind what was written.
    ///
    /// # Errors
    /// The stream is gone, or was finished before.
    fn finish(&mut self, stream: Stream) -> Result<(), WriteError>;

    /// Ends both directions: what was written is still sent, what was not read is dropped.
    fn close(&mut self, stream: Stream);

    /// Both ends have read the end of the other's direction: nothing about the stream matters any more.
    fn forget(&mut self, _stream: Stream) {}

    /// Has [`crate::work::Application::tick`] called on this side at `at` with `tag`.
    fn wake_at(&mut self, at: Instant, tag: u64);

    /// Notes a broken rule.
    fn violate(&mut self, rule: Rule, detail: String);
}

/// One side of a transport at one instant, for the workload of that index.
pub struct SidePort<'t, T> {
    /// The time.
    pub now: Instant,
    /// The side.
    pub side: Side,
    /// The workload.
    pub work: usize,
    /// What carries the streams.
    pub transport: &'t mut T,
}

impl<T: Transport> SidePort<'_, T> {
    /// Passes what the application did to the recorder, if there is one.
    fn record(&mut self, show: impl FnOnce(&mut Recorder, Instant, Side)) {
        if let Some(recorder) = &mut self.transport.network_mut().net.recorder {
            show(recorder, self.now, self.side);
        }
    }

    fn is_recorded(&self) -> bool {
        self.transport.network().net.recorder.is_some()
    }
}

impl<T: Transport> Port for SidePort<'_, T> {
    fn now(&self) -> Instant {
        self.now
    }

    fn side(&self) -> Side {
        self.side
    }

    fn open(&mut self) -> Option<Stream> {
        if self.side == Side::Server {
            return None;
        }
        match self.transport.open(self.now) {
            Ok(stream) => {
                let work = self.work;
                self.transport.network_mut().owners.insert(stream, work);
                self.record(|recorder, now, side| recorder.opened_stream(now, side, stream, Some(work)));
                Some(stream)
            }
            Err(reason) => {
                self.violate(Rule::Stream, format!("open: {reason}"));
                None
            }
        }
    }

    fn has(&mut self, stream: Stream) -> bool {
        self.transport.has(self.side, stream)
    }

    fn write(&mut self, stream: Stream, data: &[u8]) -> Result<usize, WriteError> {
        let len = self.transport.write(self.now, self.side, stream, data)?;
        self.record(|recorder, now, side| recorder.wrote(now, side, stream, len));
        Ok(len)
    }

    fn peek(&mut self, stream: Stream) -> Result<&[u8], ReadError> {
        // The end is seen once: the stream may be forgotten with it.
        if self.is_recorded() && self.transport.peek(self.side, stream)?.is_empty() {
            self.record(|recorder, now, side| recorder.ended(now, side, stream));
            return Ok(&[]);
        }
        self.transport.peek(self.side, stream)
    }

    fn consume(&mut self, stream: Stream, n: usize) {
        self.record(|recorder, now, side| recorder.read(now, side, stream, n));
        self.transport.consume(self.now, self.side, stream, n);
    }

    fn finish(&mut self, stream: Stream) -> Result<(), WriteError> {
        let lives = self.is_recorded() && self.transport.has(self.side, stream);
        self.transport.finish(self.now, self.side, stream)?;
        if lives {
            self.record(|recorder, now, side| recorder.finished(now, side, stream));
        }
        Ok(())
    }

    fn close(&mut self, stream: Stream) {
        self.record(|recorder, now, side| recorder.closed(now, side, stream));
        self.transport.close(self.now, self.side, stream);
    }

    fn forget(&mut self, stream: Stream) {
        self.transport.forget(stream);
    }

    fn wake_at(&mut self, at: Instant, tag: u64) {
        let event = Event::Wake { work: self.work, side: self.side, tag };
        self.transport.network_mut().net.schedule.push(at, event);
    }

    fn violate(&mut self, rule: Rule, detail: String) {
        let detail = format!("{:?}: {detail}", self.side);
        self.transport.network_mut().violate(self.now, rule, detail);
    }
}
