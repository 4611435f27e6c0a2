//! Carries bytes between a stream and a local connection, both ways (CLI-23).
//!
//! Between two ends that half-close, each direction ends for itself. A peer that does not (kcptun) has closed the whole
//! stream when its end arrives: what it sent is delivered, and then nothing more can be done for either side.

use super::stream::Stream;
use crate::net::wire::Wire;
use engine::mux::{ReadError, WriteError};
use std::cell::Cell;
use std::io;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

/// Idle timeout of one direction once the other ended, toward a peer that half-closes: long polls are legitimate.
const HALF_CLOSED_REST: Duration = Duration::from_secs(600);

/// Time for the peer to read the last bytes.
const DISCARD_MAX: Duration = Duration::from_secs(30);

/// The same once the other end of the tunnel stopped reading: a target that sends without end must be closed soon.
const DISCARD_STOPPED_MAX: Duration = Duration::from_secs(1);

/// Interval at which a deferred end checks whether it may be sent.
const HOLD_STEP: Duration = Duration::from_millis(20);

/// How a pipe treats a peer without half-close (CLI-52).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long the end of the connection is deferred.
    pub(crate) hold_end: Duration,
    /// Idle timeout of one direction once the other ended.
    pub(crate) rest: Duration,
}

/// Why a pipe ended before both directions did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum PipeError {
    /// The local connection broke.
    #[error("{0}")]
    Wire(#[from] io::Error),
    /// The stream or its session is gone.
    #[error("{0}")]
    Write(WriteError),
    /// The stream or its session is gone.
    #[error("{0}")]
    Read(ReadError),
    /// The stream was closed here (SMUX-28).
    #[error("given up: its reader stopped and held up the other streams")]
    Cut,
    /// One direction ended, and the other one was idle too long.
    #[error("half-closed and idle")]
    Idle,
}

/// Runs until both directions ended, the peer closed the stream, or something failed.
///
/// # Errors
/// The connection is reset if its peer did not get the whole stream.
pub(crate) async fn pipe(stream: &Stream, wire: &Wire, limits: Limits) -> Result<(), PipeError> {
    let Limits { hold_end, rest } = limits;
    let progress = Progress::default();
    let both = async {
        tokio::try_join!(upload(stream, wire, &progress, hold_end), download(stream, wire, &progress))
    };
    let result = tokio::select! {
        biased;
        ended = both => ended.map(|_| ()),
        () = progress.peer_closed.notified() => Ok(()),
        () = stream.cut() => Err(PipeError::Cut),
        () = progress.idle(stream, rest) => Err(PipeError::Idle),
    };
    let cut = matches!(result, Err(PipeError::Read(_) | PipeError::Write(_) | PipeError::Cut));
    if cut && !progress.downloaded.get() {
        wire.reset_on_close();
    }
    if result.is_ok() && !progress.uploaded.get() {
        // Fails when the session just ended, which changes nothing here.
        let _ = stream.finish();
        let limit = if stream.is_stopped() { DISCARD_STOPPED_MAX } else { DISCARD_MAX };
        let _ = timeout(limit, discard(stream, wire)).await;
    }
    result
}

