//! The two halves of a stream; session-wide rules are in the parent module.

use super::frame::{Command, Header, UPDATE_LEN};
use crate::byte_queue::ByteQueue;
use crate::event::StreamId;
use crate::mux::{Settings, WriteError};
use crate::time;

/// Bytes in flight a peer allows before its first UPD (SMUX-10).
const INITIAL_WINDOW: u32 = 262_144;

/// Bytes read after which a window is extended at the latest, half of kcptun's default window: half of a larger window would
/// leave a sender waiting on a long path.
const UPDATE_BYTES_MAX: usize = 1 << 20;

/// Unit of credits (SMUX-27).
pub(super) const CREDIT_BYTES: u32 = 1024;

/// Length of the NOP sent once the reader stopped (SMUX-29).
pub(super) const STOP: u16 = u16::MAX;

/// Length of the NOP that marks the end of a stream as a reset (SMUX-33).
pub(super) const RESET: u16 = STOP - 1;

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) send: SendHalf,
    pub(super) receive: ReceiveHalf,
    /// Number of the turn in which it sends its next frame, if it has one.
    pub(super) turn: Option<u64>,
    /// Closed here: hidden from the application, and held only to send its last frames.
    pub(super) closed: bool,
}

impl Stream {
    /// A stream opened here announces itself with a SYN.
    pub(super) fn new(opened_here: bool) -> Self {
        Self { send: SendHalf::new(opened_here), receive: ReceiveHalf::default(), turn: None, closed: false }
    }

    /// Both directions ended (SMUX-18, SMUX-19), and every frame about that is sent.
    pub(super) fn is_done(&self) -> bool {
        self.send.fin == Fin::Sent && (self.closed || self.receive.end_told) && !self.send.stop_queued
    }

    /// Bytes waiting to be framed or read.
    pub(super) fn queued_bytes(&self) -> usize {
        self.send.queue.len() + self.receive.queue.len()
    }

    /// Bytes a write would take (SMUX-10, SMUX-17).
    pub(super) fn write_room(&self, settings: &Settings) -> Result<usize, WriteError> {
        if self.send.fin != Fin::Open {
            return Err(WriteError::Finished);
        }
        if self.send.stopped || self.receive.peer_finished && !settings.half_close {
            return Err(WriteError::PeerFinished);
        }
        self.send.room(settings)
    }

    /// Whether to wake a blocked writer now: a new attempt would succeed, or fail for another reason.
    ///
    /// Half a queue must be free, so that a bulk writer is not woken for every frame.
    pub(super) fn take_writable(&mut self, settings: &Settings) -> bool {
        if !self.send.writer_waits {
            return false;
        }
        let wake = match self.write_room(settings) {
            Ok(room) => room > 0 && self.send.queue.len() <= settings.send_bytes_max / 2,
            Err(_) => true,
        };
        self.send.writer_waits = !wake;
        wake
    }
}

/// The end of the sending direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fin {
    Open,
    /// Of a stream that was reset, while it is unknown what the peer understands (SMUX-33).
    Deferred,
    Queued,
    Sent,
}

#[derive(Debug)]
pub(super) struct SendHalf {
    pub(super) fin: Fin,
    /// The end is a reset, and the frame that marks it was not sent (SMUX-33).
    pub(super) reset: bool,
    pub(super) writer_waits: bool,
    /// The peer paused the stream: no PSH is sent (SMUX-27).
    pub(super) held: bool,
    /// This side wants the peer to pause, and whether a frame said so (SMUX-27).
    pub(super) hold_wanted: bool,
    hold_told: bool,
    /// The peer stopped reading (SMUX-29).
    pub(super) stopped: bool,
    /// This side stopped reading, and the frame that reports it is queued (SMUX-29).
    stop_queued: bool,
    syn_queued: bool,
    /// Total to announce.
    update_queued: Option<u32>,
    queue: ByteQueue,
    written: u32,
    peer_consumed: u32,
    peer_window: u32,
    /// Bytes consumed here that credits have reported (SMUX-27).
    credited: u32,
}

