//! Forward error correction: Reed-Solomon shards over the datagrams of one session, as kcp-go's fec.go does
//! it.
//!
//! Every outgoing KCP datagram becomes a *data packet*; after `data` of them follow `parity` packets. A shard
//! is what the code covers: the bytes of a packet from offset 6, zero-padded to the longest of its group
//! (FEC-2, FEC-3).
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | seqid, u32 LE |
//! | 4 | 2 | type, u16 LE: 0x00f1 data, 0x00f2 parity, 0x00f3 out-of-band |
//! | 6 | 2 | size, u16 LE, counts itself (data and out-of-band packets only) |
//! | 8 | .. | KCP segments |

mod autotune;
mod counters;
mod decoder;
mod encoder;
mod galois;
mod groups;
mod kernel;
mod list;
mod matrix;
mod proof;
mod rebuild;

pub use counters::Counters;
pub use decoder::{Decoder, DecoderState, TuneExit};
pub use encoder::{Encoder, EncoderState};
pub use proof::ShapeProof;

/// Bytes in front of the KCP segments of a data packet: seqid 4, type 2, size 2 (FEC-1).
pub const HEADER_LEN: usize = 8;

/// Bytes in front of a shard: seqid 4, type 2.
pub const SHARD_OFFSET: usize = 6;

/// Largest FEC packet a decoder takes, in bytes from the seqid on: kcp-go's `mtuLimit` (FEC-17).
pub const PACKET_BYTES_MAX: usize = 1500;

const SEQID_OUT_OF_BAND: u32 = u32::MAX;

/// Type of an FEC packet (FEC-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// KCP segments in clear; goes straight to the ARQ as well.
    Data,
    /// Parity bytes of a group.
    Parity,
    /// Unprotected message of kcp-go >= 5.6.60; never goes to a decoder (FEC-16).
    OutOfBand,
}

impl Kind {
    /// The value of the type field.
    pub const fn code(self) -> u16 {
        match self {
            Self::Data => 0x00f1,
            Self::Parity => 0x00f2,
            Self::OutOfBand => 0x00f3,
        }
    }

    const fn from_code(code: u16) -> Option<Self> {
        match code {
            0x00f1 => Some(Self::Data),
            0x00f2 => Some(Self::Parity),
            0x00f3 => Some(Self::OutOfBand),
            _ => None,
        }
    }
}

/// The type of an opened datagram; `None` for plain KCP, whose command and frg at this offset cannot collide
/// (FEC-1).
pub fn kind(payload: &[u8]) -> Option<Kind> {
    Kind::from_code(u16::from_le_bytes(payload.get(4..6)?.try_into().ok()?))
}

/// The seqid of an FEC packet; 0 when it is too short to have one.
pub fn seqid(packet: &[u8]) -> u32 {
    packet.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Writes the header of an out-of-band packet into the first [`HEADER_LEN`] bytes of `packet`; the rest is
/// conv and message (FEC-16). Shorter packets are left alone.
pub fn write_out_of_band_header(packet: &mut [u8]) {
    write_header(packet, SEQID_OUT_OF_BAND, Kind::OutOfBand);
}

fn write_header(packet: &mut [u8], seqid: u32, kind: Kind) {
    let size = packet.len().saturating_sub(SHARD_OFFSET) as u16;
    if let Some(header) = packet.first_chunk_mut::<HEADER_LEN>() {
        header[..4].copy_from_slice(&seqid.to_le_bytes());
        header[4..6].copy_from_slice(&kind.code().to_le_bytes());
        header[6..].copy_from_slice(&size.to_le_bytes());
    }
}

/// Number of data and parity shards of a group: both at least 1, together at most 256 (FEC-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    data: u8,
    parity: u8,
}

impl Shape {
    /// The shape with which a session without FEC decodes until it has detected the peer's (FEC-15).
    pub const ONE_TO_ONE: Self = Self { data: 1, parity: 1 };

    /// A group of `data` and `parity` shards.
    ///
    /// # Errors
    /// Either is zero, or they are more than 256 together; kcp-go uses another code beyond that.
    pub fn new(data: usize, parity: usize) -> Result<Self, ShapeError> {
        if data == 0 || parity == 0 {
            return Err(ShapeError::Zero);
        }
        match (u8::try_from(data), u8::try_from(parity)) {
            (Ok(data_shards), Ok(parity_shards)) if data + parity <= 256 => {
                Ok(Self { data: data_shards, parity: parity_shards })
            }
            _ => Err(ShapeError::TooMany),
        }
    }

    /// Data shards per group.
    pub const fn data(self) -> usize {
        self.data as usize
    }

    /// Parity shards per group.
    pub const fn parity(self) -> usize {
        self.parity as usize
    }

    /// Shards per group.
    pub const fn total(self) -> usize {
        self.data() + self.parity()
    }

    /// Where seqids wrap: the largest multiple of the group's size in 32 bits (FEC-6).
    pub const fn paws(self) -> u32 {
        u32::MAX / self.total() as u32 * self.total() as u32
    }

    /// The group a seqid belongs to.
    const fn group(self, seqid: u32) -> u32 {
        seqid / self.total() as u32
    }

    /// The place of a seqid in its group: below `data()` for data packets (FEC-6).
    const fn index(self, seqid: u32) -> u8 {
        (seqid % self.total() as u32) as u8
    }

    /// Whether a packet's kind fits its place in the group; if not, the peer uses another shape (FEC-11).
    const fn fits(self, seqid: u32, kind: Kind) -> bool {
        (self.index(seqid) < self.data) == matches!(kind, Kind::Data)
    }
}

/// Why a [`Shape`] was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// A group needs data and parity shards.
    #[error("data and parity shards must both be positive")]
    Zero,
    /// The field has 256 elements.
    #[error("data and parity shards must not exceed 256 together")]
    TooMany,
}
