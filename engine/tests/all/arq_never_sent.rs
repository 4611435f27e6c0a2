//! Acknowledgements of segments that were never sent (KCP-32).

use engine::arq::{Arq, Flush, InputError, OVERHEAD, Source};
use engine::{Generation, Instant};

const NOW: Instant = Instant::from_millis(1_000);

const PUSH: u8 = 81;
const ACK: u8 = 82;
const WINS: u8 = 84;

/// Segments of conversation 7 without payload: command, sn, una.
fn datagram(segments: &[(u8, u32, u32)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for &(command, sn, una) in segments {
        bytes.extend_from_slice(&[7, 0, 0, 0, command, 0, 32, 0]);
        [NOW.ms(), sn, una, 0].iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
    }
    bytes
}

/// A sender of 8 segments with a window of 4, all of which are numbered and none sent; `received` the peer's first segment.
fn arq(received: bool) -> Arq {
    let mut arq = Arq::new(7, Generation::Go2026);
    arq.set_tuning(engine::arq::Tuning { nodelay: true, interval_ms: 10, resend: 2, nc: true });
    arq.set_windows(4, 32);
    arq.distrust_peer();
    arq.set_mtu(OVERHEAD + 100);
    if received {
        arq.input(NOW, &datagram(&[(PUSH, 0, 0)]), Source::Regular, false).unwrap();
    }
    arq.send(&[5; 800]).unwrap();
    arq.flush(NOW, Flush::Full);
    arq
}

#[test]
fn what_was_never_sent_cannot_be_acknowledged() {
    for source in [Source::Regular, Source::Recovered] {
        for bad in [(ACK, 0, 3), (ACK, 2, 0), (PUSH, 1, 3)] {
            let mut arq = arq(true);
            let mut out = [0; 200];
            // An acknowledgement of the segment received precedes the data: two of the four numbered segments leave.
            let data = |len: Option<usize>| len.is_some_and(|len| len > OVERHEAD);
            let mut sent = 0;
            while sent < 2 {
                sent += usize::from(data(arq.poll_transmit(NOW, &mut out)));
            }
            let before = arq.state();
            assert_eq!((before.snd_una, before.snd_nxt), (0, 4));
            let refused = arq.input(NOW, &datagram(&[bad]), source, false);
            assert_eq!(refused, Err(InputError::NeverSent));
            assert_eq!(arq.state(), before, "a refused segment changes nothing");
            let good = datagram(&[(ACK, 1, 1), (WINS, 0, 2)]);
            arq.input(NOW, &good, source, false).unwrap();
            assert_eq!(arq.state().snd_una, 2, "what was sent can be acknowledged");
        }
    }
}

#[test]
fn before_anything_was_received_only_the_acknowledgement_is_ignored() {
    // KCP-30 needs the rest: the segment is acknowledged, and its una shows the lost session.
    let mut arq = arq(false);
    let push = datagram(&[(PUSH, 0, 9)]);
    assert_eq!(arq.input(NOW, &push, Source::Regular, false), Ok(()));
    assert!(arq.peer_goes_on() && arq.has_received());
    assert_eq!((arq.state().snd_una, arq.state().acks), (0, 1));
}
