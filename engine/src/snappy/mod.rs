//! Snappy's framing format around the multiplexer's byte stream (protocol compression.md; golang/snappy encode.go and
//! decode.go). The block codec is the `snap` crate; chunks and checksums are made here.

mod crc32c;

use crate::byte_queue::ByteQueue;
use snap::raw;

/// First bytes of each direction.
const STREAM_ID: [u8; 10] = *b"\xff\x06\x00\x00sNaPpY";
/// Type u8 and length u24 LE.
const HEADER_LEN: usize = 4;
const CRC_LEN: usize = 4;
/// Uncompressed bytes of one chunk at most (SNAP-3).
const BLOCK_BYTES_MAX: usize = 65_536;
/// Length of the longest legal chunk of type 00: what a block can grow to, and its checksum (SNAP-9).
const COMPRESSED_CHUNK_MAX: usize = 32 + BLOCK_BYTES_MAX + BLOCK_BYTES_MAX / 6 + CRC_LEN;

const COMPRESSED: u8 = 0x00;
const UNCOMPRESSED: u8 = 0x01;
const SKIPPABLE_FIRST: u8 = 0x80;
const IDENTIFIER: u8 = 0xff;

/// The writing end of one direction.
pub struct Encoder {
    blocks: raw::Encoder,
    scratch: Vec<u8>,
    started: bool,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("started", &self.started).finish_non_exhaustive()
    }
}

impl Encoder {
    /// Nothing is sent before the first frame.
    pub fn new() -> Self {
        Self { blocks: raw::Encoder::new(), scratch: Vec::new(), started: false }
    }

    /// Appends `frame` to `out` as one chunk, or several when it is longer than 65,536 bytes; before the first one the
    /// stream identifier (SNAP-1, SNAP-2). Nothing is held back. An empty frame appends nothing.
    pub fn encode(&mut self, frame: &[u8], out: &mut Vec<u8>) {
        for block in frame.chunks(BLOCK_BYTES_MAX) {
            out.extend_from_slice(self.begin().unwrap_or_default());
            self.put_chunk(block, out);
        }
    }

    /// The stream identifier, unless the stream has begun: a reader takes it as no data (SNAP-1).
    pub fn begin(&mut self) -> Option<&'static [u8]> {
        (!std::mem::replace(&mut self.started, true)).then_some(&STREAM_ID)
    }

    /// Appends header and data together (SNAP-12); compressed only if that saves an eighth (SNAP-4).
    fn put_chunk(&mut self, block: &[u8], out: &mut Vec<u8>) {
        let room = raw::max_compress_len(block.len());
        if self.scratch.len() < room {
            self.scratch.resize(room, 0);
        }
        let body = match self.blocks.compress(block, &mut self.scratch) {
            Ok(n) if n < block.len() - block.len() / 8 => Some(&self.scratch[..n]),
            _ => None,
        };
        let kind = if body.is_some() { COMPRESSED } else { UNCOMPRESSED };
        let body = body.unwrap_or(block);
        let [len0, len1, len2, _] = ((body.len() + CRC_LEN) as u32).to_le_bytes();
        out.reserve(HEADER_LEN + CRC_LEN + body.len());
        out.extend_from_slice(&[kind, len0, len1, len2]);
        out.extend_from_slice(&masked_crc(block).to_le_bytes());
        out.extend_from_slice(body);
    }
}

/// A compressed stream that cannot be decoded further; any input yields bytes or one of these errors (SNAP-11). Final for its
/// direction (SNAP-8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnappyError {
    /// The stream does not start with its identifier: the peer does not compress, or the bytes are garbage.
    #[error("snappy: no stream identifier")]
    Identifier,
    /// A chunk type between 02 and 7f.
    #[error("snappy: unsupported chunk type {0}")]
    ChunkType(u8),
    /// A chunk longer or shorter than its type allows.
    #[error("snappy: bad chunk length {0}")]
    ChunkLength(u32),
    /// A block that cannot be decompressed, or is larger than 65,536 bytes.
    #[error("snappy: corrupt block")]
    Block,
    /// The checksum does not match.
    #[error("snappy: checksum mismatch")]
    Checksum,
}

/// The reading end of one direction.
#[derive(Default)]
pub struct Decoder {
    blocks: raw::Decoder,
    /// A partly received chunk (SNAP-10), header included; at most [`COMPRESSED_CHUNK_MAX`] + 4 bytes.
    partial: Vec<u8>,
    skip_bytes: usize,
    started: bool,
    failed: Option<SnappyError>,
    decoded: ByteQueue,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("partial_bytes", &self.partial.len())
            .field("decoded_bytes", &self.decoded.len())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl Decoder {
    /// Waits for the stream identifier.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes every chunk that is complete with `bytes`; an incomplete one is kept. Skippable chunks of any length
    /// are passed over without being kept (SNAP-6).
    ///
    /// Output is at most 65,536 bytes per complete chunk, about 21 per byte pushed: push little, consume in between.
    ///
    /// # Errors
    /// See [`SnappyError`]; every later call returns the same error. Bytes decoded before stay readable.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), SnappyError> {
        match self.failed {
            Some(error) => Err(error),
            None => self.push_chunks(bytes).inspect_err(|error| self.failed = Some(*error)),
        }
    }

    /// The bytes decoded and not consumed.
    pub fn decoded(&self) -> &[u8] {
        self.decoded.as_slice()
    }

    /// Drops the first `n` bytes of [`Self::decoded`].
    pub fn consume(&mut self, n: usize) {
        self.decoded.consume(n);
    }

