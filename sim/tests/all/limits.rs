//! Bounds of memory and windows: the rules hold in runs with impairments, and each of them can be broken.

use crate::common::{play, rough, scenario};
use engine::arq::State;
use serde_json::{Value, json};
use sim::check::{Limits, TunnelLimits};
use sim::{Scenario, World};

fn limits() -> TunnelLimits {
    Limits::new(&scenario(&rough())).client
}

/// A state that fills every limit exactly.
fn full(limits: &TunnelLimits) -> State {
    let snd_buf = limits.windows.snd_wnd;
    State {
        snd_una: u32::MAX - 9,
        snd_nxt: (u32::MAX - 9).wrapping_add(snd_buf),
        snd_buf: snd_buf as usize,
        snd_queue: limits.waiting_max - snd_buf as usize,
        rcv_queue: limits.rcv_queue_max,
        rcv_buf: limits.rcv_buf_max,
        acks: limits.acks_max,
        rmt_wnd: limits.windows.rmt_wnd_max,
        ..engine::arq::Arq::new(1, engine::Generation::Go2026).state()
    }
}

#[test]
fn limits_follow_from_the_settings() {
    let limits = limits();
    // 1350 - 20 (cipher) - 8 (FEC) - 24: 1298 bytes; a frame of 8192 + 16 + 26 bytes takes seven segments.
    assert_eq!((limits.windows.snd_wnd, limits.waiting_max), (128, 128 + 7 - 1));
    assert_eq!((limits.rcv_queue_max, limits.rcv_buf_max), (512, 512));
    assert_eq!((limits.windows.rmt_wnd_max, limits.acks_max, limits.stream_bytes_max), (1024, 55, 65_536));
    let decoded = 65_536 + 22 * 1298;
    assert_eq!(limits.bytes_max, (134 + 1024) * 1298 + decoded + 4_194_304 + 131_070);
}

#[test]
fn packet_limits_of_links_follow_from_their_plan() {
    // Per direction: 100,000 bytes of 52, one in transmission, and 20 Mbit/s for 22 ms, twice; sockets: 4 MiB of 24.
    let link = 100_000 / 52 + 1 + 2 * (440_000 / (8 * 52) + 2);
    let packets_max = Limits::new(&scenario(&rough())).packets_max;
    assert_eq!(packets_max, Some(2 * link + 2 * (4_194_304 / 24)));
    let mut file = rough();
    file["links"]["up"] = json!({});
    assert_eq!(Limits::new(&scenario(&file)).packets_max, None);
}

#[test]
fn a_delayed_or_older_side_may_owe_more_acknowledgements() {
    for (place, keys) in [
        ("client", json!({ "ratelimit": 1_000_000 })),
        ("client", json!({ "generation": "2021" })),
        ("hosts", json!({ "client": { "cpu_us_per_datagram": 1 } })),
        ("hosts", json!({ "client": { "stalls": [{ "at_ms": 5, "for_ms": 5 }] } })),
    ] {
        let mut file = rough();
        file[place] = keys;
        assert_eq!(Limits::new(&scenario(&file)).client.acks_max, 65_536, "{place}");
    }
}

#[test]
fn every_length_limit_is_checked_separately() {
    let (limits, full) = (limits(), full(&limits()));
    assert_eq!(limits.broken_by(&full, true), None);
    for (more, part) in [
        (State { snd_queue: full.snd_queue + 1, ..full }, "135 segments waiting"),
        (State { rcv_queue: full.rcv_queue + 1, ..full }, "513 segments in the receive queue"),
        (State { rcv_buf: full.rcv_buf + 1, ..full }, "513 segments out of order"),
        (State { acks: full.acks + 1, ..full }, "56 acknowledgements"),
    ] {
        let broken = limits.broken_by(&more, true).unwrap_or_default();
        assert!(broken.starts_with(part), "{broken}");
    }
}

#[test]
fn every_window_is_checked_separately() {
    let (limits, full) = (limits(), full(&limits()));
    assert_eq!(limits.window_broken_by(&full), None);
    for (broken, part) in [
        (State { snd_nxt: full.snd_nxt.wrapping_add(1), snd_buf: 129, ..full }, "129 segments in flight"),
        (State { snd_nxt: full.snd_una.wrapping_sub(1), ..full }, "-1 segments in flight"),
        (State { snd_buf: 127, ..full }, "128 segments in flight, but 127 in the send buffer"),
        (State { rmt_wnd: 1025, ..full }, "the peer announces 1025"),
    ] {
        let broken = limits.window_broken_by(&broken).unwrap_or_default();
        assert!(broken.starts_with(part), "{broken}");
    }
}

/// The rule and the words of the run's violation when `tighten` changed a limit.
#[track_caller]
fn goes_red(tighten: fn(&mut Limits), rule: &str, part: &str) {
    goes_red_in(&rough(), tighten, rule, part);
}

#[track_caller]
fn goes_red_in(file: &Value, tighten: fn(&mut Limits), rule: &str, part: &str) {
    let scenario: Scenario = scenario(file);
    let mut world = World::new(&scenario, 1);
    world.tighten(tighten);
    while world.step() {}
    let outcome = world.finish();
    let violation = outcome.violations.first().expect("a rule is broken");
    assert_eq!(violation.rule.name(), rule);
    assert!(violation.detail.contains(part), "{}", violation.detail);
}

#[test]
fn runs_are_held_to_every_limit() {
    play(&rough());
    goes_red(
        |limits| limits.server.waiting_max = 5,
        "memory",
        "segments waiting to be sent or acknowledged, more than 5",
    );
    goes_red(|limits| limits.client.rcv_buf_max = 3, "memory", "segments out of order, more than 3");
    goes_red(|limits| limits.client.acks_max = 0, "memory", "acknowledgements, more than 0");
    goes_red(|limits| limits.client.windows.snd_wnd = 9, "window", "segments in flight, not 0 to 9");
    goes_red(|limits| limits.server.windows.rmt_wnd_max = 511, "window", "segments, its window has 511");
    goes_red(|limits| limits.packets_max = Some(20), "memory", "packets on their way, more than 20");
    let bytes = |limits: &mut Limits| (limits.server.bytes_max, limits.server.stream_bytes_max) = (1, 1);
    goes_red(bytes, "memory", "bytes queued, more than");
}

/// Readers that stop fill the multiplexer's buffer, and then the ARQ's window.
#[test]
fn the_receive_queue_behind_a_stopped_reader_is_bounded() {
    let mut file = rough();
    let keys = json!({ "mode": "fast3", "rcvwnd": 64, "smuxbuf": 8192, "streambuf": 8192, "smuxver": 2 });
    (file["client"], file["server"]) = (keys.clone(), keys);
    file["duration_ms"] = json!(4000);
    let stalls = json!({ "name": "stalled", "stall_after_ms": 500, "stall_for_ms": 2000 });
    file["workloads"] = json!([{ "stalled_reader": stalls }]);
    play(&file);
    let words = "segments in the receive queue, more than 0";
    goes_red_in(&file, |limits| limits.client.rcv_queue_max = 0, "memory", words);
}
