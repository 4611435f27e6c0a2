//! Snappy streams: hostile ones in any pieces, honest ones back to what was encoded.

use super::Script;
use engine::snappy::{Decoder, Encoder, SnappyError};

/// Longest chunk that is kept, and its header.
const PARTIAL_MAX: usize = 80_000;

/// The first byte says whether the rest is a stream from the peer or frames to encode.
pub fn snappy_decode(data: &[u8]) {
    let mut script = Script::new(data);
    if script.flag() {
        round_trip(&mut script);
    } else {
        hostile(&mut script);
    }
}

/// How a stream is cut must not change what comes out, nor how it fails.
fn hostile(script: &mut Script<'_>) {
    let mut cuts = Script::new(script.take(16));
    let mut bytes = Vec::new();
    if script.flag() {
        bytes.extend_from_slice(b"\xff\x06\x00\x00sNaPpY");
    }
    bytes.extend_from_slice(script.rest());
    let whole = decode(&bytes, &mut Script::new(&[]));
    assert_eq!(decode(&bytes, &mut cuts), whole, "cutting changes the result");
}

fn round_trip(script: &mut Script<'_>) {
    let mut cuts = Script::new(script.take(16));
    let (mut encoder, mut stream, mut plain) = (Encoder::new(), Vec::new(), Vec::new());
    while !script.is_over() {
        let repeat = script.pick(&[1, 1, 2, 3, 40, 1000]);
        let frame = script.piece().repeat(repeat);
        encoder.encode(&frame, &mut stream);
        plain.extend_from_slice(&frame);
        if plain.len() > 1 << 18 {
            break;
        }
    }
    assert_eq!(decode(&stream, &mut cuts), (plain, Ok(())));
}

/// Everything that was decoded before the end or the error. Reads whole chunks, consumes odd amounts in between.
fn decode(bytes: &[u8], cuts: &mut Script<'_>) -> (Vec<u8>, Result<(), SnappyError>) {
    let (mut decoder, mut out) = (Decoder::new(), Vec::new());
    let mut rest = bytes;
    let mut result = Ok(());
    while !rest.is_empty() && result.is_ok() {
        let n = if cuts.is_over() { 1500 } else { usize::from(cuts.byte()) + 1 };
        let (piece, later) = rest.split_at(n.min(rest.len()));
        rest = later;
        let held = decoder.decoded().len();
        result = decoder.push(piece);
        assert!(decoder.decoded().len() <= held + PARTIAL_MAX + 32 * piece.len(), "a push decoded too much");
        let n = decoder.decoded().len() - usize::from(piece.len() % 3 == 1 && decoder.decoded().len() > 1);
        out.extend_from_slice(&decoder.decoded()[..n]);
        decoder.consume(n);
    }
    out.extend_from_slice(decoder.decoded());
    if result.is_err() {
        assert_eq!(decoder.push(b"more"), result, "an error is final");
    }
    (out, result)
}
