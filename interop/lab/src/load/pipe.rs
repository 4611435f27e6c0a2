//! One stream: the connection at the client, the accepted connection at the target, and the bytes written and read.

use engine::mux::{ReadError, WriteError};
use sim::Side;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

/// Bytes before the payload: the stream's number.
pub(super) const HEADER_BYTES: usize = 4;

/// Size of one read.
const BUFFER_BYTES: usize = 32 * 1024;

/// A stream with both ends.
#[derive(Debug)]
pub(super) struct Pipe {
    /// The workload it belongs to.
    pub(super) work: usize,
    pub(super) opened: Instant,
    /// Ends at client and server; None before arrival, after the end, and once cut.
    pub(super) ends: [Option<End>; 2],
    /// Bytes that each side has written.
    written: [u64; 2],
    /// Whether each side has finished writing.
    finished: [bool; 2],
    /// Whether the connection of each side was cut.
    pub(super) cut: [bool; 2],
    /// Whether the application of each side was notified of the cut.
    pub(super) notified: [bool; 2],
}

/// A connection at one end of a stream.
#[derive(Debug)]
pub(super) struct End {
    pub(super) socket: TcpStream,
    /// The unsent part of the header.
    header: Vec<u8>,
    buffer: Vec<u8>,
    /// Consumed bytes of the buffer.
    used: usize,
    consumed: u64,
    /// The application waits for data.
    pub(super) wants_read: bool,
    /// The application waits for space in the send buffer.
    wants_write: bool,
    /// The peer has finished, or the connection was reset.
    eof: bool,
    /// The application has read the end.
    end_seen: bool,
    /// Writing failed.
    broken: bool,
    /// The application has closed it.
    closed: bool,
}

pub(super) const fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

impl Pipe {
    pub(super) const fn new(work: usize, opened: Instant, client: End) -> Self {
        Self {
            work,
            opened,
            ends: [Some(client), None],
            written: [0; 2],
            finished: [false; 2],
            cut: [false; 2],
            notified: [false; 2],
        }
    }

    /// The end of `side`, unless it was closed or cut.
    pub(super) fn end(&mut self, side: Side) -> Option<&mut End> {
        let cut = self.cut[index(side)];
        self.ends[index(side)].as_mut().filter(|end| !cut && !end.closed)
    }

    pub(super) fn write(&mut self, side: Side, data: &[u8]) -> Result<usize, WriteError> {
        // A lost stream blocks; its application gets `Application::reset`.
        let n = self.end(side).ok_or(WriteError::Blocked)?.write(data)?;
        self.written[index(side)] += n as u64;
        Ok(n)
    }

    pub(super) fn peek(&mut self, side: Side) -> Result<&[u8], ReadError> {
        let end = self.end(side).ok_or(ReadError::Blocked)?;
        end.fill();
        if self.has_ended(side) {
            let end = self.end(side).ok_or(ReadError::Blocked)?;
            end.end_seen = true;
            return Ok(&[]);
        }
        match self.end(side).map(|end| end.unread()) {
            None | Some([]) => Err(ReadError::Blocked),
            Some(bytes) => Ok(bytes),
        }
    }

    pub(super) fn consume(&mut self, side: Side, n: usize) {
        if let Some(end) = self.end(side) {
            end.used += n;
            end.consumed += n as u64;
        }
    }

    pub(super) fn finish(&mut self, side: Side) {
        self.finished[index(side)] = true;
        if let Some(end) = self.ends[index(side)].as_ref().filter(|end| end.header.is_empty()) {
            // A read detects a lost connection.
            let _ = end.socket.shutdown(Shutdown::Write);
        }
    }

    pub(super) fn close(&mut self, side: Side) {
        self.finished[index(side)] = true;
        if let Some(end) = &mut self.ends[index(side)] {
            end.closed = true;
        }
    }

    /// Whether the other side has finished and all its bytes were read.
    fn has_ended(&self, side: Side) -> bool {
        let peer = 1 - index(side);
        let Some(end) = &self.ends[index(side)] else { return false };
        end.eof && self.finished[peer] && end.consumed == self.written[peer]
    }

