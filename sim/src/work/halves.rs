//! The two halves of a stream's end: one that writes a pattern, one that reads and compares it.

use super::Pattern;
use crate::ids::Stream;
use crate::outcome::Rule;
use crate::transport::Port;
use engine::mux::{ReadError, WriteError};

/// The writing half: offers the pattern up to a limit that may grow, then ends the stream.
#[derive(Debug)]
pub(super) struct Writer {
    pattern: Pattern,
    /// Bytes accepted by the tunnel.
    pub(super) written: u64,
    /// The stream was ended.
    pub(super) finished: bool,
}

impl Writer {
    pub(super) fn new(pattern: Pattern) -> Self {
        Self { pattern, written: 0, finished: false }
    }

    /// Writes until `limit` bytes are written in all or the tunnel has no room.
    pub(super) fn write_up_to(&mut self, port: &mut dyn Port, stream: Stream, limit: u64) {
        while self.written < limit && !self.finished {
            let piece = self.pattern.upcoming();
            let n = piece.len().min(usize::try_from(limit - self.written).unwrap_or(usize::MAX));
            match port.write(stream, &piece[..n]) {
                Ok(0) => {
                    return port.violate(Rule::Stream, format!("stream {stream} took nothing, unblocked"));
                }
                Ok(n) => {
                    self.pattern.advance(n);
                    self.written += n as u64;
                }
                Err(WriteError::Blocked) => return,
                Err(error) => {
                    return port.violate(Rule::Stream, format!("write on stream {stream}: {error}"));
                }
            }
        }
    }

    /// Ends the stream, once.
    pub(super) fn finish(&mut self, port: &mut dyn Port, stream: Stream) {
        if !self.finished {
            self.finished = true;
            finish(port, stream);
        }
    }
}

/// The reading half: everything there is, compared with the pattern.
#[derive(Debug)]
pub(super) struct Reader {
    pattern: Pattern,
    /// Another byte than was written is expected at this offset.
    pub(super) tampered_at: Option<u64>,
    /// Bytes read.
    pub(super) read: u64,
    /// The end of the stream was read.
    pub(super) ended: bool,
    /// The end was a reset, of which the transport notifies the application.
    cut: bool,
}

impl Reader {
    pub(super) fn new(pattern: Pattern) -> Self {
        Self { pattern, tampered_at: None, read: 0, ended: false, cut: false }
    }

    /// Reads until nothing is left.
    pub(super) fn read_all(&mut self, port: &mut dyn Port, stream: Stream) {
        while !self.ended && !self.cut {
            let bytes = match port.peek(stream) {
                Ok(bytes) => bytes,
                Err(ReadError::Blocked) => return,
                Err(ReadError::Reset) => {
                    self.cut = true;
                    return;
                }
                Err(error) => return port.violate(Rule::Stream, format!("read on stream {stream}: {error}")),
            };
            let n = bytes.len();
            self.ended = n == 0;
            let planted = self.tampered_at.filter(|&at| (self.read..self.read + n as u64).contains(&at));
            if let Err(offset) = self.pattern.check(bytes).and_then(|()| planted.map_or(Ok(()), Err)) {
                return port.violate(Rule::Bytes, format!("stream {stream}: byte {offset} differs"));
            }
            self.read += n as u64;
            if n > 0 {
                port.consume(stream, n);
            }
        }
    }
}

/// Ends a stream's own direction.
fn finish(port: &mut dyn Port, stream: Stream) {
    if let Err(error) = port.finish(stream) {
        port.violate(Rule::Stream, format!("finish of stream {stream}: {error}"));
    }
}
