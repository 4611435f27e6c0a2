//! Data packets, parity and their timing, against vectors of kcp-go and klauspost/reedsolomon.

use engine::Generation;
use engine::fec::{Encoder, HEADER_LEN, Kind, Shape, ShapeError, kind, seqid, write_out_of_band_header};
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../scenarios/golden/vectors/fec.json")).unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn shape(data: usize, parity: usize) -> Shape {
    Shape::new(data, parity).unwrap()
}

/// The data packet of `payload`, and the parity behind it.
fn encode(encoder: &mut Encoder, now_ms: u64, payload: &[u8]) -> Vec<Vec<u8>> {
    let mut packet = vec![0xee; HEADER_LEN];
    packet.extend_from_slice(payload);
    encoder.encode(now_ms, &mut packet);
    let mut packets = vec![packet];
    while let Some(len) = encoder.parity_pending() {
        let mut parity = vec![0xee; 1500];
        assert_eq!(encoder.poll_parity(&mut parity), Some(len));
        parity.truncate(len);
        packets.push(parity);
    }
    packets
}

fn seqids(packets: &[Vec<u8>]) -> Vec<u32> {
    packets.iter().map(|packet| seqid(packet)).collect()
}

// FEC-3, FEC-7
#[test]
fn parity_is_that_of_the_reference() {
    let vectors = vectors();
    let groups = vectors["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 6);
    for group in groups {
        let count = |name: &str| group[name].as_u64().unwrap() as usize;
        let shape = shape(count("data_shards"), count("parity_shards"));
        let mut encoder = Encoder::new(shape).with_generation(Generation::Go2021);
        let payloads = group["payloads"].as_array().unwrap();
        let mut parity = Vec::new();
        for (payload, shard) in payloads.iter().zip(group["data_shards_len_prefixed"].as_array().unwrap()) {
            let mut packets = encode(&mut encoder, 0, &hex(payload));
            assert_eq!(packets[0][6..], hex(shard));
            parity = packets.split_off(1);
        }
        let recorded: Vec<Vec<u8>> =
            group["parity_shard_bytes"].as_array().unwrap().iter().map(hex).collect();
        let shards: Vec<Vec<u8>> = parity.iter().map(|packet| packet[6..].to_vec()).collect();
        assert_eq!(shards.len(), shape.parity());
        assert_eq!(shards[0].len(), count("shard_size"));
        assert!(shards == recorded, "{shape:?}");
    }
}

/// Each unit vector as data gives one column of the matrix.
// FEC-7
#[test]
fn matrix_rows_are_those_of_the_reference() {
    for group in vectors()["groups"].as_array().unwrap() {
        let rows: Vec<Vec<u8>> = group["parity_matrix_rows"].as_array().unwrap().iter().map(hex).collect();
        let (data, parity) = (rows[0].len(), rows.len());
        for column in 0..data {
            let mut encoder = Encoder::new(shape(data, parity)).with_generation(Generation::Go2021);
            let packets: Vec<Vec<u8>> =
                (0..data).flat_map(|at| encode(&mut encoder, 0, &[u8::from(at == column)])).collect();
            let found: Vec<u8> = packets[data..].iter().map(|packet| packet[8]).collect();
            let wanted: Vec<u8> = rows.iter().map(|row| row[column]).collect();
            assert_eq!(found, wanted, "{data}+{parity} column {column}");
        }
    }
}

// FEC-1, FEC-2, FEC-5, FEC-6, FEC-19
#[test]
fn datagrams_are_those_captured_from_the_reference() {
    let vectors = vectors();
    let cases = vectors["wire"].as_array().unwrap();
    // Number of the packet sent 700 ms after its predecessor.
    let pauses = [None, Some(2), None, Some(2)];
    assert_eq!(cases.len(), pauses.len());
    for (case, pause) in cases.iter().zip(pauses) {
        let count = |name: &str| case[name].as_u64().unwrap() as usize;
        let mut encoder = Encoder::new(shape(count("data_shards"), count("parity_shards")));
        let recorded: Vec<Vec<u8>> = case["datagrams"].as_array().unwrap().iter().map(hex).collect();
        let data = recorded.iter().filter(|packet| kind(packet) == Some(Kind::Data));
        let mut now_ms = 5_000;
        let mut sent = Vec::new();
        for (number, packet) in data.enumerate() {
            now_ms += if pause == Some(number) { 700 } else { 5 };
            sent.extend(encode(&mut encoder, now_ms, &packet[HEADER_LEN..]));
        }
        assert_eq!(sent, recorded, "{}", case["note"]);
    }
}

// FEC-5
#[test]
fn parity_depends_on_the_last_gap_only() {
    let parity_after = |generation, times: &[u64]| {
        let mut encoder = Encoder::new(shape(3, 2)).with_generation(generation);
        let counts: Vec<usize> = times.iter().map(|ms| encode(&mut encoder, *ms, b"x").len() - 1).collect();
        (counts[times.len() - 1], encoder.state().next_seqid)
    };
    assert_eq!(parity_after(Generation::Go2026, &[0, 0, 499]), (2, 5));
    assert_eq!(parity_after(Generation::Go2026, &[0, 0, 500]), (0, 5), "ids are used up all the same");
    assert_eq!(parity_after(Generation::Go2026, &[0, 9_000, 9_499]), (2, 5), "only the last gap counts");
    assert_eq!(parity_after(Generation::Go2026, &[900, 900, 100]), (2, 5), "a clock set back is no pause");
    assert_eq!(parity_after(Generation::Go2021, &[0, 0, 9_000]), (2, 5));

    let mut encoder = Encoder::new(shape(1, 1));
    assert_eq!(seqids(&encode(&mut encoder, 0, b"x")), [0], "nothing came before, not even at time 0");
    assert_eq!(seqids(&encode(&mut encoder, 0, b"x")), [2, 3]);
    assert_eq!(seqids(&encode(&mut encoder, 500, b"x")), [4]);
}

// FEC-6
#[test]
fn seqids_wrap_aligned_with_the_groups() {
    let shape = shape(10, 3);
    assert_eq!(shape.paws(), 4_294_967_287);
    let mut encoder = Encoder::with_next_seqid(shape, shape.paws() - 13);
    let mut sent = Vec::new();
    for _ in 0..20 {
        sent.extend(encode(&mut encoder, 0, b"payload"));
    }
    assert_eq!(sent.len(), 26);
    for (number, packet) in sent.iter().enumerate() {
        let wanted = (u64::from(shape.paws()) - 13 + number as u64) % u64::from(shape.paws());
        assert_eq!(u64::from(seqid(packet)), wanted);
        assert_eq!(seqid(packet) % 13 < 10, kind(packet) == Some(Kind::Data));
    }

    let mut skipping = Encoder::with_next_seqid(shape, shape.paws() - 13);
    for second in 0..10 {
        encode(&mut skipping, second * 1000, b"payload");
    }
    assert_eq!(skipping.state().next_seqid, 0, "skipped ids wrap as well");
}

// FEC-3: bytes of one group must not leak into the next one.
#[test]
fn groups_are_independent_of_earlier_ones() {
    let payloads: [&[u8]; 4] = [&[0x55; 900], b"", &[0xaa; 12], &[7; 300]];
    let mut used = Encoder::new(shape(2, 3)).with_generation(Generation::Go2021);
    let packets: Vec<_> = payloads.iter().flat_map(|payload| encode(&mut used, 0, payload)).collect();
    let mut fresh = Encoder::with_next_seqid(shape(2, 3), 5).with_generation(Generation::Go2021);
    let again: Vec<_> = payloads[2..].iter().flat_map(|payload| encode(&mut fresh, 0, payload)).collect();
    assert_eq!(packets[5..], again);
    assert_eq!(again[2].len(), HEADER_LEN + 300, "as long as the longest packet of the group");
}

// FEC-19
#[test]
fn parity_waits_until_the_next_data_packet() {
    let mut encoder = Encoder::new(shape(2, 2));
    let mut packet = [0; 30];
    encoder.encode(0, &mut packet);
    assert_eq!(encoder.parity_pending(), None, "the group is open");
    encoder.encode(0, &mut packet[..20]);
    assert_eq!(encoder.parity_pending(), Some(30));
    assert_eq!(encoder.poll_parity(&mut [0; 29]), None, "too short a buffer takes nothing away");
    let mut first = [0; 64];
    assert_eq!(encoder.poll_parity(&mut first), Some(30));
    assert_eq!(seqid(&first), 2);
    encoder.encode(0, &mut packet);
    assert_eq!(seqid(&packet), 4, "ids of parity that was not polled are used up");
    assert_eq!(encoder.parity_pending(), None);
}

// FEC-1
#[test]
fn packet_types_differ_from_plain_kcp() {
    let with_type = |code: u16| [&[0; 4], &code.to_le_bytes()[..], &[0; 20]].concat();
    assert_eq!(kind(&with_type(0xf1)), Some(Kind::Data));
    assert_eq!(kind(&with_type(0xf2)), Some(Kind::Parity));
    assert_eq!(kind(&with_type(0xf3)), Some(Kind::OutOfBand));
    for command in 81..=84 {
        for frg in 0..=255 {
            assert_eq!(kind(&with_type(u16::from_le_bytes([command, frg]))), None);
        }
    }
    for len in 0..6 {
        assert_eq!(kind(&with_type(0xf1)[..len]), None);
    }
    assert_eq!(seqid(&[1, 2, 3]), 0);
}

// FEC-16
#[test]
fn out_of_band_packets_take_no_seqid() {
    let mut packet = [0; 15];
    write_out_of_band_header(&mut packet);
    assert_eq!(packet[..8], [0xff, 0xff, 0xff, 0xff, 0xf3, 0, 9, 0]);
    write_out_of_band_header(&mut packet[..3]);
    assert_eq!(packet[..3], [0xff; 3]);
}

// FEC-4
#[test]
fn shapes_are_limited() {
    assert_eq!(Shape::new(0, 3), Err(ShapeError::Zero));
    assert_eq!(Shape::new(3, 0), Err(ShapeError::Zero));
    assert_eq!(Shape::new(200, 57), Err(ShapeError::TooMany));
    assert_eq!(Shape::new(usize::MAX, usize::MAX), Err(ShapeError::TooMany));
    for (data, parity) in [(1, 1), (255, 1), (1, 255), (128, 128)] {
        let shape = shape(data, parity);
        assert_eq!((shape.data(), shape.parity(), shape.total()), (data, parity, data + parity));
    }
}
