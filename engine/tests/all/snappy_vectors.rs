//! The framing against chunks recorded from golang/snappy v1.0.0 (scenarios/golden/vectors/snappy.json).
use engine::snappy::{Decoder, Encoder};
use serde_json::Value;

fn cases() -> Vec<(Vec<Vec<u8>>, Vec<u8>)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/golden/vectors/snappy.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = file["cases"].as_array().unwrap().iter();
    cases.map(|case| (bytes(&case["writes"]), bytes(&case["underlying_writes"]).concat())).collect()
}

fn bytes(list: &Value) -> Vec<Vec<u8>> {
    list.as_array().unwrap().iter().map(|entry| unpack(entry.as_str().unwrap())).collect()
}

/// Hex, or "HEX repeated N times".
fn unpack(text: &str) -> Vec<u8> {
    let words: Vec<&str> = text.split(' ').collect();
    let hex = words[0].as_bytes().chunks(2);
    let once: Vec<u8> =
        hex.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect();
    match words[..] {
        [_] => once,
        [_, "repeated", times, "times"] => once.repeat(times.parse().unwrap()),
        _ => panic!("unknown notation {text}"),
    }
}

/// SNAP-1, SNAP-2, SNAP-3, SNAP-4, SNAP-12
#[test]
fn writes_the_bytes_of_go() {
    let cases = cases();
    assert_eq!(cases.len(), 4);
    for (frames, wire) in cases {
        let mut encoder = Encoder::new();
        let mut out = Vec::new();
        for frame in &frames {
            encoder.encode(frame, &mut out);
        }
        assert_eq!(out, wire);
    }
}

/// SNAP-3, SNAP-8
#[test]
fn reads_the_bytes_of_go() {
    for (frames, wire) in cases() {
        let mut decoder = Decoder::new();
        decoder.push(&wire).unwrap();
        assert_eq!(decoder.decoded(), frames.concat());
    }
}

/// Identifier, chunk header and checksum (18 bytes): no bit of them may change unnoticed.
#[test]
fn a_changed_bit_is_detected() {
    for (frames, wire) in cases() {
        for bit in 0..18 * 8 {
            let mut wire = wire.clone();
            wire[bit / 8] ^= 1 << (bit % 8);
            let mut decoder = Decoder::new();
            let outcome = decoder.push(&wire);
            let whole = decoder.decoded() == frames.concat();
            assert!(outcome.is_err() || !whole, "bit {bit} changed nothing");
        }
    }
}
