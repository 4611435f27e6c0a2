//! Detection of the peer's shape.

use engine::Generation;
use engine::fec::{Decoder, Kind, Shape, TuneExit};

fn shape(data: usize, parity: usize) -> Shape {
    Shape::new(data, parity).unwrap()
}

/// A packet of a peer with groups of `shape`; the decoder reads header bytes only until it has `data` of a
/// group.
fn packet(shape: Shape, seqid: u32) -> Vec<u8> {
    let is_data = (seqid as usize) % shape.total() < shape.data();
    let code = if is_data { Kind::Data } else { Kind::Parity }.code();
    [&seqid.to_le_bytes()[..], &code.to_le_bytes(), &[26, 0], &[0; 24]].concat()
}

/// The seqid with which the decoder adopts the shape of its peer, among the first 600.
fn adopted_at(decoder: &mut Decoder, peer: Shape) -> Option<u32> {
    (0..600).find(|&seqid| {
        decoder.decode(0, &packet(peer, seqid));
        decoder.shape() == peer
    })
}

/// Rows of kcp-go's own detection (kcp-go autotune.go run on perfect input).
// FEC-13, FEC-15
#[test]
fn shapes_are_detected_with_the_same_packet_as_by_the_reference() {
    let rows = [(10, 3, 23), (3, 2, 8), (20, 10, 50), (100, 50, 250), (200, 55, 455)];
    for (data, parity, first) in rows {
        let mut decoder = Decoder::new(None, Generation::Go2026);
        assert_eq!(decoder.shape(), Shape::ONE_TO_ONE);
        assert_eq!(adopted_at(&mut decoder, shape(data, parity)), Some(first), "{data}+{parity}");
        assert!(!decoder.state().tuning);
    }
    let mut decoder = Decoder::new(Some(shape(5, 5)), Generation::Go2026);
    assert_eq!(adopted_at(&mut decoder, Shape::ONE_TO_ONE), Some(3));
    for (data, parity) in [(230, 26), (150, 106), (255, 1)] {
        let mut decoder = Decoder::new(None, Generation::Go2026);
        assert_eq!(adopted_at(&mut decoder, shape(data, parity)), None, "256 shards are too many");
    }
}

// FEC-13
#[test]
fn a_gap_hides_the_shape_until_it_has_left_the_window() {
    let peer = shape(4, 2);
    let mut decoder = Decoder::new(None, Generation::Go2026);
    let found = (0..600).filter(|seqid| *seqid != 1).find(|&seqid| {
        decoder.decode(0, &packet(peer, seqid));
        decoder.shape() == peer
    });
    // 258 samples from seqid 2 on.
    assert_eq!(found, Some(259));
}

// FEC-13
#[test]
fn order_of_arrival_does_not_matter() {
    let peer = shape(4, 2);
    let mut decoder = Decoder::new(None, Generation::Go2026);
    for seqid in [3, 7, 1, 0, 9, 2, 8, 5, 4] {
        decoder.decode(0, &packet(peer, seqid));
        assert_ne!(decoder.shape(), peer);
    }
    decoder.decode(0, &packet(peer, 6));
    assert_ne!(decoder.shape(), peer, "the second edge of the data run is missing");
    decoder.decode(0, &packet(peer, 10));
    assert_eq!(decoder.shape(), peer);
}

// FEC-13: numbers before the wrap sort below those behind it, and the wrap is a gap.
#[test]
fn samples_are_ordered_across_the_wrap() {
    let peer = shape(4, 2);
    let mut decoder = Decoder::new(None, Generation::Go2026);
    let seqids = (peer.paws() - 8..peer.paws()).chain(0..600);
    let found = seqids.into_iter().find(|&seqid| {
        decoder.decode(0, &packet(peer, seqid));
        decoder.shape() == peer
    });
    assert_eq!(found, Some(257), "not before the last packet ahead of the wrap has left the window");
}

// FEC-13, FEC-14
#[test]
fn any_shape_is_reached_from_any_other() {
    let shapes = [(1, 1), (1, 4), (2, 1), (3, 2), (5, 5), (10, 3), (20, 10), (30, 1), (60, 20), (4, 70)];
    for generation in [Generation::Go2026, Generation::Go2021] {
        for exit in [TuneExit::AnyShape, TuneExit::OtherShape] {
            for (data, parity) in shapes {
                for (peer_data, peer_parity) in shapes {
                    let peer = shape(peer_data, peer_parity);
                    let mut decoder =
                        Decoder::new(Some(shape(data, parity)), generation).with_tune_exit(exit);
                    let adopted = adopted_at(&mut decoder, peer);
                    assert!(adopted.is_some(), "{generation:?} {data}+{parity} to {peer_data}+{peer_parity}");
                    // Two whole groups and the next edge; 2021 needs the samples before the first edge in
                    // place, too.
                    assert!(adopted < Some(300), "{adopted:?}");
                }
            }
        }
    }
}

// FEC-11
#[test]
fn tuning_stores_no_shards() {
    let mut decoder = Decoder::new(Some(shape(10, 3)), Generation::Go2026);
    let peer = shape(5, 2);
    for seqid in 0..12 {
        decoder.decode(0, &packet(peer, seqid));
        let state = decoder.state();
        assert_eq!(state.tuning, seqid >= 5);
        assert_eq!(state.packets, 5.min(seqid as usize + 1), "stored before the first misplaced packet");
    }
    decoder.decode(0, &packet(peer, 12));
    assert_eq!(decoder.shape(), peer);
    assert_eq!(decoder.state().groups, 0, "groups of the old shape are forgotten");
}