/// Connection to stream. A read takes only what fits the scratch buffer; what the tunnel has no room for waits here.
async fn upload(
    stream: &Stream,
    wire: &Wire,
    progress: &Progress,
    hold_end: Duration,
) -> Result<(), PipeError> {
    let mut waiting = Vec::new();
    loop {
        match read_into(stream, wire, &mut waiting) {
            Ok(0) => break,
            Ok(_) => progress.moved(),
            Err(PipeError::Wire(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                wire.readable().await?
            }
            // What the peer sent before it closed is still on its way to the connection.
            Err(PipeError::Write(WriteError::PeerFinished)) => return Ok(()),
            Err(error) => return Err(error),
        }
        match write_waiting(stream, wire, &mut waiting, progress).await {
            Err(PipeError::Write(WriteError::PeerFinished)) => return Ok(()),
            written => written?,
        }
    }
    hold(stream, progress, hold_end).await;
    stream.finish().map_err(PipeError::Write)?;
    progress.half_closed(&progress.uploaded);
    Ok(())
}

/// CLI-52: kcptun's server closes the whole stream when one direction ends. So the end is deferred while the reply flows,
/// until nothing has moved for `limit`; a server that half-closes announces it with its first frame.
async fn hold(stream: &Stream, progress: &Progress, limit: Duration) {
    while !stream.peer_half_closes() && !progress.downloaded.get() {
        let until = progress.moved_at.get() + limit;
        let now = Instant::now();
        if until <= now {
            return;
        }
        sleep_until(until.min(now + HOLD_STEP)).await;
    }
}

/// Reads once and writes at once; the rest goes to `waiting`.
fn read_into(stream: &Stream, wire: &Wire, waiting: &mut Vec<u8>) -> Result<usize, PipeError> {
    let buffer = &mut *stream.scratch().read.borrow_mut();
    let count = wire.try_read(buffer)?;
    let bytes = &buffer[..count];
    let mut written = 0;
    while written < count {
        match stream.write(&bytes[written..]) {
            Ok(taken) => written += taken,
            Err(WriteError::Blocked) => break,
            Err(error) => return Err(PipeError::Write(error)),
        }
    }
    waiting.extend_from_slice(&bytes[written..]);
    Ok(count)
}

async fn write_waiting(
    stream: &Stream,
    wire: &Wire,
    waiting: &mut Vec<u8>,
    progress: &Progress,
) -> Result<(), PipeError> {
    let mut written = 0;
    while written < waiting.len() {
        match stream.write(&waiting[written..]) {
            Ok(taken) => {
                written += taken;
                progress.moved();
            }
            // Nothing is read meanwhile, so a reset has to be waited for.
            Err(WriteError::Blocked) => tokio::select! {
                biased;
                () = stream.writable() => {}
                () = wire.broken() => return Err(PipeError::Wire(io::ErrorKind::ConnectionReset.into())),
            },
            Err(error) => return Err(PipeError::Write(error)),
        }
    }
    if written > 0 {
        // Blocked streams may be many; each keeps a buffer only while it needs one.
        *waiting = Vec::new();
    }
    Ok(())
}

/// Stream to connection.
async fn download(stream: &Stream, wire: &Wire, progress: &Progress) -> Result<(), PipeError> {
    loop {
        let taken = stream.read_with(|bytes| if bytes.is_empty() { Ok(0) } else { wire.try_write(bytes) });
        match taken {
            Ok(Ok(0)) => break,
            Ok(Ok(_)) => progress.moved(),
            Ok(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => wire.writable().await?,
            Ok(Err(error)) => return Err(PipeError::Wire(error)),
            Err(ReadError::Blocked) => stream.readable().await,
            Err(error) => return Err(PipeError::Read(error)),
        }
    }
    wire.shutdown_write();
    progress.half_closed(&progress.downloaded);
    if !stream.peer_half_closes() {
        progress.peer_closed.notify_one();
    }
    Ok(())
}

/// Reads the connection to its end. Closing it with bytes unread would reset it, and the last bytes written to it with it.
async fn discard(stream: &Stream, wire: &Wire) {
    loop {
        let result = wire.try_read(&mut stream.scratch().read.borrow_mut());
        match result {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if wire.readable().await.is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}

/// Progress of a pipe.
struct Progress {
    moved_at: Cell<Instant>,
    uploaded: Cell<bool>,
    downloaded: Cell<bool>,
    half_closed: Notify,
    peer_closed: Notify,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            moved_at: Cell::new(Instant::now()),
            uploaded: Cell::new(false),
            downloaded: Cell::new(false),
            half_closed: Notify::new(),
            peer_closed: Notify::new(),
        }
    }
}

impl Progress {
    fn moved(&self) {
        self.moved_at.set(Instant::now());
    }

    fn half_closed(&self, direction: &Cell<bool>) {
        direction.set(true);
        self.moved();
        self.half_closed.notify_one();
    }

    /// Waits until one direction ended and the other one was idle for `rest`, or [`HALF_CLOSED_REST`] if the peer half-closes; or
    /// until everything was delivered and the peer stopped reading.
    async fn idle(&self, stream: &Stream, rest: Duration) {
        self.half_closed.notified().await;
        loop {
            let rest = if stream.peer_half_closes() { HALF_CLOSED_REST } else { rest };
            let until = self.moved_at.get() + rest;
            if until <= Instant::now() || (stream.is_stopped() && self.downloaded.get()) {
                return;
            }
            tokio::select! {
                biased;
                () = sleep_until(until) => {}
                () = self.half_closed.notified() => {}
                () = stream.stopped() => {}
            }
        }
    }
}
