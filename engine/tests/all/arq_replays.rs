//! Replayed, overtaken and delayed acknowledgements say nothing about the path or the peer of now (KCP-44 to KCP-46).

use engine::arq::{Arq, Flush, Source, Tuning};
use engine::{Generation, Instant};

const SENT: Instant = Instant::from_millis(1_000);

const ACK: u8 = 82;
const WINS: u8 = 84;

/// One segment of conversation 7 without payload.
fn segment(command: u8, sn: u32, una: u32, wnd: u16) -> Vec<u8> {
    let mut bytes = vec![7, 0, 0, 0, command, 0];
    bytes.extend_from_slice(&wnd.to_le_bytes());
    [SENT.ms(), sn, una, 0].iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
    bytes
}

/// A sender of two segments at [`SENT`].
fn arq(distrusts: bool) -> Arq {
    let mut arq = Arq::new(7, Generation::Go2026);
    arq.set_tuning(Tuning { nodelay: true, interval_ms: 10, resend: 0, nc: true });
    if distrusts {
        arq.distrust_peer();
    }
    let mut out = [0; 1_400];
    arq.send(&[5; 1_300]).unwrap();
    arq.send(&[6; 1_300]).unwrap();
    arq.flush(SENT, Flush::Full);
    while arq.poll_transmit(SENT, &mut out).is_some() {}
    arq
}

// KCP-44
#[test]
fn a_replayed_acknowledgement_gives_no_round_trip() {
    let rto_ms = |distrusts: bool| {
        let mut arq = arq(distrusts);
        let ack = segment(ACK, 0, 1, 128);
        for ms in [1_050, 4_000, 9_000, 30_000] {
            arq.input(Instant::from_millis(ms), &ack, Source::Regular, false).unwrap();
        }
        arq.state().rto_ms
    };
    assert_eq!(rto_ms(true), 150);
    assert!(rto_ms(false) > 30_000, "kcp-go's estimator takes all of them");
}

// KCP-44
#[test]
fn a_late_acknowledgement_of_the_last_segment_is_a_round_trip() {
    let mut arq = arq(true);
    arq.input(Instant::from_millis(3_000), &segment(ACK, 1, 0, 128), Source::Regular, false).unwrap();
    assert_eq!(arq.state().srtt_ms, 2_000);
}

// KCP-46
#[test]
fn acknowledgements_that_waited_for_a_stalled_peer_are_no_round_trips() {
    let rto_ms = |watches: bool| {
        let mut arq = arq(true);
        if watches {
            arq.watch_outages();
        }
        arq.input(Instant::from_millis(1_050), &segment(ACK, 0, 1, 128), Source::Regular, false).unwrap();
        assert_eq!(arq.state().rto_ms, 150);
        // The peer runs again, and acknowledges what its socket kept.
        let late = Instant::from_millis(31_000);
        arq.input(late, &segment(ACK, 1, 2, 128), Source::Regular, false).unwrap();
        arq.state().rto_ms
    };
    assert_eq!(rto_ms(true), 150);
    assert!(rto_ms(false) > 15_000, "kcp-go's estimator takes it");
}

// KCP-45
#[test]
fn an_overtaken_window_does_not_count() {
    let window = |distrusts: bool| {
        let mut arq = arq(distrusts);
        let now = Instant::from_millis(1_050);
        arq.input(now, &segment(ACK, 0, 1, 128), Source::Regular, false).unwrap();
        arq.input(now, &segment(WINS, 0, 0, 0), Source::Regular, false).unwrap();
        let replayed = arq.state().rmt_wnd;
        arq.input(now, &segment(WINS, 0, 1, 64), Source::Regular, false).unwrap();
        (replayed, arq.state().rmt_wnd)
    };
    assert_eq!((window(true), window(false)), ((128, 64), (0, 64)));
}
