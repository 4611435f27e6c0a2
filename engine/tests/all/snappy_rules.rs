//! The rules of the framing: chunks that the reader accepts and refuses, and the chunks of the writer.
use engine::snappy::{Decoder, Encoder, SnappyError};

const IDENTIFIER: &[u8] = b"\xff\x06\x00\x00sNaPpY";

fn encode(frames: &[&[u8]]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    let mut out = Vec::new();
    for frame in frames {
        encoder.encode(frame, &mut out);
    }
    out
}

fn chunk(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32).to_le_bytes();
    [&[kind, len[0], len[1], len[2]], body].concat()
}

/// The identifier and then `chunks`, in one push.
fn decode(chunks: &[&[u8]]) -> Result<Vec<u8>, SnappyError> {
    let mut decoder = Decoder::new();
    decoder.push(&[&[IDENTIFIER], chunks].concat().concat())?;
    Ok(decoder.decoded().to_vec())
}

/// Body of a type 01 chunk, as written by the engine.
fn plain_body(data: &[u8]) -> Vec<u8> {
    assert!(data.len() < 8, "short enough to stay uncompressed");
    encode(&[data])[IDENTIFIER.len() + 4..].to_vec()
}

/// Bytes without repetition.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252u64;
    let step = |state: &mut u64| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 32) as u8
    };
    (0..len).map(|_| step(&mut state)).collect()
}

/// SNAP-1
#[test]
fn no_bytes_are_sent_before_the_first_frame() {
    assert_eq!(encode(&[]), b"");
    assert_eq!(encode(&[b""]), b"");
    assert!(encode(&[b"x"]).starts_with(IDENTIFIER));
    assert_eq!(encode(&[b"x", b"y"])[1..].windows(6).filter(|w| *w == b"sNaPpY").count(), 1);
}

/// SNAP-2
#[test]
fn a_long_frame_is_several_chunks() {
    let frame = noise(65_536 * 2 + 5);
    let wire = encode(&[&frame]);
    let mut at = IDENTIFIER.len();
    let mut lens = Vec::new();
    while at < wire.len() {
        let len =
            usize::from(wire[at + 1]) | usize::from(wire[at + 2]) << 8 | usize::from(wire[at + 3]) << 16;
        assert_eq!(wire[at], 1);
        lens.push(len - 4);
        at += 4 + len;
    }
    assert_eq!(lens, [65_536, 65_536, 5]);
    assert_eq!(decode(&[&wire]).unwrap(), frame);
}

/// SNAP-4: noise with a growing run of zeros; the type changes exactly where an eighth is saved.
#[test]
fn chunks_are_compressed_when_an_eighth_is_saved() {
    let mut kinds = [0; 2];
    for zeros in 0..400 {
        let frame = [noise(1000), vec![0; zeros]].concat();
        let block = snap::raw::Encoder::new().compress_vec(&frame).unwrap();
        let saves = block.len() < frame.len() - frame.len() / 8;
        let wire = encode(&[&frame]);
        let kind = wire[IDENTIFIER.len()];
        assert_eq!(kind, u8::from(!saves), "{zeros} zeros");
        kinds[usize::from(kind)] += 1;
    }
    assert!(kinds[0] > 50 && kinds[1] > 50);
}

/// SNAP-5
#[test]
fn a_stream_starts_with_its_identifier() {
    for bad in [
        &chunk(1, &plain_body(b"x")),
        &chunk(0x80, b""),
        &chunk(0xfe, b""),
        &b"\x02\x00\x00\x00"[..].to_vec(),
    ] {
        assert_eq!(Decoder::new().push(bad), Err(SnappyError::Identifier));
    }
    assert_eq!(Decoder::new().push(b"\xff\x06\x00\x00sNaPpy"), Err(SnappyError::Identifier));
    assert_eq!(Decoder::new().push(b"\xff\x07\x00\x00"), Err(SnappyError::ChunkLength(7)));
    let again = [IDENTIFIER, &chunk(1, &plain_body(b"x")), IDENTIFIER].concat();
    assert_eq!(decode(&[&again]).unwrap(), b"x");
    assert_eq!(decode(&[b"\xff\x06\x00\x00sNaPpX"]), Err(SnappyError::Identifier));
}

