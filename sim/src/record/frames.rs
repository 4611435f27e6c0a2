//! Maps frames of streams to segments by parsing the output of the sender's multiplexer and compressor.

use super::event::{EventKind, Frame, FrameCommand};
use crate::Side;
use engine::snappy::Decoder;
use std::collections::BTreeMap;

const FRAME_HEADER: usize = 8;
const CHUNK_HEADER: usize = 4;

/// Parser of the bytes that one side sends in one session.
#[derive(Debug)]
pub(super) struct Frames {
    decoder: Option<Decoder>,
    chunks: Chunks,
    /// The first segment whose bytes are not yet assigned to a frame.
    first: Option<u32>,
    /// Incomplete header of the current frame.
    head: Vec<u8>,
    /// Command and stream of the current frame; its missing payload bytes follow.
    current: (FrameCommand, u32),
    left: usize,
    /// Data bytes of each stream so far.
    sent: BTreeMap<u32, u64>,
    /// The byte stream was malformed; parsing has stopped.
    lost: bool,
}

impl Frames {
    pub(super) fn new(compressed: bool) -> Self {
        Self {
            decoder: compressed.then(Decoder::new),
            chunks: Chunks::default(),
            first: None,
            head: Vec::new(),
            current: (FrameCommand::Nop, 0),
            left: 0,
            sent: BTreeMap::new(),
            lost: false,
        }
    }

    /// Parses the next segment; returns the event for the frames it completes.
    pub(super) fn push(&mut self, side: Side, session: u32, sn: u32, payload: &[u8]) -> Option<EventKind> {
        if self.lost {
            return None;
        }
        let first = *self.first.get_or_insert(sn);
        let frames = match self.decoder.take() {
            None => self.parse(payload),
            Some(mut decoder) => {
                self.lost = decoder.push(payload).is_err();
                let frames = self.parse(decoder.decoded());
                decoder.consume(decoder.decoded().len());
                self.decoder = Some(decoder);
                frames
            }
        };
        let open = self.decoder.is_some() && self.chunks.push(payload);
        if frames.is_empty() && open {
            return None;
        }
        self.first = open.then_some(sn);
        (!frames.is_empty()).then_some(EventKind::Carries { side, session, first, last: sn, frames })
    }

    fn parse(&mut self, mut bytes: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        while !bytes.is_empty() && !self.lost {
            if self.left > 0 {
                let n = self.left.min(bytes.len());
                frames.extend(self.payload(n));
                self.left -= n;
                bytes = &bytes[n..];
                continue;
            }
            let n = (FRAME_HEADER - self.head.len()).min(bytes.len());
            self.head.extend_from_slice(&bytes[..n]);
            bytes = &bytes[n..];
            if self.head.len() == FRAME_HEADER {
                frames.extend(self.begin());
            }
        }
        frames
    }

    /// Handles a complete header. Data frames are reported with their payload.
    fn begin(&mut self) -> Option<Frame> {
        let head = std::mem::take(&mut self.head);
        let cmd = match head[1] {
            0 => FrameCommand::Syn,
            1 => FrameCommand::Fin,
            2 => FrameCommand::Psh,
            3 => FrameCommand::Nop,
            4 => FrameCommand::Upd,
            _ => {
                self.lost = true;
                return None;
            }
        };
        let stream = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        self.left = usize::from(u16::from_le_bytes([head[2], head[3]]));
        self.current = (cmd, stream);
        (cmd != FrameCommand::Psh).then_some(Frame { cmd, stream, at: 0, len: 0 })
    }

    fn payload(&mut self, n: usize) -> Option<Frame> {
        let (cmd, stream) = self.current;
        if cmd != FrameCommand::Psh {
            return None;
        }
        let sent = self.sent.entry(stream).or_default();
        let at = *sent;
        *sent += n as u64;
        Some(Frame { cmd, stream, at, len: n as u32 })
    }
}

/// Tracks the chunk boundaries of a compressed stream.
#[derive(Debug, Default)]
struct Chunks {
    head: Vec<u8>,
    left: usize,
}

impl Chunks {
    /// Consumes bytes; true if the last chunk is incomplete.
    fn push(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let into_head = self.left == 0;
            let wanted = if into_head { CHUNK_HEADER - self.head.len() } else { self.left };
            let (now, rest) = bytes.split_at(wanted.min(bytes.len()));
            bytes = rest;
            if !into_head {
                self.left -= now.len();
                continue;
            }
            self.head.extend_from_slice(now);
            if let [_, low, middle, high] = *self.head {
                self.left = u32::from_le_bytes([low, middle, high, 0]) as usize;
                self.head.clear();
            }
        }
        self.left > 0 || !self.head.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens a stream, sends ten bytes in a frame that is split in two, and ends the stream.
    fn bytes() -> Vec<u8> {
        let mut bytes = vec![2, 0, 0, 0, 3, 0, 0, 0, 2, 2, 10, 0, 3, 0, 0, 0];
        bytes.extend([7; 10]);
        bytes.extend([2, 1, 0, 0, 3, 0, 0, 0]);
        bytes
    }

    fn frame(cmd: FrameCommand, at: u64, len: u32) -> Frame {
        Frame { cmd, stream: 3, at, len }
    }

    #[test]
    fn plain_segments_carry_the_frames_within_them() {
        let mut frames = Frames::new(false);
        let mut carried = Vec::new();
        for (sn, piece) in bytes().chunks(12).enumerate() {
            if let Some(EventKind::Carries { first, last, frames, .. }) =
                frames.push(Side::Client, 0, sn as u32, piece)
            {
                carried.push((first, last, frames));
            }
        }
        use FrameCommand::{Fin, Psh, Syn};
        let expected = [
            (0, 0, vec![frame(Syn, 0, 0)]),
            (1, 1, vec![frame(Psh, 0, 8)]),
            (2, 2, vec![frame(Psh, 8, 2), frame(Fin, 0, 0)]),
        ];
        assert_eq!(carried, expected);
    }

    #[test]
    fn compressed_frames_map_to_all_segments_of_their_chunk() {
        let mut wire = Vec::new();
        let mut encoder = engine::snappy::Encoder::new();
        encoder.encode(&bytes(), &mut wire);
        let cut = wire.len() - 3;
        encoder.encode(&[2, 3, 0, 0, 0, 0, 0, 0], &mut wire);
        let mut frames = Frames::new(true);
        assert_eq!(frames.push(Side::Client, 0, 5, &wire[..cut]), None);
        let Some(EventKind::Carries { first, last, frames, .. }) =
            frames.push(Side::Client, 0, 6, &wire[cut..])
        else {
            panic!()
        };
        assert_eq!((first, last, frames.len()), (5, 6, 4));
    }

    #[test]
    fn malformed_bytes_stop_the_parser() {
        let mut frames = Frames::new(false);
        assert_eq!(frames.push(Side::Client, 0, 0, &[2, 99, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(frames.push(Side::Client, 0, 1, &[2, 0, 0, 0, 3, 0, 0, 0]), None);
    }
}
