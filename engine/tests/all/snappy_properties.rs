//! Any bytes survive a round trip with any splits; corruption is an error, never other bytes and never a panic. The framing of
//! the `snap` crate is the reference.
use engine::snappy::{Decoder, Encoder};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::io::{Read, Write};

fn config(cases: u32, seed: u64) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Default::default() }
}

/// Text-like, random and constant pieces, so that both chunk types occur.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(any::<u8>(), 0..3000);
    let text = (prop::collection::vec(any::<u8>(), 1..20), 0..400usize).prop_map(|(word, n)| word.repeat(n));
    let long = (any::<u8>(), 0..140_000usize).prop_map(|(byte, n)| vec![byte; n]);
    prop_oneof![4 => noise, 4 => text, 1 => long]
}

fn encode(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    let mut out = Vec::new();
    for frame in frames {
        encoder.encode(frame, &mut out);
    }
    out
}

proptest! {
    #![proptest_config(config(96, 3))]

    /// SNAP-2, SNAP-10
    #[test]
    fn round_trip_however_cut(
        frames in prop::collection::vec(frame(), 0..20),
        cuts in prop::collection::vec(1..4000usize, 1..10),
        keep in 0..50usize,
    ) {
        let wire = encode(&frames);
        let mut decoder = Decoder::new();
        let mut got = Vec::new();
        let mut rest = &wire[..];
        for cut in cuts.iter().cycle() {
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            decoder.push(piece).unwrap();
            let n = decoder.decoded().len().saturating_sub(keep);
            got.extend_from_slice(&decoder.decoded()[..n]);
            decoder.consume(n);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        got.extend_from_slice(decoder.decoded());
        prop_assert_eq!(got, frames.concat());
    }

    /// SNAP-3, SNAP-4: equal to another implementation byte for byte, which also reads our output.
    #[test]
    fn agrees_with_the_snap_crate(frames in prop::collection::vec(frame(), 1..10)) {
        let wire = encode(&frames);
        let mut theirs = snap::write::FrameEncoder::new(Vec::new());
        for frame in &frames {
            theirs.write_all(frame).unwrap();
            theirs.flush().unwrap();
        }
        prop_assert_eq!(&wire, theirs.get_ref());
        let mut read = Vec::new();
        snap::read::FrameDecoder::new(&wire[..]).read_to_end(&mut read).unwrap();
        prop_assert_eq!(read, frames.concat());
    }

    /// SNAP-8, SNAP-11
    #[test]
    fn corruption_never_gives_other_bytes(
        frames in prop::collection::vec(frame(), 1..6),
        at in any::<prop::sample::Index>(),
        mask in 1..=255u8,
        cut in 1..3000usize,
    ) {
        let mut wire = encode(&frames);
        prop_assume!(!wire.is_empty());
        let at = at.index(wire.len());
        wire[at] ^= mask;
        let mut decoder = Decoder::new();
        for piece in wire.chunks(cut) {
            if decoder.push(piece).is_err() {
                break;
            }
        }
        // A type that became skippable, or a length that grew, loses bytes; none may be changed or added.
        let (got, sent) = (decoder.decoded(), frames.concat());
        let mut chunks = frames.iter().flat_map(|frame| frame.chunks(65_536));
        let mut rest = got;
        while !rest.is_empty() {
            let Some(chunk) = chunks.next() else { break };
            rest = rest.strip_prefix(chunk).unwrap_or(rest);
        }
        prop_assert!(rest.is_empty(), "{} bytes of {} are not what was sent", got.len(), sent.len());
    }
}

proptest! {
    #![proptest_config(config(512, 4))]

    /// SNAP-11
    #[test]
    fn random_bytes_never_panic(
        head in prop_oneof![Just(&b""[..]), Just(&b"\xff\x06\x00\x00sNaPpY"[..])],
        kind in prop_oneof![Just(0u8), Just(1), Just(0xfe), Just(0xff), any::<u8>()],
        len in 0..300u16,
        body in prop::collection::vec(any::<u8>(), 0..600),
        cut in 1..700usize,
    ) {
        let [len0, len1] = len.to_le_bytes();
        let wire = [head, &[kind, len0, len1, 0], &body].concat();
        let mut decoder = Decoder::new();
        for piece in wire.chunks(cut) {
            let _ = decoder.push(piece);
            prop_assert!(decoder.decoded().len() <= 1 << 20);
        }
    }
}