/// SNAP-6
#[test]
fn skippable_chunks_are_skipped() {
    let data = chunk(1, &plain_body(b"data"));
    for kind in 0x80..=0xfe {
        assert_eq!(
            decode(&[&chunk(kind, b""), &data, &chunk(kind, b"skip me"), &data]).unwrap(),
            b"datadata"
        );
    }
    let mut decoder = Decoder::new();
    decoder.push(&[IDENTIFIER, b"\xfe\xff\xff\xff"].concat()).unwrap();
    for _ in 0..(1 << 24) / 4096 - 1 {
        decoder.push(&[1; 4096]).unwrap();
    }
    decoder.push(&[1; 4095]).unwrap();
    decoder.push(&data).unwrap();
    assert_eq!(decoder.decoded(), b"data");
}

/// SNAP-7
#[test]
fn unknown_types_are_refused() {
    for kind in 0x02..=0x7f {
        assert_eq!(decode(&[&chunk(kind, b"")]), Err(SnappyError::ChunkType(kind)));
    }
}

/// SNAP-8
#[test]
fn errors_are_final_and_preserve_earlier_output() {
    let mut broken = plain_body(b"data");
    broken[0] ^= 1;
    let mut decoder = Decoder::new();
    let wire = [IDENTIFIER, &chunk(1, &plain_body(b"good")), &chunk(1, &broken)].concat();
    assert_eq!(decoder.push(&wire), Err(SnappyError::Checksum));
    assert_eq!(decoder.push(&chunk(1, &plain_body(b"more"))), Err(SnappyError::Checksum));
    assert_eq!(decoder.decoded(), b"good");
}

/// SNAP-8: sizes that are announced wrongly, elements that reach outside.
#[test]
fn corrupt_blocks_are_refused() {
    let block = |bytes: &[u8]| chunk(0, &[&[0; 4], bytes].concat());
    for bad in [
        block(b""),
        block(b"\x05\x00a"),
        block(b"\xff\xff\xff\xff\xff\xff\xff"),
        block(b"\x81\x80\x04\x00"),
        block(b"\x04\x0d\xff\xff"),
    ] {
        assert_eq!(decode(&[&bad]), Err(SnappyError::Block), "{bad:x?}");
    }
    assert_eq!(decode(&[&block(b"\x01\x00a")]), Err(SnappyError::Checksum));
}

/// SNAP-9: the header suffices to refuse a chunk.
#[test]
fn lengths_out_of_range_are_refused_at_the_header() {
    for (head, len) in [
        (*b"\x00\x03\x00\x00", 3),
        (*b"\x01\x03\x00\x00", 3),
        (*b"\x01\x05\x00\x01", 65_541),
        (*b"\x00\xff\xff\xff", 0xff_ffff),
        ([0, 0xcf, 0x2a, 1], 76_495),
    ] {
        assert_eq!(decode(&[&head]), Err(SnappyError::ChunkLength(len)));
    }
    assert_eq!(decode(&[&[0, 0xce, 0x2a, 1]]), Ok(vec![]), "76,494 bytes are legal");
    assert_eq!(decode(&[b"\x01\x04\x00\x01"]), Ok(vec![]), "65,536 and the checksum are legal");
}

/// SNAP-10
#[test]
fn a_chunk_is_readable_when_complete() {
    let text = b"to be or not to be, to be or not to be, to be or not to be".repeat(5);
    let wire = encode(&[&text]);
    let mut decoder = Decoder::new();
    for byte in &wire[..wire.len() - 1] {
        decoder.push(&[*byte]).unwrap();
        assert_eq!(decoder.decoded(), b"");
    }
    decoder.push(&wire[wire.len() - 1..]).unwrap();
    assert_eq!(decoder.decoded(), text);
    decoder.consume(text.len() - 1);
    assert_eq!(decoder.decoded(), b"e");
}