    /// Whether the connection of `side` ended before all bytes of the other side arrived. kcptun closes both directions when either
    /// ends, so a side that has finished waits until the outcome is certain.
    pub(super) fn is_broken(&self, side: Side) -> bool {
        let (own, peer) = (index(side), 1 - index(side));
        let Some(end) = self.ends[own].as_ref().filter(|end| !self.cut[own] && !end.closed) else {
            return false;
        };
        if end.broken {
            return true;
        }
        let missing = end.consumed < self.written[peer] || self.cut[peer] || !self.finished[own];
        end.eof && end.unread().is_empty() && !self.has_ended(side) && missing
    }

    /// Whether the stream ended without a readiness event for the application.
    pub(super) fn is_end_unseen(&self, side: Side) -> bool {
        let seen = self.ends[index(side)].as_ref().is_none_or(|end| end.end_seen || end.closed);
        !seen && !self.cut[index(side)] && self.has_ended(side)
    }

    /// Sends the remaining header, then a delayed end of stream. Fails if the connection is refused.
    pub(super) fn flush(&mut self, side: Side) -> io::Result<()> {
        let finished = self.finished[index(side)];
        let Some(end) = &mut self.ends[index(side)] else { return Ok(()) };
        if !end.header.is_empty() && end.send_header()? && finished {
            let _ = end.socket.shutdown(Shutdown::Write);
        }
        Ok(())
    }

    /// Closes finished connections; true when none is left and none can arrive.
    pub(super) fn sweep(&mut self) -> bool {
        for own in 0..2 {
            let finished = self.finished[own];
            let over = |end: &End| (end.end_seen && finished) || (end.closed && end.header.is_empty());
            if self.cut[own] || self.ends[own].as_ref().is_some_and(over) {
                self.ends[own] = None;
            }
        }
        let over = |side: usize| self.finished[side] && self.ends[side].is_none();
        let lost = |side: usize| self.cut[side] && self.notified[side];
        // A connection cut at the client before it was accepted will not arrive.
        lost(0) && self.ends[1].is_none() || (over(0) || lost(0)) && (over(1) || lost(1))
    }
}

impl End {
    pub(super) const fn new(socket: TcpStream, header: Vec<u8>) -> Self {
        Self {
            socket,
            header,
            buffer: Vec::new(),
            used: 0,
            consumed: 0,
            wants_read: true,
            wants_write: false,
            eof: false,
            end_seen: false,
            broken: false,
            closed: false,
        }
    }

    /// Awaited readiness: readable, writable.
    pub(super) const fn wants(&self) -> [bool; 2] {
        let header = !self.header.is_empty() && !self.broken;
        [self.wants_read && !self.eof && !self.closed && !header, self.wants_write || header]
    }

    /// Clears the awaited readiness once it has occurred.
    pub(super) const fn wake(&mut self) {
        (self.wants_read, self.wants_write) = (false, false);
    }

    fn write(&mut self, data: &[u8]) -> Result<usize, WriteError> {
        if self.header.is_empty() && !self.broken {
            match retried(|| (&self.socket).write(data)) {
                Ok(n) => return Ok(n),
                Err(error) => self.broken = error.kind() != ErrorKind::WouldBlock,
            }
        }
        self.wants_write = !self.broken;
        Err(WriteError::Blocked)
    }

    /// Whether the whole header was sent.
    fn send_header(&mut self) -> io::Result<bool> {
        match retried(|| (&self.socket).write(&self.header)) {
            Ok(n) => _ = self.header.drain(..n),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Err(error),
            Err(_) => self.broken = true,
        }
        Ok(self.header.is_empty())
    }

    /// Reads more if all read bytes were consumed.
    fn fill(&mut self) {
        if self.eof || !self.header.is_empty() || !self.unread().is_empty() {
            return;
        }
        self.buffer.resize(BUFFER_BYTES, 0);
        self.used = 0;
        let read = retried(|| (&self.socket).read(&mut self.buffer));
        self.buffer.truncate(*read.as_ref().unwrap_or(&0));
        match read {
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.wants_read = true,
            // A reset also ends the stream; byte counts detect missing data.
            Ok(0) | Err(_) => self.eof = true,
            Ok(_) => {}
        }
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.used..]
    }
}

fn retried<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
