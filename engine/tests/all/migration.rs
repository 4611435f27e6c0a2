//! Sessions follow their client, and no one else: an attacker sends copies of its datagrams from another address.

use crate::pair::{Pair, Racer, both, pattern, read_all};
use engine::StreamId;
use std::net::SocketAddr;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn attacker() -> SocketAddr {
    "203.0.113.66:666".parse().unwrap()
}

/// A racer, whose copies arrive `ms` ahead.
fn racer(ms: u64) -> Racer {
    Racer { address: attacker(), ahead: Duration::from_millis(ms) }
}

/// Downloads `len` bytes in a stream that was just opened; how long it took.
fn download(pair: &mut Pair, id: StreamId, len: usize) -> Duration {
    let (data, start) = (pattern(len), pair.now);
    let (mut written, mut got) = (0, Vec::new());
    pair.run_until(60 * SECOND, |pair| {
        let now = pair.now;
        if pair.session.is_some() {
            if written < len {
                written += pair.accepted().write(now, id, &data[written..]).unwrap_or(0);
            }
            read_all(&mut pair.client, now, id, &mut got);
        }
        got.len() == len
    });
    assert!(got == data);
    pair.now.since(start)
}

/// A pair with an open stream that was used in both directions.
fn established() -> (Pair, StreamId) {
    let mut pair = Pair::new(both(|s| s.nocomp = true));
    let id = pair.client.open_stream(pair.now).unwrap();
    pair.client.write(pair.now, id, b"hello").unwrap();
    pair.run_for(SECOND / 2);
    (pair, id)
}

fn astray(pair: &Pair) -> u64 {
    pair.astray.get(&attacker()).copied().unwrap_or(0)
}

// KCP-24
#[test]
fn a_racer_does_not_take_a_session_over() {
    for ms in [1, 20, 100, 400] {
        let (mut pair, id) = established();
        pair.racer = Some(racer(ms));
        download(&mut pair, id, 1_000_000);
        assert_eq!(pair.accepted().peer(), pair.client_address, "{ms} ms ahead");
        assert_eq!(pair.accepted().stats().migrations, 0, "{ms} ms ahead");
        assert!(astray(&pair) <= 3 * pair.raced, "{ms} ms: {} for {}", astray(&pair), pair.raced);
        assert!(astray(&pair) < 20_000, "{ms} ms ahead: {}", astray(&pair));
    }
}

// KCP-24: the client is silent for long before each datagram, so that only the original shows that it is where it was.
#[test]
fn a_racer_does_not_take_over_a_client_that_was_idle() {
    let (mut pair, id) = established();
    pair.racer = Some(racer(20));
    for _ in 0..10 {
        pair.run_for(5 * SECOND);
        pair.client.write(pair.now, id, b"key").unwrap();
        let begun = pair.now;
        download(&mut pair, id, 100);
        assert!(pair.now.since(begun) < SECOND / 5, "{:?}", pair.now.since(begun));
    }
    assert_eq!((pair.accepted().stats().migrations, pair.accepted().peer()), (0, pair.client_address));
}

// KCP-24, KCP-34
#[test]
fn a_racer_from_the_first_datagram_on_locks_nobody_out() {
    for ms in [1, 20, 100] {
        let mut pair = Pair::new(both(|s| s.nocomp = true));
        pair.racer = Some(racer(ms));
        let id = pair.client.open_stream(pair.now).unwrap();
        pair.client.write(pair.now, id, b"hello").unwrap();
        let took = download(&mut pair, id, 300_000);
        assert!(took < 3 * SECOND, "{ms} ms ahead: {took:?}");
        assert_eq!((pair.server.session_count(), pair.accepted().peer()), (1, pair.client_address));
        assert!(astray(&pair) <= 3 * pair.raced && astray(&pair) < 20_000, "{ms} ms: {}", astray(&pair));
    }
}

