//! A stalled reader does not block other streams (SMUX-27, SMUX-28).
use crate::pair::{Pair, both, pattern};
use engine::mux::{ReadError, WriteError};
use engine::{Event, StreamId};
use std::time::Duration;

/// Writes as much as possible at the client for `time`; the server does not read.
fn push(pair: &mut Pair, id: StreamId, time: Duration) {
    let data = pattern(100_000);
    let until = pair.now + time;
    while pair.now < until {
        while pair.client.write(pair.now, id, &data).is_ok() {}
        pair.run_for(Duration::from_millis(5));
    }
}

/// Whether 1,000 bytes on `id` reach the server's reader within `time`.
fn gets_through(pair: &mut Pair, id: StreamId, time: Duration) -> bool {
    pair.client.write(pair.now, id, &pattern(1000)).unwrap();
    let until = pair.now + time;
    let mut read = 0;
    while read < 1000 && pair.now < until {
        pair.run_for(Duration::from_millis(5));
        let now = pair.now;
        let got = pair.accepted().read(now, id, &mut [0; 4096]);
        read += got.or_else(|error| (error == ReadError::Blocked).then_some(0).ok_or(error)).unwrap();
    }
    read == 1000
}

fn two_streams(pair: &mut Pair) -> (StreamId, StreamId) {
    let ids = (pair.client.open_stream(pair.now).unwrap(), pair.client.open_stream(pair.now).unwrap());
    pair.run_for(Duration::from_millis(200));
    ids
}

/// SMUX-27
#[test]
fn other_streams_continue_at_once_if_both_ends_pause_streams() {
    for smuxver in [1, 2] {
        let mut pair = Pair::new(both(|s| (s.smuxver, s.smuxbuf, s.streambuf) = (smuxver, 1 << 20, 1 << 20)));
        let (stopped, lively) = two_streams(&mut pair);
        push(&mut pair, stopped, Duration::from_secs(15));
        assert!(gets_through(&mut pair, lively, Duration::from_millis(300)), "version {smuxver}");
        let now = pair.now;
        assert_eq!(pair.accepted().blocked_for(now), Duration::ZERO);
        assert_eq!(pair.accepted().stats().streams_cut, 0);
        assert!(pair.accepted().peek(stopped).is_ok(), "and the stopped one can go on");
    }
}

/// SMUX-28
#[test]
fn toward_others_the_stopped_stream_is_given_up() {
    let (client, server) = both(|s| (s.smuxver, s.smuxbuf, s.streambuf) = (1, 1 << 20, 1 << 20));
    let mut client = client.tunnel_config().unwrap();
    (client.mux.announce, client.mux.half_close) = (false, false);
    let mut pair = Pair::with_configs(client, server.tunnel_config().unwrap());
    let (stopped, lively) = two_streams(&mut pair);
    push(&mut pair, stopped, Duration::from_secs(5));
    assert!(!gets_through(&mut pair, lively, Duration::from_secs(3)), "the session should stand still");
    let now = pair.now;
    assert!(pair.accepted().blocked_for(now) > Duration::from_secs(4));
    assert!(pair.client.blocked_for(now) > Duration::from_secs(2), "its peer sees a closed window");
    pair.run_for(Duration::from_secs(8));
    assert!(pair.server_events.contains(&Event::Cut(stopped)));
    let now = pair.now;
    assert_eq!(pair.accepted().write(now, stopped, b"x"), Err(WriteError::UnknownStream));
    assert!(gets_through(&mut pair, lively, Duration::from_millis(500)));
}

/// SMUX-28: a slow reader is not stalled, and a lone stream blocks no other.
#[test]
fn slow_readers_and_lone_streams_are_not_closed() {
    for lonely in [false, true] {
        let (client, server) = both(|s| (s.smuxver, s.smuxbuf, s.streambuf) = (1, 1 << 20, 1 << 20));
        let mut client = client.tunnel_config().unwrap();
        (client.mux.announce, client.mux.half_close) = (false, false);
        let mut pair = Pair::with_configs(client, server.tunnel_config().unwrap());
        let (slow, other) = two_streams(&mut pair);
        if lonely {
            pair.client.close_stream(pair.now, other);
            pair.run_for(Duration::from_millis(200));
            let now = pair.now;
            pair.accepted().close_stream(now, other);
        }
        for _ in 0..8 {
            push(&mut pair, slow, Duration::from_secs(3));
            let now = pair.now;
            if !lonely {
                assert!(pair.accepted().read(now, slow, &mut [0; 100]).unwrap() > 0);
            }
        }
        assert_eq!(pair.accepted().stats().streams_cut, 0, "lonely: {lonely}");
    }
}
