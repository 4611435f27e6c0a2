//! Parity of another session at the same numbers, in both generations: nothing wrong is rebuilt from it, and its own
//! parity still repairs the group.

use crate::fec_packets::{self, feed, shape};
use engine::Generation;
use engine::fec::{Counters, Decoder, HEADER_LEN, Shape};

const GENERATIONS: [Generation; 2] = [Generation::Go2021, Generation::Go2026];
const OWN: u32 = 0x1234_5678;

/// A KCP datagram of that conversation.
fn datagram(conv: u32, number: usize) -> Vec<u8> {
    let mut bytes = conv.to_le_bytes().to_vec();
    bytes.extend((0..24 + number * 31 % 90).map(|at| (at * 7 + number * 13 + conv as usize) as u8));
    bytes
}

/// Whole groups of a conversation with their parity; packet i carries seqid `first + i`.
fn session(shape: Shape, conv: u32, first: u32, groups: usize) -> Vec<Vec<u8>> {
    fec_packets::packets(shape, first, (0..groups * shape.data()).map(|number| datagram(conv, number)))
}

/// Conversations that differ in one byte, in all, and in the bits by which the cosets of the field differ.
fn others() -> Vec<u32> {
    let bits = (0..32).map(|bit| OWN ^ 1 << bit);
    bits.chain([!OWN, OWN ^ 0x0808_0808, OWN ^ 0x0f0f_0f0f, OWN ^ 0xff00_0000, 0]).collect()
}

/// Every set of lost data packets and every choice of parity packets of the other session for them.
fn wrong_shards(shape: Shape, other: u32, generation: Generation, guarded: bool) -> usize {
    let (own, foreign) = (session(shape, OWN, 0, 1), session(shape, other, 0, 1));
    let mut wrong = 0;
    for lost in 1..1_u32 << shape.data() {
        let missing = lost.count_ones() as usize;
        for replaced in 1..1_u32 << shape.parity() {
            if missing > shape.parity() || missing > replaced.count_ones() as usize {
                continue;
            }
            let decoder = Decoder::new(Some(shape), generation);
            let mut decoder = if guarded { decoder.with_conv(OWN) } else { decoder };
            let data = (0..shape.data()).filter(|index| lost >> index & 1 == 0).map(|index| &own[index]);
            let parity = (0..shape.parity()).filter(|index| replaced >> index & 1 == 1);
            let packets = data.chain(parity.map(|index| &foreign[shape.data() + index]));
            let rebuilt: Vec<_> = packets.flat_map(|packet| feed(&mut decoder, packet)).collect();
            wrong += rebuilt
                .iter()
                .filter(|shard| !own.iter().any(|packet| packet[HEADER_LEN..] == ***shard))
                .count();
        }
    }
    wrong
}

// FEC-23
#[test]
fn nothing_is_rebuilt_from_parity_of_another_session() {
    for generation in GENERATIONS {
        for (data, parity) in [(1, 1), (2, 2), (3, 1), (4, 2), (5, 3), (8, 3), (3, 5)] {
            for other in others() {
                let wrong = wrong_shards(shape(data, parity), other, generation, true);
                assert_eq!(wrong, 0, "{data}+{parity}, {other:08x}, {generation:?}");
            }
        }
    }
}

/// The tampered twin: without the rule each of these groups yields wrong datagrams.
#[test]
fn without_the_rule_wrong_bytes_are_rebuilt() {
    for generation in GENERATIONS {
        assert!(wrong_shards(shape(8, 3), !OWN, generation, false) > 100);
    }
}

/// Why one shard of the right conversation proves nothing: eight positions and the next eight are cosets, so that foreign
/// parity at 10 to 12 leaves the conversation of some rebuilt shard as it was.
#[test]
fn a_wrong_group_has_shards_of_the_right_conversation() {
    let shape = shape(10, 3);
    let (own, foreign) = (session(shape, OWN, 0, 1), session(shape, !OWN, 0, 1));
    let mut decoder = Decoder::new(Some(shape), Generation::Go2026);
    let packets = own[..7].iter().chain(&foreign[10..]);
    let rebuilt: Vec<_> = packets.flat_map(|packet| feed(&mut decoder, packet)).collect();
    let right = rebuilt.iter().filter(|shard| shard[..4] == OWN.to_le_bytes()).count();
    assert!(right > 0 && right < rebuilt.len(), "{right} of {}", rebuilt.len());
    assert!(rebuilt.iter().all(|shard| !own.iter().any(|packet| packet[HEADER_LEN..] == **shard)));
}

// FEC-23
#[test]
fn its_own_parity_still_repairs_the_group() {
    for generation in GENERATIONS {
        let shape = shape(10, 3);
        let (own, foreign) = (session(shape, OWN, 0, 1), session(shape, !OWN, 0, 1));
        let mut decoder = Decoder::new(Some(shape), generation).with_conv(OWN);
        let mut rebuilt = Vec::new();
        // Foreign parity comes first, packets 2, 5 and 8 are lost, then the session's own parity comes.
        let data = (0..10).filter(|index| ![2, 5, 8].contains(index)).map(|index| &own[index]);
        for packet in foreign[10..].iter().chain(data).chain(&own[10..]) {
            rebuilt.extend(feed(&mut decoder, packet));
        }
        let lost = [2, 5, 8].map(|number| datagram(OWN, number));
        assert_eq!(rebuilt, lost, "{generation:?}");
        let Counters { recovered, foreign, errs, .. } = decoder.counters();
        assert_eq!((recovered, foreign, errs), (3, 1, 3));
    }
}

// FEC-24
#[test]
fn parity_far_ahead_does_not_switch_recovery_off() {
    for generation in GENERATIONS {
        let shape = shape(10, 3);
        let (own, foreign) = (session(shape, OWN, 0, 20), session(shape, !OWN, 0, 90));
        let mut decoder = Decoder::new(Some(shape), generation).with_conv(OWN);
        let mut rebuilt = 0;
        for (index, packet) in own.iter().enumerate() {
            // Parity of other groups, up to 70 of them ahead, between any two packets; the third packet of each group is lost.
            for ahead in [1, 4, 9, 17, 40, 70] {
                let parity = (index / 13 + ahead) * 13 + 10 + (index + ahead) % 3;
                assert!(feed(&mut decoder, &foreign[parity]).is_empty());
            }
            if index % 13 != 2 {
                rebuilt += feed(&mut decoder, packet).len();
            }
        }
        assert_eq!(rebuilt, 20, "{generation:?}");
        assert!(decoder.state().packets <= 3 * 13 + 8 * 3);
    }
}
