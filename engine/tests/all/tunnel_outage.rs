//! Recovery of a path: no segment waits for a backed-off timeout, and no end continues a session
//! that the other side lost meanwhile.
use crate::pair::{Pair, both, pattern};
use engine::{CloseReason, Event, Mark, Settings};
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Segments in flight at the start of an outage, and the time after it until all are acknowledged.
fn recovery(settings: (Settings, Settings), outage: Duration, dead: fn(bool) -> bool) -> (Duration, Pair) {
    let mut pair = Pair::new(settings);
    let id = pair.client.open_stream(pair.now).unwrap();
    pair.client.write(pair.now, id, b"the path works").unwrap();
    pair.run_for(SECOND);
    pair.drop = Box::new(move |to_server, _| dead(to_server));
    // Spread out, so that the timeouts do not end together.
    for piece in pattern(60_000).chunks(1_000) {
        pair.client.write(pair.now, id, piece).unwrap();
        pair.run_for(Duration::from_millis(53));
    }
    pair.run_for(outage);
    assert!(!pair.client.drained());
    pair.drop = Box::new(|_, _| false);
    let start = pair.now;
    pair.run_until(Duration::from_secs(60), |pair| pair.client.drained());
    (pair.now.since(start), pair)
}

fn plain(probe: bool) -> (Settings, Settings) {
    both(|s| {
        (s.datashard, s.parityshard, s.nocomp) = (0, 0, true);
        s.no_probe = !probe;
    })
}

#[test]
fn a_restored_path_is_used_at_once() {
    // KCP-29
    let both_ways: fn(bool) -> bool = |_| true;
    let upwards: fn(bool) -> bool = |to_server| to_server;
    for dead in [both_ways, upwards] {
        for outage in [7, 13, 20, 24].map(Duration::from_secs) {
            let (took, pair) = recovery(plain(true), outage, dead);
            let (without, other) = recovery(plain(false), outage, dead);
            // At most one wait for a probe, or for one timeout that has backed off; then a few round trips.
            assert!(took < Duration::from_millis(2_300), "{outage:?}: {took:?}");
            assert!(took <= without + Duration::from_millis(100), "{outage:?}: {took:?}, {without:?}");
            assert!(pair.client.stats().marks.has(Mark::OutageOver) || took < SECOND);
            assert!(!other.client.stats().marks.has(Mark::OutageOver));
        }
    }
}

#[test]
fn sending_sets_in_with_less_than_a_window() {
    // KCP-29
    let mut pair = Pair::new(plain(true));
    let id = pair.client.open_stream(pair.now).unwrap();
    pair.drop = Box::new(|_, _| true);
    for piece in pattern(100_000).chunks(1_000) {
        pair.client.write(pair.now, id, piece).unwrap();
        pair.run_for(Duration::from_millis(31));
    }
    pair.run_for(Duration::from_millis(15_000));
    pair.drop = Box::new(|_, _| false);
    let segments = |pair: &Pair| pair.client.stats().retrans_segs;
    pair.run_until(10 * SECOND, |pair| pair.client.stats().marks.has(Mark::OutageOver));
    let before = segments(&pair);
    pair.run_for(Duration::from_millis(45));
    let first = segments(&pair) - before;
    assert!((1..=40).contains(&first), "{first} segments at once");
    pair.run_until(SECOND, |pair| pair.client.drained());
    assert!(segments(&pair) - before < 130, "{} retransmissions of 100 segments", segments(&pair) - before);
}

/// The client has received what the server sent first, but none of its own segments was acknowledged: the una of a new session
/// reveals nothing, and its first data fits the new session.
fn half_known(probe: bool) -> (Pair, (Settings, Settings)) {
    let settings = plain(probe);
    let mut pair = Pair::new(settings.clone());
    pair.drop = Box::new(|to_server, number| to_server && number != 1);
    let id = pair.client.open_stream(pair.now).unwrap();
    for part in [&b"first"[..], b"second"] {
        pair.client.write(pair.now, id, part).unwrap();
        pair.drain();
    }
    pair.run_for(12 * SECOND);
    assert!(pair.session.is_some() && pair.client.arq().has_received());
    assert_eq!(pair.client.arq().state().snd_una, 0);
    pair.restart_server(Arc::new(settings.1.tunnel_config().unwrap()));
    pair.server_events.clear();
    pair.drop = Box::new(|_, _| false);
    (pair, settings)
}

#[test]
fn the_data_of_a_lost_session_is_not_taken_for_that_of_a_new_one() {
    // KCP-30
    let (mut pair, _) = half_known(true);
    pair.run_until(10 * SECOND, |pair| pair.server_is_closed());
    assert_eq!(pair.accepted().closed(), Some(CloseReason::Unknown));
    assert!(pair.accepted().stats().marks.has(Mark::PeerGoesOn));
    pair.forget_session();
    pair.run_until(5 * SECOND, |pair| pair.client.is_closed());
    assert_eq!(pair.client.closed(), Some(CloseReason::PeerRestarted));
    assert!(!pair.server_events.iter().any(|event| matches!(event, Event::Opened(_))));
}

/// As in kcp-go: the stream is opened again, undetected.
#[test]
fn without_probes_a_lost_session_is_started_again() {
    let (mut pair, _) = half_known(false);
    pair.run_for(10 * SECOND);
    assert!(pair.server_events.iter().any(|event| matches!(event, Event::Opened(_))));
    assert!(!pair.client.is_closed() && !pair.accepted().is_closed());
}
