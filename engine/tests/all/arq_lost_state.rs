//! Answers that show that the peer lost its state (KCP-23).

use engine::arq::{Arq, Flush, Source};
use engine::{Generation, Instant};

const NOW: Instant = Instant::from_millis(5000);

/// A WINS segment, as an answer to a probe.
fn wins(una: u32) -> Vec<u8> {
    let mut bytes = 9u32.to_le_bytes().to_vec();
    bytes.extend_from_slice(&[84, 0, 32, 0]);
    for word in [0, 0, una, 0] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// Five segments confirmed, a sixth sent, silence, a probe.
fn probing() -> Arq {
    let mut arq = Arq::new(9, Generation::Go2026);
    arq.set_tuning(engine::arq::Tuning { nodelay: true, interval_ms: 10, resend: 0, nc: true });
    let mut out = [0; 1400];
    for (count, una) in [(5, Some(5)), (1, None)] {
        for _ in 0..count {
            arq.send(b"data").unwrap();
        }
        arq.flush(NOW, Flush::Full);
        while arq.poll_transmit(NOW, &mut out).is_some() {}
        una.iter().for_each(|una| arq.input(NOW, &wins(*una), Source::Regular, false).unwrap());
    }
    arq.probe_peer();
    arq
}

// KCP-23
#[test]
fn an_answer_with_the_first_una_shows_a_restarted_peer() {
    let mut arq = probing();
    arq.input(NOW, &wins(0), Source::Regular, false).unwrap();
    assert!(arq.peer_lost_state());
}

/// The answer was sent before segments that were confirmed meanwhile, and overtaken.
// KCP-23
#[test]
fn a_late_answer_of_a_healthy_peer_is_not_a_restart() {
    let mut arq = probing();
    for una in [1, 4, 5] {
        arq.input(NOW, &wins(una), Source::Regular, false).unwrap();
        assert!(!arq.peer_lost_state(), "una {una}");
    }
}

/// An ACK that echoes `ts_ms`.
fn ack(sn: u32, ts_ms: u32, una: u32) -> Vec<u8> {
    let mut bytes = 9u32.to_le_bytes().to_vec();
    bytes.extend_from_slice(&[82, 0, 32, 0]);
    for word in [ts_ms, sn, una, 0] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// A segment that was sent in the millisecond in which una moved is acknowledged with the first una: sent after that, or before?
// KCP-23
#[test]
fn within_a_millisecond_the_sn_shows_which_came_first() {
    for (sn, lost) in [(4, false), (5, true)] {
        let mut arq = Arq::new(9, Generation::Go2026);
        arq.set_tuning(engine::arq::Tuning { nodelay: true, interval_ms: 10, resend: 0, nc: true });
        let mut out = [0; 1400];
        for count in [5, 1] {
            (0..count).for_each(|_| arq.send(b"data").unwrap());
            arq.flush(NOW, Flush::Full);
            while arq.poll_transmit(NOW, &mut out).is_some() {}
            arq.input(NOW, &wins(4), Source::Regular, false).unwrap();
        }
        arq.input(NOW, &ack(sn, NOW.ms(), 0), Source::Regular, false).unwrap();
        assert_eq!(arq.peer_lost_state(), lost, "{sn}");
    }
}