// KCP-24: what a relay between attacker and client had moved does not stay with the attacker once it stops relaying.
#[test]
fn a_racer_that_stops_relaying_holds_a_session_for_seconds_at_most() {
    let mut pair = Pair::new(both(|s| s.nocomp = true));
    pair.racer = Some(racer(20));
    pair.relayed = Some(attacker());
    let id = pair.client.open_stream(pair.now).unwrap();
    pair.client.write(pair.now, id, b"hello").unwrap();
    download(&mut pair, id, 100_000);
    pair.relayed = None;
    let took = download(&mut pair, id, 100_000);
    assert!(took < 6 * SECOND, "{took:?}");
    assert_eq!(pair.accepted().peer(), pair.client_address);
}

// KCP-24: whatever moves, streams continue within half a second.
#[test]
fn a_download_continues_within_half_a_second_of_an_address_change() {
    for (delay_ms, limit_ms) in [(5, 400), (30, 500), (80, 700)] {
        let (mut pair, id) = established();
        pair.delay = Duration::from_millis(delay_ms);
        download(&mut pair, id, 1_000_000);
        pair.client_address.set_port(4322);
        let took = download(&mut pair, id, 1_000);
        assert!(took < Duration::from_millis(limit_ms), "one way {delay_ms} ms: {took:?}");
        assert_eq!(pair.accepted().peer(), pair.client_address);
    }
}

// KCP-24: an attacker races a client whose port changes; it must not keep the session from following.
#[test]
fn a_racer_does_not_hold_a_client_that_moves() {
    for ms in [1, 20, 100] {
        let (mut pair, id) = established();
        pair.racer = Some(racer(ms));
        download(&mut pair, id, 200_000);
        pair.client_address.set_port(4322);
        pair.client.write(pair.now, id, b"moved").unwrap();
        let took = download(&mut pair, id, 200_000);
        assert!(took < 5 * SECOND, "{ms} ms ahead: {took:?}");
        assert_eq!(pair.accepted().peer(), pair.client_address);
        assert!(astray(&pair) < 40_000, "{}", astray(&pair));
    }
}

// KCP-24: replays with the old address as their source delay a move by about a second at most.
#[test]
fn replays_from_the_old_address_do_not_hold_the_session_there() {
    let (mut pair, id) = established();
    let old = pair.client_address;
    let mut out = [0; 1500];
    pair.client.write(pair.now, id, b"recorded").unwrap();
    let transmit = pair.client.poll_transmit(pair.now, &mut out).unwrap();
    let recorded = out[..transmit.len].to_vec();
    pair.deliver_to_server(&mut recorded.clone());
    pair.run_for(SECOND);
    pair.client_address.set_port(4322);
    let begun = pair.now;
    let mut next = pair.now;
    let mut got = Vec::new();
    pair.client.write(pair.now, id, b"moved").unwrap();
    pair.accepted().write(begun, id, &[9; 50_000]).unwrap();
    pair.run_until(10 * SECOND, |pair| {
        while next <= pair.now {
            next = next + Duration::from_millis(20);
            pair.deliver_from(old, &mut recorded.clone());
        }
        read_all(&mut pair.client, pair.now, id, &mut got);
        got.len() == 50_000
    });
    assert!(pair.now.since(begun) < 3 * SECOND, "{:?}", pair.now.since(begun));
    assert_eq!(pair.accepted().peer(), pair.client_address);
}

// KCP-24: a client may return to the address that it left.
#[test]
fn a_session_returns_to_the_address_before_the_last_move() {
    let (mut pair, id) = established();
    for port in [4322, 4321, 4322, 4321] {
        pair.client_address.set_port(port);
        pair.client.write(pair.now, id, b"here").unwrap();
        let took = download(&mut pair, id, 1_000);
        assert!(took < SECOND, "{took:?}");
        assert_eq!(pair.accepted().peer(), pair.client_address);
    }
}