impl SendHalf {
    fn new(syn_queued: bool) -> Self {
        Self {
            fin: Fin::Open,
            reset: false,
            writer_waits: false,
            held: false,
            hold_wanted: false,
            hold_told: false,
            stopped: false,
            stop_queued: false,
            syn_queued,
            update_queued: None,
            queue: ByteQueue::default(),
            written: 0,
            peer_consumed: 0,
            peer_window: INITIAL_WINDOW,
            credited: 0,
        }
    }

    fn room(&self, settings: &Settings) -> Result<usize, WriteError> {
        let queue_room = settings.send_bytes_max.max(1).saturating_sub(self.queue.len());
        if settings.version == 1 && !settings.is_extended() {
            return Ok(queue_room);
        }
        let inflight = time::diff(self.written, self.peer_consumed);
        if inflight < 0 {
            return Err(WriteError::PeerOverrun); // SMUX-11
        }
        let window = (self.peer_window as i32).wrapping_sub(inflight);
        Ok(queue_room.min(usize::try_from(window).unwrap_or(0)))
    }

    /// Bytes waiting to be framed.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn push(&mut self, data: &[u8]) {
        self.queue.push(data);
        self.written = self.written.wrapping_add(data.len() as u32);
    }

    /// Bytes written, and those of them that were framed.
    pub(super) fn sent_bytes(&self) -> (u32, u32) {
        (self.written, self.written.wrapping_sub(self.queue.len() as u32))
    }

    pub(super) fn set_window(&mut self, consumed: u32, window: u32) {
        self.peer_consumed = consumed;
        self.peer_window = window;
    }

    /// SMUX-27: credits do what UPDs do in version 2.
    pub(super) fn add_credit(&mut self, kibibytes: u16, settings: &Settings) {
        self.peer_consumed = self.peer_consumed.wrapping_add(u32::from(kibibytes) * CREDIT_BYTES);
        self.peer_window = (settings.credit_window() as u32).max(INITIAL_WINDOW);
    }

    /// The peer stopped reading: queued bytes are dropped.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
        self.drop_queue();
    }

    pub(super) fn drop_queue(&mut self) {
        self.queue = ByteQueue::default();
    }

    /// Ends the direction as a reset; false when it was ended before.
    pub(super) fn reset(&mut self, peer_is_identified: bool) -> bool {
        if self.fin != Fin::Open {
            return false;
        }
        self.reset = true;
        self.fin = if peer_is_identified { Fin::Queued } else { Fin::Deferred };
        true
    }

    /// Nothing is left to frame of the data and its end.
    pub(super) fn is_flushed(&self) -> bool {
        self.queue.is_empty() && matches!(self.fin, Fin::Open | Fin::Sent)
    }

    /// Queues the frame that reports that this side stopped reading; it supersedes all others about reading.
    pub(super) fn queue_stop(&mut self) {
        self.forget_reader();
        self.stop_queued = true;
    }

    /// Queues an UPD, or updates the queued one.
    pub(super) fn queue_update(&mut self, consumed: u32) {
        self.update_queued = Some(consumed);
    }

    /// The peer sends nothing more, or its data is not read: cancels frames about reading.
    pub(super) fn forget_reader(&mut self) {
        self.update_queued = None;
        (self.hold_wanted, self.hold_told) = (false, false);
    }

    pub(super) fn has_frames(&self) -> bool {
        let control = self.syn_queued || self.update_queued.is_some() || self.stop_queued;
        control
            || self.hold_wanted != self.hold_told
            || if self.queue.is_empty() { self.fin == Fin::Queued } else { !self.held }
    }

    /// Appends the next frame: SYN and those about reading before PSH and FIN (SMUX-15).
    pub(super) fn put_frame(&mut self, id: StreamId, settings: &Settings, out: &mut Vec<u8>) {
        debug_assert!(self.has_frames());
        let header = |command, len: usize| Header { command, len: len as u16, id };
        if self.syn_queued {
            self.syn_queued = false;
            header(Command::Syn, 0).put(settings.version, out);
        } else if std::mem::take(&mut self.stop_queued) {
            header(Command::Nop, STOP.into()).put(settings.version, out);
        } else if let Some(consumed) = self.update_queued.take_if(|_| settings.version == 1) {
            let kibibytes = (consumed.wrapping_sub(self.credited) / CREDIT_BYTES).min(u32::from(RESET) - 1);
            self.credited = self.credited.wrapping_add(kibibytes * CREDIT_BYTES);
            header(Command::Nop, kibibytes as usize).put(settings.version, out);
        } else if let Some(consumed) = self.update_queued.take() {
            header(Command::Update, UPDATE_LEN).put(settings.version, out);
            out.extend_from_slice(&consumed.to_le_bytes());
            out.extend_from_slice(&(settings.stream_bytes_max as u32).to_le_bytes());
        } else if self.hold_wanted != self.hold_told {
            self.hold_told = self.hold_wanted;
            header(Command::Nop, 0).put(settings.version, out);
        } else if !self.queue.is_empty() && !self.held {
            let len = self.queue.len().min(settings.frame_bytes_max); // SMUX-16
            header(Command::Push, len).put(settings.version, out);
            out.extend_from_slice(&self.queue.as_slice()[..len]);
            self.queue.consume(len);
        } else if self.queue.is_empty() && self.fin == Fin::Queued {
            if std::mem::take(&mut self.reset) && settings.is_extended() {
                return header(Command::Nop, RESET.into()).put(settings.version, out); // the FIN follows
            }
            self.fin = Fin::Sent;
            header(Command::Fin, 0).put(settings.version, out);
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct ReceiveHalf {
    pub(super) peer_finished: bool,
    /// The peer's end is a reset (SMUX-33).
    pub(super) reset: bool,
    /// The application read the end of the stream; later data of the peer is dropped (SMUX-24).
    pub(super) end_told: bool,
    /// A Readable event was reported, and no read returned blocked since.
    pub(super) reader_told: bool,
    queue: ByteQueue,
    /// Bytes at the end of the queue whose frame is not complete; a frame becomes readable as a whole (SMUX-25).
    partial_bytes: usize,
    read_total: u32,
    since_update: u32,
}

impl ReceiveHalf {
    pub(super) fn readable_bytes(&self) -> usize {
        self.queue.len() - self.partial_bytes
    }

    pub(super) fn partial_bytes(&self) -> usize {
        self.partial_bytes
    }

    pub(super) fn readable(&mut self) -> &mut [u8] {
        let n = self.readable_bytes();
        &mut self.queue.as_mut_slice()[..n]
    }

    pub(super) fn push_partial(&mut self, bytes: &[u8]) {
        self.queue.push(bytes);
        self.partial_bytes += bytes.len();
    }

    /// The frame is complete; its length.
    pub(super) fn commit(&mut self) -> usize {
        std::mem::take(&mut self.partial_bytes)
    }

    /// Drops everything, read or not; the bytes that were readable.
    pub(super) fn discard(&mut self) -> usize {
        let readable = self.readable_bytes();
        self.queue = ByteQueue::default();
        self.partial_bytes = 0;
        readable
    }

    /// Whether to wake a blocked reader; true once per blocked read.
    pub(super) fn take_wake(&mut self) -> bool {
        !std::mem::replace(&mut self.reader_told, true)
    }

    /// Drops `n` readable bytes; the total to announce when an UPD is due: after the first read and after every half
    /// window (SMUX-12). A credit cannot report less than its unit, so the first one waits for that; later ones
    /// are early enough for the smallest window a peer may use (SMUX-27).
    pub(super) fn consume(&mut self, n: usize, settings: &Settings) -> Option<u32> {
        debug_assert!(0 < n && n <= self.readable_bytes());
        self.queue.consume(n);
        let n = n as u32;
        self.read_total = self.read_total.wrapping_add(n);
        self.since_update = self.since_update.saturating_add(n);
        let due = if settings.version == 2 {
            self.since_update as usize >= (settings.stream_bytes_max / 2).min(UPDATE_BYTES_MAX)
                || self.read_total == n
        } else {
            let first = self.since_update == self.read_total && self.read_total >= CREDIT_BYTES;
            settings.is_extended() && (first || self.since_update >= INITIAL_WINDOW / 2)
        };
        due.then(|| {
            self.since_update = 0;
            self.read_total
        })
    }
}
