//! A suspended process, or one whose clock steps, does not count that time as a round trip (KCP-25).
use crate::pair::{Pair, both, pattern};
use engine::arq::{Arq, Flush, Source, Tuning};
use engine::{Generation, Instant, StreamId};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// A session of 20 ms round trip with data on its way to the server.
fn sending() -> (Pair, StreamId) {
    let mut pair = Pair::new(both(|_| {}));
    pair.upload(&pattern(50_000), Duration::from_secs(20));
    pair.run_for(Duration::from_secs(1));
    let id = pair.client.open_stream(pair.now).unwrap();
    pair.client.write(pair.now, id, b"before the pause").unwrap();
    pair.drain();
    (pair, id)
}

fn rto_ms(pair: &Pair) -> u32 {
    pair.client.arq().state().rto_ms
}

// KCP-25
#[test]
fn a_pause_is_not_a_round_trip() {
    for pause in [Duration::from_millis(1_500), Duration::from_secs(20), HOUR] {
        let (mut pair, _) = sending();
        let before_ms = rto_ms(&pair);
        pair.pause(pause);
        pair.run_for(Duration::from_secs(2));
        assert!(pair.client.drained() && rto_ms(&pair) <= before_ms + 50, "{pause:?}: {} ms", rto_ms(&pair));
    }
}

/// Segments sent after the pause give RTT samples again.
#[test]
fn later_samples_count() {
    let (mut pair, id) = sending();
    pair.pause(HOUR);
    pair.run_for(Duration::from_secs(2));
    let before_ms = rto_ms(&pair);
    pair.delay = Duration::from_millis(400);
    pair.client.write(pair.now, id, b"after the pause").unwrap();
    pair.run_for(Duration::from_secs(3));
    assert!(rto_ms(&pair) > before_ms + 200, "{} ms", rto_ms(&pair));
}

/// An answer that is late because the path was slow is a sample like any other (KCP-46).
#[test]
fn a_slow_path_is_a_round_trip() {
    let (mut pair, id) = sending();
    pair.run_for(Duration::from_secs(1));
    let before_ms = rto_ms(&pair);
    pair.delay = Duration::from_secs(2);
    pair.client.write(pair.now, id, b"slow").unwrap();
    pair.run_for(Duration::from_secs(6));
    assert!(rto_ms(&pair) > before_ms + 1_000, "{} ms", rto_ms(&pair));
}

/// The ARQ without a tunnel behaves as kcp-go (KCP-21): it waits for a minute after a pause of an hour.
#[test]
fn the_arq_by_default_counts_a_pause_as_a_round_trip() {
    let rto_ms = |is_told: bool| {
        let tuning = Tuning { nodelay: true, interval_ms: 10, resend: 0, nc: true };
        let mut ends = [Arq::new(9, Generation::Go2026), Arq::new(9, Generation::Go2026)];
        ends.iter_mut().for_each(|end| end.set_tuning(tuning));
        let [mut from, mut to] = ends;
        let (sent, later) = (Instant::from_millis(5_000), Instant::from_millis(5_000) + HOUR);
        let mut out = [0; 1400];
        from.send(b"data").unwrap();
        from.flush(sent, Flush::Full);
        let len = from.poll_transmit(sent, &mut out).unwrap();
        to.input(later, &out[..len], Source::Regular, true).unwrap();
        let len = to.poll_transmit(later, &mut out).unwrap();
        if is_told {
            from.distrust_samples_before(later);
        }
        from.input(later, &out[..len], Source::Regular, false).unwrap();
        from.state().rto_ms
    };
    assert_eq!((rto_ms(false), rto_ms(true)), (60_000, 200));
}

/// Acknowledgements of what was sent before the pause may arrive behind those of what was sent after it.
// KCP-25
#[test]
fn overtaken_acknowledgements_from_before_a_pause_do_not_count() {
    let mut arq = Arq::new(9, Generation::Go2026);
    arq.set_tuning(Tuning { nodelay: true, interval_ms: 10, resend: 0, nc: true });
    let (before, after) = (Instant::from_millis(5_000), Instant::from_millis(5_000) + HOUR);
    let mut out = [0; 1400];
    for (now, data) in [(before, &b"before"[..]), (after, b"after")] {
        arq.distrust_samples_before(now);
        arq.send(data).unwrap();
        arq.flush(now, Flush::Full);
        while arq.poll_transmit(now, &mut out).is_some() {}
    }
    let answered = after + Duration::from_millis(20);
    for (sn, ts) in [(1_u32, after), (0, before)] {
        let mut ack = vec![9, 0, 0, 0, 82, 0, 128, 0];
        [ts.ms(), sn, 0, 0].iter().for_each(|word| ack.extend_from_slice(&word.to_le_bytes()));
        arq.input(answered, &ack, Source::Regular, false).unwrap();
    }
    assert_eq!(arq.state().srtt_ms, 20);
}
