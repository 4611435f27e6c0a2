//! FEC-22: shards rebuilt with an unproven shape of the peer are not used.
use crate::pair::{Pair, both, pattern};
use engine::fec::{Encoder, Kind, Shape, ShapeProof};
use engine::{DropReason, Handled, Mark};
use std::time::Duration;

fn shape(data: usize, parity: usize) -> Shape {
    Shape::new(data, parity).unwrap()
}

/// Packets of a peer with that shape, without the seqids in `lost`.
fn proven(own: Shape, peer: Shape, count: u32, lost: &[u32]) -> bool {
    let mut proof = ShapeProof::new(own);
    for seqid in (0..count).filter(|seqid| !lost.contains(seqid)) {
        let data = seqid as usize % peer.total() < peer.data();
        proof.note(own, seqid, if data { Kind::Data } else { Kind::Parity });
    }
    proof.holds()
}

#[test]
fn a_shape_is_proven_by_enough_packets_in_all_places() {
    let own = shape(10, 3);
    assert!(!proven(own, own, 51, &[]) && proven(own, own, 52, &[]));
    assert!(!proven(own, own, 52, &[7]) && proven(own, own, 53, &[7]));
    // The place 2 is lost in every group but the last.
    let lost: Vec<u32> = (0..5).map(|group| 13 * group + 2).collect();
    assert!(!proven(own, own, 67, &lost) && proven(own, own, 68, &lost));
    // Every other shape has its own number.
    assert!(!proven(shape(10, 1), shape(10, 1), 131, &[]) && proven(shape(10, 1), shape(10, 1), 132, &[]));
}

#[test]
fn duplicates_do_not_prove_a_shape() {
    let own = shape(1, 1);
    let mut proof = ShapeProof::new(own);
    for seqid in (0..39).flat_map(|seqid| [seqid; 3]) {
        proof.note(own, seqid, if seqid % 2 == 0 { Kind::Data } else { Kind::Parity });
    }
    assert!(!proof.holds());
    proof.note(own, 39, Kind::Parity);
    assert!(proof.holds());
}

#[test]
fn a_group_of_twice_the_size_is_not_proven_by_losing_one_packet() {
    assert!(!proven(shape(10, 1), shape(21, 1), 160, &[10, 32]));
}

#[test]
fn another_shape_is_not_proven_for_any_losses_of_a_group() {
    for peer in [shape(11, 2), shape(10, 4), shape(5, 1), shape(4, 9), shape(1, 1), shape(20, 6)] {
        let own = shape(10, 3);
        for lost in 0..1_u32 << 13 {
            let lost: Vec<u32> = (0..13).filter(|place| lost >> place & 1 == 1).collect();
            assert!(!proven(own, peer, 40, &lost), "{peer:?} without {lost:?}");
        }
    }
}

#[test]
fn a_packet_that_does_not_fit_voids_a_proof() {
    let own = shape(2, 1);
    let mut proof = ShapeProof::new(own);
    let kinds = [Kind::Data, Kind::Data, Kind::Parity].into_iter().cycle();
    kinds.zip(0..40).for_each(|(kind, seqid)| proof.note(own, seqid, kind));
    assert!(proof.holds());
    proof.note(own, 42, Kind::Parity);
    assert!(!proof.holds());
}

#[test]
fn a_proof_holds_where_numbers_wrap() {
    let own = shape(2, 1);
    let mut proof = ShapeProof::new(own);
    let first = own.paws() - 60;
    for place in (0..60).step_by(3) {
        proof.note(own, first + place + 1, Kind::Data);
        proof.note(own, first + place + 2, Kind::Parity);
    }
    assert!(!proof.holds());
    (0..2).for_each(|seqid| proof.note(own, seqid, Kind::Data));
    assert!(proof.holds());
}

#[test]
fn small_groups_are_not_proven_by_the_few_packets_that_fit() {
    // 1+1 appears correct while the data packets 1, 5, 9, ... of 3+1 are lost.
    let lost: Vec<u32> = (0..10).map(|group| 4 * group + 1).collect();
    assert!(!proven(shape(1, 1), shape(3, 1), 40, &lost));
    assert!(!proven(shape(1, 1), shape(3, 1), 60, &lost));
    assert!(!proven(shape(1, 1), shape(1, 1), 39, &[]) && proven(shape(1, 1), shape(1, 1), 40, &[]));
}

/// Every pair of shapes with every short pattern of losses: all bytes arrive unchanged.
#[test]
fn sides_with_different_groups_lose_datagrams_but_no_bytes() {
    let shapes = [(0, 0), (1, 1), (2, 2), (3, 8), (10, 3), (12, 1)];
    let data = pattern(60_000);
    let mut unproven = 0;
    for own in shapes {
        for peer in shapes.into_iter().filter(|peer| peer.0 > 0 && *peer != own) {
            for (period, place) in (2..7).flat_map(|period| (0..period).map(move |place| (period, place))) {
                let mut settings = both(|s| (s.nocomp, s.mtu) = (true, 600));
                (settings.0.datashard, settings.0.parityshard) = peer;
                (settings.1.datashard, settings.1.parityshard) = own;
                let mut pair = Pair::new(settings);
                let mut number = 0;
                pair.drop = Box::new(move |to_server, _| {
                    number += u64::from(to_server);
                    to_server && number < 40 && number % period == place
                });
                let got = pair.upload(&data, Duration::from_secs(60));
                assert!(got == data, "{peer:?} to {own:?}, {place} of {period} lost");
                unproven += u32::from(pair.accepted().stats().marks.has(Mark::FecUnproven));
            }
        }
    }
    assert!(unproven > 20, "{unproven} runs rebuilt garbage: too few to show anything");
}

/// Replayed parity of a peer with other groups would start tuning, in which nothing is rebuilt.
#[test]
fn parity_that_contradicts_a_proven_shape_is_dropped() {
    // FEC-24
    let mut pair = Pair::new(both(|s| s.nocomp = true));
    let data = pattern(200_000);
    assert!(pair.upload(&data, Duration::from_secs(20)) == data);
    let newest = pair.accepted().stats().fec_shard_min as u32 * 13;
    let config = both(|_| {}).0.tunnel_config().unwrap();
    let mut encoder = Encoder::with_next_seqid(shape(4, 2), newest / 6 * 6);
    let head = config.suite.head_len();
    let (mut dropped, mut taken) = (0, 0);
    for first in (0..10).map(|group| newest / 6 * 6 + group * 6) {
        (0..4).for_each(|_| encoder.encode(0, &mut [7; 500]));
        for seqid in [first + 4, first + 5] {
            let mut datagram = vec![0; head + 500];
            encoder.poll_parity(&mut datagram[head..]).unwrap();
            config.suite.seal(&[1; 16], &mut datagram);
            let now = pair.now;
            let handled = pair.accepted().handle_datagram(now, &mut datagram);
            let fits = seqid % 13 >= 10;
            let expected = if fits { Handled::Used } else { Handled::Dropped(DropReason::ForeignConv) };
            assert_eq!(handled, expected, "{seqid}");
            *if fits { &mut taken } else { &mut dropped } += 1;
        }
    }
    assert!(dropped > 10 && taken > 2, "{dropped} {taken}");
    assert!(pair.accepted().stats().marks.has(Mark::ForeignParity));
}
