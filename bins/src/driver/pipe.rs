//! Carries bytes between a stream and a local connection, both ways (CLI-23).
//!
//! Between two ends that half-close, each direction ends for itself. A peer that does not (kcptun) has closed the whole
//! stream when its end arrives: what it sent is delivered, and then nothing more can be done for either side.
//!
//! An end is passed on as an end only where the source has ended in order; anything else is passed on as a reset (CLI-57).
//! Resetting is what dropping a [`Stream`] and closing a [`Wire`] do unless they were finished.

use super::stream::Stream;
use crate::net::wire::Wire;
use engine::mux::{ReadError, WriteError};
use std::cell::Cell;
use std::io;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

/// Idle timeout of one direction once the other ended, toward a peer that half-closes: long polls are legitimate.
const HALF_CLOSED_REST: Duration = Duration::from_secs(600);

/// Time for the peer to read the last bytes.
const DISCARD_MAX: Duration = Duration::from_secs(30);

/// The same once the other end of the tunnel stopped reading: a target that sends without end must be closed soon.
const DISCARD_STOPPED_MAX: Duration = Duration::from_secs(1);

/// Time for the bytes before a reset to be acknowledged by the connection's peer, from which the reset would take them.
const RESET_DELAY_MAX: Duration = Duration::from_secs(1);

/// Time without progress after which the rest of a connection that broke is given up.
const BROKEN_IDLE_MAX: Duration = Duration::from_secs(1);

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
    #[error(transparent)]
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
    /// The program stops, and a direction had not ended.
    #[error("cut short: the program stops")]
    Stopping,
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
        () = progress.stuck_before_reset(stream) => Err(PipeError::Read(ReadError::Reset)),
        until = stream.stopping() => return stop(stream, wire, &progress, until).await,
    };
    if result.is_ok() || progress.source_ended.get() {
        // Fails when it was done before, and when the session just ended, which changes nothing here.
        let _ = stream.finish();
    }
    if result.is_ok() && !progress.uploaded.get() {
        let limit = if stream.is_stopped() { DISCARD_STOPPED_MAX } else { DISCARD_MAX };
        let _ = timeout(limit, discard(stream, wire)).await;
    }
    if matches!(result, Err(PipeError::Read(ReadError::Reset))) {
        let _ = timeout(RESET_DELAY_MAX, wire.acknowledged()).await;
    }
    result
}

/// The program ends at `until`: delivers what the peer sent completely, and ends this side's direction if its source has
/// ended. The rest is reset (CLI-25).
async fn stop(stream: &Stream, wire: &Wire, progress: &Progress, until: Instant) -> Result<(), PipeError> {
    if progress.source_ended.get() {
        let _ = stream.finish();
    }
    if stream.is_finished() && !progress.downloaded.get() {
        let _ = timeout_at(until, download(stream, wire, progress)).await;
    }
    if progress.downloaded.get() {
        let _ = timeout_at(until, wire.acknowledged()).await;
    }
    let complete = progress.source_ended.get() && progress.downloaded.get();
    complete.then_some(()).ok_or(PipeError::Stopping)
}

/// Connection to stream. A read takes only what fits the scratch buffer; what the tunnel has no room for waits here.
async fn upload(
    stream: &Stream,
    wire: &Wire,
    progress: &Progress,
    hold_end: Duration,
) -> Result<(), PipeError> {
    progress.reads.set(true);
    let ended = read_all(stream, wire, progress).await;
    progress.reads.set(false);
    match ended {
        // What the peer sent before it closed is still on its way to the connection.
        Err(PipeError::Write(WriteError::PeerFinished)) => return Ok(()),
        ended => ended?,
    }
    if progress.broken.get() {
        // The failed write consumed the error by which a read would distinguish this from an end.
        return Err(PipeError::Wire(io::ErrorKind::ConnectionReset.into()));
    }
    progress.source_ended.set(true);
    hold(stream, progress, hold_end).await;
    stream.finish().map_err(PipeError::Write)?;
    progress.half_closed(&progress.uploaded);
    Ok(())
}

/// Reads the connection to its end.
async fn read_all(stream: &Stream, wire: &Wire, progress: &Progress) -> Result<(), PipeError> {
    let mut waiting = Vec::new();
    loop {
        match read_into(stream, wire, &mut waiting) {
            Ok(0) => return Ok(()),
            Ok(_) => progress.moved(),
            Err(PipeError::Wire(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                if progress.broken.get() {
                    return Ok(());
                }
                wire.readable().await?;
            }
            Err(error) => return Err(error),
        }
        write_waiting(stream, wire, &mut waiting, progress).await?;
    }
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
            Ok(Err(error)) => {
                // What the connection's peer sent before it broke can still be read.
                progress.broken.set(true);
                if progress.reads.get() {
                    progress.idle_for(BROKEN_IDLE_MAX).await;
                }
                return Err(PipeError::Wire(error));
            }
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
    /// The connection is being read.
    reads: Cell<bool>,
    /// The connection cannot be written any more.
    broken: Cell<bool>,
    /// The connection was read to its end.
    source_ended: Cell<bool>,
    uploaded: Cell<bool>,
    downloaded: Cell<bool>,
    half_closed: Notify,
    peer_closed: Notify,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            moved_at: Cell::new(Instant::now()),
            reads: Cell::new(false),
            broken: Cell::new(false),
            source_ended: Cell::new(false),
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

    /// Waits until the peer has reset the stream and the bytes before it were not taken by the connection for
    /// [`DISCARD_MAX`].
    async fn stuck_before_reset(&self, stream: &Stream) {
        stream.reset().await;
        self.idle_for(DISCARD_MAX).await;
    }

    /// Waits until nothing has moved for `limit`.
    async fn idle_for(&self, limit: Duration) {
        self.moved();
        while Instant::now() < self.moved_at.get() + limit {
            sleep_until(self.moved_at.get() + limit).await;
        }
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
