use crate::Side;
use crate::checks::Rule;
use engine::mux::{ReadError, WriteError};
use engine::{Instant, StreamId};
use std::fmt::{self, Display, Formatter};
use std::ops::RangeInclusive;

/// A stream as applications know it: the same on both sides, and used once in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stream(pub u64);

impl Stream {
    /// The stream of that id in the client's tunnel of that dial.
    pub fn new(dial: u32, id: StreamId) -> Self {
        Self(u64::from(dial) << 32 | u64::from(id.0))
    }

    /// Number of the dial.
    pub const fn dial(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The multiplexer's number.
    pub const fn id(self) -> StreamId {
        StreamId(self.0 as u32)
    }

    /// All streams of that dial.
    pub fn all_of(dial: u32) -> RangeInclusive<Self> {
        Self::new(dial, StreamId(0))..=Self::new(dial, StreamId(u32::MAX))
    }
}

impl Display for Stream {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self.dial() {
            0 => write!(out, "{}", self.id().0),
            dial => write!(out, "{} of dial {dial}", self.id().0),
        }
    }
}

/// What carries an application's streams, on one side and at one instant: a tunnel, or whatever it is compared with.
pub trait Port {
    /// The time.
    fn now(&self) -> Instant;

    /// The side the application acts on.
    fn side(&self) -> Side;

    /// Opens a stream; the other side hears of it when it arrives there. A refusal breaks [`Rule::Stream`].
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