    fn push_chunks(&mut self, mut bytes: &[u8]) -> Result<(), SnappyError> {
        while !bytes.is_empty() {
            bytes = if self.skip_bytes > 0 {
                let n = self.skip_bytes.min(bytes.len());
                self.skip_bytes -= n;
                &bytes[n..]
            } else if self.partial.is_empty() {
                self.push_whole(bytes)?
            } else {
                self.push_partial(bytes)?
            };
        }
        Ok(())
    }

    /// Decodes the first chunk where it lies, or starts to keep it; the bytes after it.
    fn push_whole<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], SnappyError> {
        let Some((head, rest)) = bytes.split_first_chunk() else {
            self.partial.extend_from_slice(bytes);
            return Ok(&[]);
        };
        let chunk = self.check_header(*head)?;
        if chunk.kind.is_none() {
            self.skip_bytes = chunk.len;
            return Ok(rest);
        }
        let Some((body, rest)) = rest.split_at_checked(chunk.len) else {
            self.partial.extend_from_slice(bytes);
            return Ok(&[]);
        };
        self.decode(chunk, body)?;
        Ok(rest)
    }

    /// Adds to the kept chunk, and decodes it once it is complete; the bytes after it.
    fn push_partial<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], SnappyError> {
        let Some(head) = self.partial.first_chunk().copied() else {
            let n = (HEADER_LEN - self.partial.len()).min(bytes.len());
            self.partial.extend_from_slice(&bytes[..n]);
            return self.check_partial_header(&bytes[n..]);
        };
        let chunk = self.check_header(head)?;
        let n = (HEADER_LEN + chunk.len - self.partial.len()).min(bytes.len());
        self.partial.extend_from_slice(&bytes[..n]);
        if self.partial.len() == HEADER_LEN + chunk.len {
            let partial = std::mem::take(&mut self.partial);
            self.decode(chunk, &partial[HEADER_LEN..])?;
            self.partial = partial;
            self.partial.clear();
        }
        Ok(&bytes[n..])
    }

    /// A header just completed byte by byte: starts skipping, or finishes a chunk without body.
    fn check_partial_header<'b>(&mut self, rest: &'b [u8]) -> Result<&'b [u8], SnappyError> {
        let Some(head) = self.partial.first_chunk().copied() else { return Ok(rest) };
        let chunk = self.check_header(head)?;
        if chunk.kind.is_none() {
            self.skip_bytes = chunk.len;
            self.partial.clear();
        }
        Ok(rest)
    }

    /// Rejects chunks that cannot be decoded before keeping any of their bytes (SNAP-5, SNAP-7, SNAP-9).
    fn check_header(&self, [kind, len @ ..]: [u8; HEADER_LEN]) -> Result<Chunk, SnappyError> {
        let [len0, len1, len2] = len;
        let wire_len = u32::from_le_bytes([len0, len1, len2, 0]);
        let len = wire_len as usize;
        if !self.started && kind != IDENTIFIER {
            return Err(SnappyError::Identifier);
        }
        let (kind, lengths) = match kind {
            COMPRESSED => (Some(Kind::Compressed), CRC_LEN..=COMPRESSED_CHUNK_MAX),
            UNCOMPRESSED => (Some(Kind::Uncompressed), CRC_LEN..=CRC_LEN + BLOCK_BYTES_MAX),
            IDENTIFIER => (Some(Kind::Identifier), 6..=6),
            SKIPPABLE_FIRST.. => (None, 0..=usize::MAX),
            other => return Err(SnappyError::ChunkType(other)),
        };
        if !lengths.contains(&len) {
            return Err(SnappyError::ChunkLength(wire_len));
        }
        Ok(Chunk { kind, len })
    }

    fn decode(&mut self, chunk: Chunk, body: &[u8]) -> Result<(), SnappyError> {
        match chunk.kind {
            None => Ok(()),
            Some(Kind::Identifier) if body != &STREAM_ID[HEADER_LEN..] => Err(SnappyError::Identifier),
            Some(Kind::Identifier) => {
                self.started = true;
                Ok(())
            }
            Some(Kind::Compressed) => self.decode_block(body),
            Some(Kind::Uncompressed) => {
                let (crc, data) = split_crc(body)?;
                if masked_crc(data) != crc {
                    return Err(SnappyError::Checksum);
                }
                self.decoded.push(data);
                Ok(())
            }
        }
    }

    fn decode_block(&mut self, body: &[u8]) -> Result<(), SnappyError> {
        let (crc, block) = split_crc(body)?;
        let len = raw::decompress_len(block).map_err(|_| SnappyError::Block)?;
        if len > BLOCK_BYTES_MAX {
            return Err(SnappyError::Block);
        }
        let out = self.decoded.grow(len);
        let error = match self.blocks.decompress(block, out) {
            Ok(n) if n == len && masked_crc(out) == crc => return Ok(()),
            Ok(n) if n == len => SnappyError::Checksum,
            _ => SnappyError::Block,
        };
        self.decoded.shrink(len);
        Err(error)
    }
}

/// A checked chunk header; no kind means it is skipped.
#[derive(Clone, Copy)]
struct Chunk {
    kind: Option<Kind>,
    len: usize,
}

#[derive(Clone, Copy)]
enum Kind {
    Compressed,
    Uncompressed,
    Identifier,
}

fn split_crc(body: &[u8]) -> Result<(u32, &[u8]), SnappyError> {
    let (crc, data) = body.split_first_chunk().ok_or(SnappyError::ChunkLength(body.len() as u32))?;
    Ok((u32::from_le_bytes(*crc), data))
}

/// CRC-32C of the uncompressed bytes, turned and offset so that a checksum of checksums is not weak (SNAP-3).
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}
