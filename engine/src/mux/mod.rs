//! Streams over one ordered byte stream: one trait, one file per dialect.
//!
//! A dialect holds no clock and no transport. [`Mux::input`] takes bytes from the peer, [`Mux::poll_frame`] returns frames
//! for the peer, and [`Mux::poll_event`] returns events for the application. After every call that changes state the driver
//! takes all frames it has room for, then all events, and then reads [`Mux::poll_timeout`].

mod choice;
mod dialect;
mod session;
mod smux;
mod smuxb;
mod ticker;
mod yamux;

use crate::event::{CloseReason, Event, StreamId};
use crate::observe::Marks;
use crate::time::{Deadline, Instant};

pub use choice::{RECOGNISED_BYTES, start_session};
pub use dialect::{Dialect, DialectChoice};
pub use smux::Smux;

/// Which end of the session this is; it decides the ids of the streams opened here (SMUX-3, YAMUX-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Opens streams 3, 5, 7, ...; with yamux 1, 3, 5, ...
    Client,
    /// Opens streams 2, 4, 6, ...
    Server,
}

/// Limits and intervals of one session (overview section 9). [`Settings::validate`] applies smux's own checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The dialect; equal on both sides.
    pub dialect: Dialect,
    /// Wire version of smux, 1 or 2; equal on both sides.
    pub version: u8,
    /// Interval of keepalive frames, ms. 0 switches both timers off (validation refuses it; replays use it).
    pub keepalive_ms: u32,
    /// Interval of the check whether the peer was heard, ms; 30,000 in kcptun.
    pub peer_timeout_ms: u32,
    /// Largest payload of a frame sent, bytes (`framesize`).
    pub frame_bytes_max: usize,
    /// Unread bytes of all streams together at which reading from the peer pauses (`smuxbuf`).
    pub receive_bytes_max: usize,
    /// Window announced per stream in version 2, bytes (`streambuf`).
    pub stream_bytes_max: usize,
    /// Unread bytes at which a stream is paused at the latest (SMUX-27). Data queued behind a gap arrives all at once, so
    /// this should exceed the bytes in flight.
    pub unread_bytes_max: usize,
    /// Streams held at once; a peer's stream beyond them is refused (SMUX-22).
    pub streams_max: usize,
    /// Bytes one stream accepts before they are framed.
    pub send_bytes_max: usize,
    /// Whether writing may continue after the peer finished; `false` in smux v1.5.52 (SMUX-17).
    pub half_close: bool,
    /// Announces half-close to the peer, by a NOP with an id that other peers ignore. Half-close (SMUX-26) and flow control of
    /// single streams (SMUX-27, SMUX-29) are used only toward peers that announce it, too.
    pub announce: bool,
    /// Identifies this end's permutation pads toward a karst peer (QPP-11); 0 without pads.
    pub pads: u16,
    /// kcptunB: answer keepalives, and pause and resume single streams (`streambuf-en`).
    pub stream_buffers: bool,
    /// kcptunB: how long after data that fits its estimate a stream is not paused for exceeding it, ms (`streamboost`).
    pub boost_ms: u32,
    /// The seeded bug.
    #[cfg(feature = "planted")]
    pub planted: Option<crate::planted::Planted>,
}

impl Default for Settings {
    /// The 2026 defaults of kcptun.
    fn default() -> Self {
        Self {
            dialect: Dialect::default(),
            version: 2,
            keepalive_ms: 10_000,
            peer_timeout_ms: 30_000,
            frame_bytes_max: 8192,
            receive_bytes_max: 4_194_304,
            stream_bytes_max: 2_097_152,
            unread_bytes_max: 262_144,
            streams_max: 65_536,
            send_bytes_max: 65_536,
            half_close: false,
            announce: false,
            pads: 0,
            stream_buffers: true,
            boost_ms: 0,
            #[cfg(feature = "planted")]
            planted: None,
        }
    }
}

impl Settings {
    /// Whether both ends announced the extensions; `half_close` is only set with them (SMUX-26).
    const fn is_extended(&self) -> bool {
        self.announce && self.half_close
    }

    /// Window of a version 1 stream between ends that use credits, bytes (SMUX-27). Two streams fit a buffer like this
    /// side's.
    fn credit_window(&self) -> usize {
        self.stream_bytes_max.min(self.receive_bytes_max / 2)
    }

