//! Properties of the code and the decoder over random shapes, sizes, losses and bytes.

use crate::reed_solomon;
use engine::Generation;
use engine::fec::{Decoder, Encoder, HEADER_LEN, Kind, Shape, kind};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(0x0fec),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Small groups more often than large ones.
fn shapes() -> impl Strategy<Value = Shape> {
    let any = (1..=255_usize).prop_flat_map(|data| (Just(data), 1..=256 - data));
    prop_oneof![3 => (1..=12_usize, 1..=6_usize), 1 => any]
        .prop_map(|(data, parity)| Shape::new(data, parity).unwrap())
}

/// Two groups' payloads for a shape, of lengths up to a full packet.
fn groups() -> impl Strategy<Value = (Shape, Vec<Vec<u8>>)> {
    shapes().prop_flat_map(|shape| {
        let payload = (0..1400_usize, any::<u64>()).prop_map(|(len, seed)| noise(len, seed));
        (Just(shape), prop::collection::vec(payload, 2 * shape.data()))
    })
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

fn encode(shape: Shape, first: u32, payloads: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::with_next_seqid(shape, first);
    let mut packets = Vec::new();
    // A group of one needs a packet before it to have parity.
    encoder.encode(0, &mut [0; HEADER_LEN]);
    encoder = if shape.data() == 1 { encoder } else { Encoder::with_next_seqid(shape, first) };
    for payload in payloads {
        let mut packet = vec![0; HEADER_LEN];
        packet.extend_from_slice(payload);
        encoder.encode(0, &mut packet);
        packets.push(packet);
        while let Some(len) = encoder.parity_pending() {
            packets.push(vec![0; len]);
            encoder.poll_parity(packets.last_mut().unwrap()).unwrap();
        }
    }
    packets
}

proptest! {
    #![proptest_config(config(32))]

    // FEC-3, FEC-7
    #[test]
    fn parity_equals_an_independent_implementation((shape, payloads) in groups()) {
        let rows = reed_solomon::parity_rows(shape.data(), shape.parity());
        let packets = encode(shape, 0, &payloads);
        prop_assert_eq!(packets.len(), 2 * shape.total());
        for group in packets.chunks(shape.total()) {
            let longest = group.iter().map(|packet| packet.len() - 6).max().unwrap();
            let mut shards: Vec<Vec<u8>> = group.iter().map(|packet| packet[6..].to_vec()).collect();
            shards.iter_mut().for_each(|shard| shard.resize(longest, 0));
            prop_assert!(reed_solomon::verifies(&rows, &shards), "{:?}", shape);
        }
    }

    // FEC-9
    #[test]
    fn any_lost_packets_up_to_the_parity_are_rebuilt(
        (shape, payloads) in groups(), order: u64, late in any::<bool>(), groups_before_wrap in 0..3_u32,
    ) {
        let first = (shape.paws() - groups_before_wrap * shape.total() as u32) % shape.paws();
        let packets = encode(shape, first, &payloads);
        let generation = if late { Generation::Go2021 } else { Generation::Go2026 };
        let mut decoder = Decoder::new(Some(shape), generation).with_newest_group(first / shape.total() as u32);
        for (group, payloads) in packets.chunks(shape.total()).zip(payloads.chunks(shape.data())) {
            // Any `data` packets of the group, in any order.
            let mut kept: Vec<usize> = (0..shape.total()).collect();
            let keys = noise(shape.total() * 2, order);
            kept.sort_by_key(|&at| (keys[2 * at], keys[2 * at + 1]));
            kept.truncate(shape.data());
            let mut recovered = Vec::new();
            for &at in &kept {
                prop_assert!(recovered.is_empty());
                decoder.decode(0, &group[at]);
                while let Some(datagram) = decoder.poll_recovered() {
                    recovered.push(datagram.to_vec());
                }
            }
            let lost = payloads.iter().enumerate().filter(|(at, _)| !kept.contains(at));
            let lost: Vec<Vec<u8>> = lost.map(|(_, payload)| payload.clone()).collect();
            prop_assert!(recovered == lost, "{:?} kept {:?}", shape, kept);
        }
        prop_assert_eq!(decoder.counters().errs, 0);
    }

    // FEC-9: a group needs as many packets as it has data shards.
    #[test]
    fn fewer_packets_rebuild_no_shard((shape, payloads) in groups(), skip: prop::sample::Index) {
        let packets = encode(shape, 0, &payloads);
        let mut decoder = Decoder::new(Some(shape), Generation::Go2026);
        let start = skip.index(shape.total());
        for at in 0..shape.data() - 1 {
            decoder.decode(0, &packets[(start + at) % shape.total()]);
            prop_assert_eq!(decoder.poll_recovered(), None);
        }
    }
}

#[derive(Clone, Debug)]
struct Hostile {
    seqid: u32,
    code: u16,
    len: usize,
    gap_ms: u64,
}

/// Seqids in a few clusters, so that groups fill up, far apart, so that their order has cycles.
fn hostile() -> impl Strategy<Value = Hostile> {
    let base = prop::sample::select(vec![
        0,
        0x2aaa_aaaa,
        0x5555_5555,
        0x7fff_fff0,
        0x8000_0000,
        0xaaaa_aaaa,
        0xffff_ffe0,
    ]);
    let code = prop::sample::select(vec![0xf1, 0xf1, 0xf2, 0xf2, 0xf3, 0x51]);
    let len = prop_oneof![4 => 8..64_usize, 1 => 0..8_usize, 1 => 1490..1510_usize];
    (base, 0..24_u32, code, len, prop_oneof![9 => Just(0), 1 => 0..70_000_u64]).prop_map(
        |(base, offset, code, len, gap_ms)| Hostile {
            seqid: u32::wrapping_add(base, offset),
            code,
            len,
            gap_ms,
        },
    )
}

proptest! {
    #![proptest_config(config(64))]

    // FEC-17
    #[test]
    fn any_packets_are_decoded_in_bounded_memory(
        shape in shapes(), detect: bool, old: bool, packets in prop::collection::vec(hostile(), 0..600),
    ) {
        let generation = if old { Generation::Go2021 } else { Generation::Go2026 };
        let mut decoder = Decoder::new((!detect).then_some(shape), generation);
        let mut now_ms = 0;
        for Hostile { seqid, code, len, gap_ms } in packets {
            now_ms += gap_ms;
            let mut packet = noise(len, u64::from(seqid) << 8 | u64::from(code));
            let header = [&seqid.to_le_bytes()[..], &code.to_le_bytes()].concat();
            packet.iter_mut().zip(header).for_each(|(byte, value)| *byte = value);
            decoder.decode(now_ms, &packet);
            while let Some(datagram) = decoder.poll_recovered() {
                prop_assert!(datagram.len() <= 1492);
            }
            let state = decoder.state();
            prop_assert!(state.groups <= 8);
            prop_assert!(state.packets <= 8 * 256);
            prop_assert!(state.samples <= 258);
        }
    }

    // FEC-17: bytes of no structure at all.
    #[test]
    fn noise_is_survived(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..40)) {
        let mut decoder = Decoder::new(None, Generation::Go2026);
        for packet in packets {
            decoder.decode(0, &packet);
            while decoder.poll_recovered().is_some() {}
            prop_assert!(decoder.state().packets == 0 || matches!(kind(&packet), Some(Kind::Data | Kind::Parity)));
        }
    }
}
