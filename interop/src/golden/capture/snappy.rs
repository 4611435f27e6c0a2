//! The compression layer: an independent parser counts chunks, the engine decompresses them.

use super::figures::Figures;
use super::{Checked, differs};
use engine::snappy::Decoder;

/// Decompresses a stream.
pub(super) fn decompress(stream: &[u8], figures: &mut Figures) -> Checked<Vec<u8>> {
    count_chunks(stream, figures)?;
    let mut decoder = Decoder::new();
    let mut bytes = Vec::new();
    for (at, piece) in (0..).zip(stream.chunks(PIECE_BYTES)) {
        if let Err(error) = decoder.push(piece) {
            return differs(format!("snappy, bytes from {} on: {error}", at * PIECE_BYTES));
        }
        bytes.extend_from_slice(decoder.decoded());
        decoder.consume(decoder.decoded().len());
    }
    figures.set("decompressed_bytes", bytes.len() as u64);
    Ok(bytes)
}

/// Size of input pieces: no divisor of a chunk size, so that chunks are split at many positions.
const PIECE_BYTES: usize = 1373;

fn count_chunks(mut stream: &[u8], figures: &mut Figures) -> Checked<()> {
    let (mut compressed, mut plain) = (0, 0);
    while let Some(([kind, a, b, c], rest)) = stream.split_first_chunk() {
        let len = u32::from_le_bytes([*a, *b, *c, 0]) as usize;
        let Some(rest) = rest.get(len..) else {
            return differs(format!("snappy chunk of type {kind:#04x} and {len} bytes runs past the end"));
        };
        match kind {
            0x00 => compressed += 1,
            0x01 => plain += 1,
            0xff => {}
            other => return differs(format!("snappy chunk of type {other:#04x}")),
        }
        stream = rest;
    }
    figures.set("snappy_compressed_chunks", compressed);
    figures.set("snappy_uncompressed_chunks", plain);
    Ok(())
}