    /// Applies the checks of smux v1.5.52 (mux.go `VerifyConfig`, SMUX-23), in its order.
    ///
    /// # Errors
    /// The first violated rule, with smux's text.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let rules = [
            (matches!(self.version, 1 | 2), SettingsError::Version),
            (self.keepalive_ms > 0, SettingsError::KeepaliveZero),
            (self.peer_timeout_ms >= self.keepalive_ms, SettingsError::KeepaliveLong),
            (self.frame_bytes_max > 0, SettingsError::FrameZero),
            (self.frame_bytes_max <= 65_535, SettingsError::FrameLarge),
            (self.receive_bytes_max > 0, SettingsError::ReceiveZero),
            (self.stream_bytes_max > 0, SettingsError::StreamZero),
            (self.stream_bytes_max <= self.receive_bytes_max, SettingsError::StreamLarge),
            (self.receive_bytes_max <= i32::MAX as usize, SettingsError::ReceiveLarge),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, broken)| Err(broken))
    }
}

/// A setting smux refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Version other than 1 and 2.
    #[error("unsupported protocol version")]
    Version,
    /// No keepalive interval.
    #[error("keep-alive interval must be positive")]
    KeepaliveZero,
    /// Keepalive interval above the fixed timeout of 30 s.
    #[error("keep-alive timeout must be larger than keep-alive interval")]
    KeepaliveLong,
    /// Frames without payload.
    #[error("max frame size must be positive")]
    FrameZero,
    /// The length field has 16 bits.
    #[error("max frame size must not be larger than 65535")]
    FrameLarge,
    /// No receive buffer.
    #[error("max receive buffer must be positive")]
    ReceiveZero,
    /// No stream buffer.
    #[error("max stream buffer must be positive")]
    StreamZero,
    /// Stream buffer above the receive buffer.
    #[error("max stream buffer must not be larger than max receive buffer")]
    StreamLarge,
    /// The bucket counts in 32 bits.
    #[error("max receive buffer cannot be larger than 2147483647")]
    ReceiveLarge,
}

/// Why a stream could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The session holds as many streams as it may.
    #[error("too many streams")]
    TooManyStreams,
    /// The peer takes no new streams.
    #[error("the peer takes no new streams")]
    Refused,
    /// Every stream id of this session was used.
    #[error("stream ids exhausted")]
    IdsExhausted,
    /// The session is closed.
    #[error("session is closed")]
    Closed,
}

/// Why nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// No room now; a `Writable` event follows.
    #[error("no room now")]
    Blocked,
    /// The peer finished the stream, and half-close is off.
    #[error("the peer finished the stream")]
    PeerFinished,
    /// This side finished the stream.
    #[error("the stream was finished here")]
    Finished,
    /// The peer claims to have consumed bytes that were never sent (SMUX-11). Close the stream.
    #[error("peer consumed more than sent")]
    PeerOverrun,
    /// No such stream, or it was closed here.
    #[error("unknown stream")]
    UnknownStream,
    /// The session is closed.
    #[error("session is closed")]
    Closed,
}

/// Why nothing was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// No data yet; a `Readable` event follows.
    #[error("nothing to read now")]
    Blocked,
    /// No such stream: closed here, or finished by both sides and its end was read.
    #[error("unknown stream")]
    UnknownStream,
    /// The peer reset the stream; everything it sent before was read (SMUX-33).
    #[error("the peer reset the stream")]
    Reset,
    /// The session is closed or its input is broken; no more data will arrive.
    #[error("session is closed")]
    Closed,
}

/// How the peer violated the protocol. The session reads nothing more; close it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A frame of another version: other setting, other compression setting, or garbage.
    #[error("invalid protocol: version {0}")]
    Version(u8),
    /// A command that does not exist in this version.
    #[error("invalid protocol: command {0}")]
    Command(u8),
    /// A frame that its state does not allow.
    #[error("invalid protocol: {0}")]
    Violation(&'static str),
}

/// One multiplexing dialect, one end of one session.
pub trait Mux: Send {
    /// Notes the time, for dialects that measure; times of calls are otherwise unknown to a dialect.
    fn advance(&mut self, _now: Instant) {}

    /// Opens a stream and queues the frame that announces it.
    ///
    /// # Errors
    /// See [`OpenError`].
    fn open(&mut self) -> Result<StreamId, OpenError>;

