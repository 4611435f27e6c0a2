//! Packets that the decoder rebuilds, stores and drops, in both generations.

use crate::fec_packets::{self, feed, shape};
use engine::Generation;
use engine::fec::{Counters, Decoder, HEADER_LEN, PACKET_BYTES_MAX, Shape, TuneExit, seqid};

const GENERATIONS: [Generation; 2] = [Generation::Go2021, Generation::Go2026];

/// Whole groups with parity; packet i carries seqid `first + i`.
fn packets(shape: Shape, first: u32, groups: usize) -> Vec<Vec<u8>> {
    fec_packets::packets(shape, first, (0..groups * shape.data()).map(payload))
}

fn payload(number: usize) -> Vec<u8> {
    (0..24 + number * 37 % 200).map(|at| (at * 7 + number * 13) as u8).collect()
}

// FEC-9
#[test]
fn lost_packets_are_rebuilt_in_order() {
    for generation in GENERATIONS {
        let packets = packets(shape(10, 3), 0, 1);
        let mut decoder = Decoder::new(Some(shape(10, 3)), generation);
        let mut recovered = Vec::new();
        for index in [0, 1, 3, 4, 12, 6, 7, 10, 9, 11] {
            assert!(recovered.is_empty(), "nothing before the tenth packet");
            recovered = feed(&mut decoder, &packets[index]);
        }
        assert_eq!(recovered, [payload(2), payload(5), payload(8)], "{generation:?}");
        assert_eq!(decoder.counters().recovered, 3);
        assert_eq!(decoder.counters().parity_shards, 3);
    }
}

// FEC-9
#[test]
fn complete_groups_need_no_recovery() {
    for generation in GENERATIONS {
        let mut decoder = Decoder::new(Some(shape(3, 2)), generation);
        for packet in packets(shape(3, 2), 0, 4) {
            assert!(feed(&mut decoder, &packet).is_empty());
        }
        assert_eq!(decoder.counters().full_shards, 4);
        assert_eq!(decoder.counters().recovered, 0);
    }
}

// FEC-9
#[test]
fn duplicates_do_not_count() {
    for generation in GENERATIONS {
        let packets = packets(shape(3, 2), 0, 1);
        let mut decoder = Decoder::new(Some(shape(3, 2)), generation);
        for _ in 0..5 {
            assert!(feed(&mut decoder, &packets[0]).is_empty());
            assert!(feed(&mut decoder, &packets[3]).is_empty());
        }
        assert_eq!(decoder.state().packets, 2);
        assert_eq!(feed(&mut decoder, &packets[4]), [payload(1), payload(2)]);
    }
}

// FEC-9: corrupted parity gives a rebuilt shard a wrong size.
#[test]
fn impossible_sizes_are_dropped_and_counted() {
    for generation in GENERATIONS {
        for (size, wanted) in [(0, None), (1, None), (2, Some(0)), (30, Some(28)), (31, None), (0xffff, None)]
        {
            let mut parity = [0; 36];
            parity[0] = 3;
            parity[4] = 0xf2;
            parity[6..8].copy_from_slice(&u16::to_le_bytes(size));
            let mut decoder = Decoder::new(Some(Shape::ONE_TO_ONE), generation);
            let recovered = feed(&mut decoder, &parity);
            assert_eq!(recovered.first().map(Vec::len), wanted, "size {size}");
            assert_eq!(decoder.counters().errs, u64::from(wanted.is_none()));
        }
    }
}

#[test]
fn shards_that_were_not_polled_are_discarded() {
    let packets = packets(shape(3, 2), 0, 1);
    let mut decoder = Decoder::new(Some(shape(3, 2)), Generation::Go2026);
    [0, 3, 4].iter().for_each(|&index| decoder.decode(0, &packets[index]));
    assert_eq!(decoder.poll_recovered(), Some(payload(1).as_slice()));
    decoder.decode(0, &packets[0]);
    assert_eq!(decoder.poll_recovered(), None);
}

#[test]
fn shards_and_datagrams_are_the_same_queue() {
    let packets = packets(shape(3, 2), 0, 1);
    let mut decoder = Decoder::new(Some(shape(3, 2)), Generation::Go2026);
    [0, 3, 4].iter().for_each(|&index| decoder.decode(0, &packets[index]));
    let longest = packets.iter().map(|packet| packet.len() - 6).max().unwrap();
    let shard = decoder.poll_recovered_shard().unwrap().to_vec();
    assert_eq!(shard.len(), longest);
    assert_eq!(shard[2..][..payload(1).len()], payload(1));
    assert!(shard[2 + payload(1).len()..].iter().all(|byte| *byte == 0));
    assert_eq!(decoder.poll_recovered(), Some(payload(2).as_slice()));
    assert_eq!(decoder.poll_recovered_shard(), None);
}

// FEC-12
#[test]
fn more_parity_than_data_decodes_a_group_twice() {
    let packets = packets(shape(2, 3), 0, 1);
    let recovered = |generation| {
        let mut decoder = Decoder::new(Some(shape(2, 3)), generation);
        packets.iter().map(|packet| feed(&mut decoder, packet).len()).collect::<Vec<_>>()
    };
    assert_eq!(recovered(Generation::Go2026), [0, 0, 0, 2, 0]);
    assert_eq!(recovered(Generation::Go2021), [0, 0, 0, 2, 0]);
}

