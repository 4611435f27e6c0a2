use crate::Side;
use crate::ids::Stream;
use crate::outcome::Rule;
use engine::Instant;
use engine::mux::{ReadError, WriteError};

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