    /// Bytes [`Self::write`] would take now; `Ok(0)` where it would return blocked.
    ///
    /// # Errors
    /// See [`WriteError`], except blocked.
    fn write_room(&self, id: StreamId) -> Result<usize, WriteError>;

    /// Takes the first bytes of `data`, as many as window and queue allow; their number. Empty `data` is always taken.
    ///
    /// # Errors
    /// See [`WriteError`].
    fn write(&mut self, id: StreamId, data: &[u8]) -> Result<usize, WriteError>;

    /// The unread bytes; empty at the end of the stream. The end is returned once when both sides have finished: then
    /// the stream is forgotten. The slice starts with the same bytes until they are consumed, so they may be deciphered
    /// in place.
    ///
    /// # Errors
    /// See [`ReadError`].
    fn peek(&mut self, id: StreamId) -> Result<&mut [u8], ReadError>;

    /// Whether the last data frame of a stream has arrived in part only.
    fn is_inside_frame(&self, id: StreamId) -> bool;

    /// Gives back the first `n` bytes of [`Self::peek`], which lets the peer send more.
    fn consume(&mut self, id: StreamId, n: usize);

    /// Ends the sending side once everything taken is sent; reading goes on. The stream is forgotten when both sides
    /// have finished and its end was read; callers that stop reading call [`Self::close`].
    ///
    /// # Errors
    /// Unknown stream, session closed, or finished before.
    fn finish(&mut self, id: StreamId) -> Result<(), WriteError>;

    /// Ends both sides: what was taken is still sent, what was not read is dropped. Unknown streams are ignored.
    fn close(&mut self, id: StreamId);

    /// As [`Self::close`], but this side's direction ends as cut short, unless it was finished before: a peer that announced
    /// half-close reads [`ReadError::Reset`] behind what was taken (SMUX-33). Others read an ordinary end. Whether this side's
    /// direction was cut.
    fn reset(&mut self, id: StreamId) -> bool;

    /// Drops the bytes that were not framed of streams that were reset here, so that their resets do not wait for a
    /// paused reader.
    fn drop_unsent(&mut self);

    /// Consumes bytes from the peer, cut anywhere; how many. Fewer than given only when too much is unread: offer the
    /// rest again once [`Self::input_ready`] returns true.
    ///
    /// # Errors
    /// The peer violated the protocol; every later call returns the same error.
    fn input(&mut self, bytes: &[u8]) -> Result<usize, ProtocolError>;

    /// Whether [`Self::input`] would consume anything.
    fn input_ready(&self) -> bool;

    /// Appends the next whole frame to `out`; `false` when there is none.
    fn poll_frame(&mut self, out: &mut Vec<u8>) -> bool;

    /// Whether [`Self::poll_frame`] would append a frame.
    fn has_frames(&self) -> bool;

    /// The next event.
    fn poll_event(&mut self) -> Option<Event>;

    /// Runs the timers due at `now`.
    fn handle_timeout(&mut self, now: Instant);

    /// When [`Self::handle_timeout`] has to be called; `None` when closed or without timers.
    fn poll_timeout(&self) -> Option<Deadline>;

    /// Ends the session here: all streams end, nothing more is sent, and a `Closed` event gives the reason. The peer detects
    /// it by its own timeout.
    fn shut(&mut self, reason: CloseReason);

    /// Streams held, those included that only wait for their last frames to be taken.
    fn stream_count(&self) -> usize;

    /// The stream with the most unread bytes, those finished included.
    fn fullest(&self) -> Option<StreamId>;

    /// Bytes that wait in all streams, to be framed or to be read.
    fn queued_bytes(&self) -> usize;

    /// Whether no stream has bytes, an end or a reset left to frame.
    fn is_flushed(&self) -> bool;

    /// Bytes written to a stream, and those of them that were framed, both modulo 2^32; `None` for unknown streams.
    fn sent_bytes(&self, id: StreamId) -> Option<(u32, u32)>;

    /// Queues a keepalive frame, if none waits: new data that a silent peer has to acknowledge.
    fn probe(&mut self);

    /// Coverage marks of the session.
    fn marks(&self) -> Marks;

    /// Whether the peer announced that it half-closes.
    fn peer_half_closes(&self) -> bool;

    /// The peer's permutation pads, 0 for none (QPP-11); `None` until a karst peer stated them.
    fn peer_pads(&self) -> Option<u16> {
        None
    }

    /// Asserts what must hold between any two calls, in time proportional to the number of streams.
    fn assert_invariants(&self);
}
