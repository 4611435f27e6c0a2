//! Tunnels in the mode `auto`: with each other, with other modes, and their limits.

use crate::pair::{Pair, pattern};
use engine::options::{Governor, Mode, Side};
use engine::{Entropy, Instant, Settings, Tunnel};
use std::sync::Arc;
use std::time::Duration;

fn auto(side: Side) -> Settings {
    Settings::new(side, Mode::Auto)
}

fn incompressible(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u8
    };
    (0..len).map(|_| next()).collect()
}

// CC-1
#[test]
fn either_end_may_use_any_mode() {
    let data = pattern(300_000);
    for (client, server) in [
        (auto(Side::Client), auto(Side::Server)),
        (auto(Side::Client), Settings::server()),
        (Settings::client(), auto(Side::Server)),
    ] {
        let mut pair = Pair::new((client, server));
        assert!(pair.upload(&data, Duration::from_secs(20)) == data);
    }
}

// CC-9
#[test]
fn shards_are_expected_and_not_sent() {
    let data = incompressible(2_000_000);
    let mut pair = Pair::new((auto(Side::Client), Settings { mode: Mode::Fast, ..Settings::server() }));
    pair.upload(&data, Duration::from_secs(20));
    let (client, server) = (pair.client.stats(), pair.accepted().stats());
    assert_eq!(server.fec_parity_shards, 0);
    assert!(client.fec_parity_shards > 0);
}

// CC-10
#[test]
fn the_rate_limit_holds() {
    let ratelimit = 200_000;
    let mut pair = Pair::new((Settings { ratelimit, ..auto(Side::Client) }, auto(Side::Server)));
    let data = incompressible(900_000);
    let started = pair.now;
    pair.upload(&data, Duration::from_secs(20));
    let us = pair.now.since(started).as_micros() as u64;
    let bytes = pair.client.stats().out_bytes;
    assert!(bytes <= 96_000 + 200_000 * us / 1_000_000, "{bytes} bytes in {us} us");
    assert!(pair.client.arq().control_state().unwrap().pacing_bytes_s <= 200_000);
}

// CC-12
#[test]
fn bulk_shows_as_a_burden() {
    let mut pair = Pair::new((auto(Side::Client), auto(Side::Server)));
    assert!(!pair.client.burden(pair.now).bulk);
    pair.upload(&pattern(2_000_000), Duration::from_secs(20));
    assert!(pair.client.burden(pair.now).bulk);
    pair.run_for(Duration::from_secs(15));
    assert!(!pair.client.burden(pair.now).bulk);
}

/// What is due cannot leave before the rate limit allows it, so no deadline lies in the past.
// CC-10
#[test]
fn deadlines_wait_for_the_rate_limit() {
    let mut pair = Pair::new((Settings { ratelimit: 3_000, ..auto(Side::Client) }, auto(Side::Server)));
    let id = pair.client.open_stream(pair.now).unwrap();
    for piece in incompressible(60_000).chunks(1_000) {
        let _ = pair.client.write(pair.now, id, piece);
        pair.drain();
        pair.run_for(Duration::from_millis(7));
        let deadline = pair.client.poll_timeout().unwrap();
        assert!(deadline.at > pair.now, "{deadline:?} at {:?}", pair.now);
    }
}

// CC-17, CC-19
#[test]
fn every_mode_is_governed_by_default_and_auto_cannot_be_without() {
    let fast = Settings::client();
    let kcptun = Settings { governor: Governor::Off, ..fast.clone() };
    let (governed, reference) = (fast.tunnel_config().unwrap(), kcptun.tunnel_config().unwrap());
    assert!(governed.governed && !governed.auto && !reference.governed);
    assert_eq!(governed.segment_bytes_max(), reference.segment_bytes_max(), "both send shards");
    let control = |config| {
        let to = "192.0.2.1:29900".parse().unwrap();
        Tunnel::connect(&Arc::new(config), Instant::ZERO, to, Entropy::from_seed([1; 32]))
            .arq()
            .control_state()
    };
    assert!(control(governed).is_some() && control(reference).is_none());
    let refused = Settings { governor: Governor::Off, ..auto(Side::Client) }.tunnel_config().unwrap_err();
    assert_eq!(refused.flag, "governor");
}