// FEC-10
#[test]
fn three_groups_before_the_newest_are_stored() {
    let packets = packets(shape(3, 2), 0, 6);
    let group = |number: usize| &packets[number * 5..number * 5 + 5];
    let mut decoder = Decoder::new(Some(shape(3, 2)), Generation::Go2026);
    for number in 0..4 {
        feed(&mut decoder, &group(number)[0]);
        feed(&mut decoder, &group(number)[3]);
    }
    assert_eq!(decoder.state().groups, 4);
    assert_eq!(feed(&mut decoder, &group(0)[4]).len(), 2, "the third behind the newest still counts");
    feed(&mut decoder, &group(5)[0]);
    assert_eq!(decoder.state().groups, 3, "groups 2, 3 and 5");
    assert!(feed(&mut decoder, &group(1)[4]).is_empty(), "group 1 was dropped");
    assert_eq!(decoder.state().groups, 3, "and is dropped again with the late packet");
    assert_eq!(feed(&mut decoder, &group(2)[4]).len(), 2);
}

// FEC-6, FEC-10
#[test]
fn groups_are_ordered_across_the_wrap() {
    for generation in GENERATIONS {
        let shape = shape(3, 2);
        let packets = packets(shape, shape.paws() - 10, 4);
        assert_eq!(seqid(&packets[10]), 0);
        let mut decoder = Decoder::new(Some(shape), generation).with_newest_group(shape.paws() / 5 - 3);
        for group in packets.chunks(5) {
            assert!(feed(&mut decoder, &group[4]).is_empty());
            assert!(feed(&mut decoder, &group[1]).is_empty());
            assert_eq!(feed(&mut decoder, &group[0]).len(), 1);
        }
    }
}

// FEC-20
#[test]
fn seqids_beyond_the_wrap_are_ignored() {
    let shape = shape(10, 3);
    let mut packet = packets(shape, 0, 1).remove(0);
    packet[..4].copy_from_slice(&shape.paws().to_le_bytes());
    let mut decoder = Decoder::new(Some(shape), Generation::Go2026);
    assert!(feed(&mut decoder, &packet).is_empty());
    assert_eq!((decoder.state().groups, decoder.state().packets, decoder.state().samples), (0, 0, 1));
    packet[..4].copy_from_slice(&(shape.paws() - 13).to_le_bytes());
    feed(&mut decoder, &packet);
    assert_eq!((decoder.state().groups, decoder.state().packets, decoder.state().samples), (1, 1, 2));
}

// FEC-16, FEC-17
#[test]
fn other_packets_are_ignored() {
    let good = packets(shape(3, 2), 0, 1).remove(0);
    let mut out_of_band = good.clone();
    out_of_band[4] = 0xf3;
    let mut plain = good.clone();
    plain[4] = 81;
    let mut long = good.clone();
    long.resize(PACKET_BYTES_MAX + 1, 0);
    for generation in GENERATIONS {
        let mut decoder = Decoder::new(Some(shape(3, 2)), generation);
        let fresh = decoder.state();
        for packet in [&out_of_band, &plain, &long, &good[..HEADER_LEN - 1].to_vec(), &Vec::new()] {
            assert!(feed(&mut decoder, packet).is_empty());
        }
        assert_eq!(decoder.state(), fresh);
        assert_eq!(decoder.counters(), Counters::default());
        long.truncate(PACKET_BYTES_MAX);
        feed(&mut decoder, &long);
        assert_eq!(decoder.state().packets, 1);
        long.push(0);
    }
}

/// Three groups, one stray packet of a type that does not fit, thirty groups that each lost a data packet.
fn stray(decoder: &mut Decoder) -> usize {
    let packets = packets(shape(3, 2), 0, 33);
    for packet in &packets[..15] {
        feed(decoder, packet);
    }
    let mut misplaced = packets[0].clone();
    misplaced[..4].copy_from_slice(&1_000_003_u32.to_le_bytes());
    feed(decoder, &misplaced);
    let arrived = packets[15..].iter().filter(|packet| seqid(packet) % 5 != 1);
    arrived.map(|packet| feed(decoder, packet).len()).sum()
}

// FEC-11, FEC-18
#[test]
fn tuning_ends_with_any_shape_unless_configured_otherwise() {
    let mut decoder = Decoder::new(Some(shape(3, 2)), Generation::Go2026);
    assert_eq!(stray(&mut decoder), 30);
    assert!(!decoder.state().tuning);
    let mut stuck = Decoder::new(Some(shape(3, 2)), Generation::Go2026).with_tune_exit(TuneExit::OtherShape);
    assert_eq!(stray(&mut stuck), 0);
    assert!(stuck.state().tuning);
}

// FEC-14
#[test]
fn the_2021_list_is_bounded_by_count_and_age() {
    let packets = packets(shape(3, 2), 0, 40);
    let mut decoder = Decoder::new(Some(shape(3, 2)), Generation::Go2021);
    for packet in packets.iter().step_by(5) {
        feed(&mut decoder, packet);
        assert!(decoder.state().packets <= 15);
    }
    assert_eq!(decoder.state().packets, 15);
    decoder.decode(60_000, &packets[191]);
    assert_eq!(decoder.state().packets, 15, "60 s are not too old");
    decoder.decode(60_001, &packets[196]);
    assert_eq!(decoder.state().packets, 3, "old ones are dropped up to the first younger one");
}

// FEC-14: the 2021 decoder has no limit of three groups, but of packets.
#[test]
fn the_2021_list_recovers_sparse_old_groups() {
    let packets = packets(shape(3, 2), 0, 12);
    for (generation, wanted) in [(Generation::Go2021, 1), (Generation::Go2026, 0)] {
        let mut decoder = Decoder::new(Some(shape(3, 2)), generation);
        [0, 1, 55].iter().for_each(|&index| decoder.decode(0, &packets[index]));
        assert_eq!(feed(&mut decoder, &packets[3]).len(), wanted, "{generation:?}");
    }
}
