//! The frame header of smux (SMUX-1; smux frame.go).

use crate::event::StreamId;
use crate::mux::ProtocolError;

/// Version, command, length u16 LE, stream id u32 LE.
pub(super) const HEADER_LEN: usize = 8;
/// Payload of an UPD frame: consumed u32 LE, window u32 LE.
pub(super) const UPDATE_LEN: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Syn = 0,
    Fin = 1,
    Push = 2,
    Nop = 3,
    Update = 4,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) command: Command,
    pub(super) len: u16,
    pub(super) id: StreamId,
}

impl Header {
    /// Reads a header of a session of `version` (SMUX-2, SMUX-8).
    pub(super) fn parse(version: u8, bytes: [u8; HEADER_LEN]) -> Result<Self, ProtocolError> {
        let [their_version, command, len0, len1, id @ ..] = bytes;
        if their_version != version {
            return Err(ProtocolError::Version(their_version));
        }
        let command = match command {
            0 => Command::Syn,
            1 => Command::Fin,
            2 => Command::Push,
            3 => Command::Nop,
            4 if version == 2 => Command::Update,
            other => return Err(ProtocolError::Command(other)),
        };
        Ok(Self { command, len: u16::from_le_bytes([len0, len1]), id: StreamId(u32::from_le_bytes(id)) })
    }

    pub(super) fn put(self, version: u8, out: &mut Vec<u8>) {
        let [len0, len1] = self.len.to_le_bytes();
        let [id0, id1, id2, id3] = self.id.0.to_le_bytes();
        out.extend_from_slice(&[version, self.command as u8, len0, len1, id0, id1, id2, id3]);
    }
}

/// Consumed bytes and window of an UPD payload.
pub(super) fn parse_update(payload: [u8; UPDATE_LEN]) -> (u32, u32) {
    let [c0, c1, c2, c3, w0, w1, w2, w3] = payload;
    (u32::from_le_bytes([c0, c1, c2, c3]), u32::from_le_bytes([w0, w1, w2, w3]))
}
