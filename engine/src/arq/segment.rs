//! The 24-byte segment header (KCP-1).

/// Bytes of a segment header.
pub const OVERHEAD: usize = 24;

/// A payload that waits in a queue.
#[derive(Debug)]
pub(super) struct Queued {
    /// Fragments of the message that follow.
    pub(super) frg: u8,
    pub(super) data: Vec<u8>,
}

/// Segment commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// A data segment.
    Push,
    /// The acknowledgement of one data segment.
    Ack,
    /// A window probe: asks for the peer's receive window.
    Wask,
    /// The answer to a window probe, or the announcement of a window that opened.
    Wins,
}

impl Command {
    #[inline]
    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            81 => Some(Self::Push),
            82 => Some(Self::Ack),
            83 => Some(Self::Wask),
            84 => Some(Self::Wins),
            _ => None,
        }
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Push => 81,
            Self::Ack => 82,
            Self::Wask => 83,
            Self::Wins => 84,
        }
    }
}

/// A decoded header; the payload of `len` bytes follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Conversation id.
    pub conv: u32,
    /// Raw command byte; see [`Header::command`].
    pub cmd: u8,
    /// Fragments of the message that follow.
    pub frg: u8,
    /// Sender's free receive window, segments.
    pub wnd: u16,
    /// Sender's millisecond clock, echoed by an ACK.
    pub ts: u32,
    /// Sequence number.
    pub sn: u32,
    /// Next sn the sender of this segment expects.
    pub una: u32,
    /// Payload bytes.
    pub len: u32,
}

impl Header {
    /// Splits the first header off `bytes`; `None` when fewer than 24 bytes are left.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = bytes.split_first_chunk::<OVERHEAD>()?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let header = Self {
            conv: word(0),
            cmd: head[4],
            frg: head[5],
            wnd: u16::from_le_bytes([head[6], head[7]]),
            ts: word(8),
            sn: word(12),
            una: word(16),
            len: word(20),
        };
        Some((header, rest))
    }

    /// The command, if it is one of the four.
    #[inline]
    pub const fn command(&self) -> Option<Command> {
        Command::from_byte(self.cmd)
    }

    /// Writes the header into the first 24 bytes of `out`.
    #[inline]
    pub(crate) fn write(&self, out: &mut [u8]) {
        out[0..4].copy_from_slice(&self.conv.to_le_bytes());
        out[4] = self.cmd;
        out[5] = self.frg;
        out[6..8].copy_from_slice(&self.wnd.to_le_bytes());
        out[8..12].copy_from_slice(&self.ts.to_le_bytes());
        out[12..16].copy_from_slice(&self.sn.to_le_bytes());
        out[16..20].copy_from_slice(&self.una.to_le_bytes());
        out[20..24].copy_from_slice(&self.len.to_le_bytes());
    }

    /// A header with all numbers 0.
    #[inline]
    pub(crate) const fn new(conv: u32, command: Command) -> Self {
        Self { conv, cmd: command.byte(), frg: 0, wnd: 0, ts: 0, sn: 0, una: 0, len: 0 }
    }
}
