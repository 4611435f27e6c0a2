//! Workloads of many streams: short ones, pages, storms, and a stalled reader beside another one.

use crate::common;
use crate::common::{play, rough, scenario};
use serde_json::{Value, json};
use sim::World;
use sim::outcome::Activity;
use sim::plan::WorkKind;

fn over_the_rough_line(workload: &Value) -> Activity {
    let mut file = rough();
    file["workloads"] = json!([workload]);
    play(&file).workloads[0].activity().expect("a workload of streams").1.clone()
}

#[test]
fn every_short_stream_moves_its_bytes() {
    let keys = json!({ "name": "short", "interval_ms": 5, "count": 200, "response_bytes": 3000 });
    let short = over_the_rough_line(&json!({ "short_streams": keys }));
    assert_eq!(
        (short.begun, short.done, short.streams_opened, short.streams_completed),
        (200, 200, 200, 200)
    );
    assert_eq!((short.bytes_up, short.bytes_down), (200 * 200, 200 * 3000));
    assert!(short.latency_us.count == 200 && short.stream_us.min >= short.latency_us.min);
}

/// CLI-113: the greeting of SOCKS5, which the client answers, is a round trip of the link less.
#[test]
fn socks5_takes_a_round_trip_less_than_over_a_raw_tunnel() {
    let text = include_str!("../../../scenarios/workloads/socks.json");
    let outcome = play(&serde_json::from_str(text).unwrap());
    let p50_ms = |at: usize| {
        let activity = outcome.workloads[at].activity().unwrap().1;
        assert_eq!((activity.done, activity.begun), (40, 40), "{activity:?}");
        activity.latency_us.p50 / 1000
    };
    let [direct, socks, over_raw] = [0, 1, 2].map(p50_ms);
    assert!((95..110).contains(&(over_raw - socks)), "{direct} {socks} {over_raw}");
    assert!((95..110).contains(&(socks - direct)), "{direct} {socks} {over_raw}");
    assert!(outcome.ok, "{:?} {:?}", outcome.expectations, outcome.violations);
}

#[test]
fn pages_are_timed_from_the_first_request_to_the_last_object() {
    let keys = json!({
        "name": "web", "object_bytes_min": 500, "object_bytes_max": 20_000, "pages": 3, "think_ms": 100
    });
    let web = over_the_rough_line(&json!({ "page": keys }));
    assert_eq!((web.begun, web.done, web.streams_opened, web.streams_completed), (3, 3, 180, 180));
    assert_eq!(web.bytes_up, 180 * 400);
    assert!((180 * 500..180 * 20_000).contains(&web.bytes_down), "{web:?}");
    assert_eq!((web.latency_us.count, web.stream_us.count), (3, 180));
    let (page, object) = (web.latency_us, web.stream_us);
    assert!(object.p50 <= page.max && page.max <= object.max, "{web:?}");
}

#[test]
fn a_storm_of_streams_loses_no_byte() {
    let keys = json!({ "name": "storm", "interval_ms": 1, "count": 2000, "bytes": 100, "open_max": 5 });
    let storm = over_the_rough_line(&json!({ "storm": keys }));
    assert_eq!((storm.begun, storm.done, storm.streams_completed), (2000, 2000, 2000));
    assert_eq!((storm.bytes_up, storm.bytes_down), (200_000, 0));
}

fn stalled(version: u32) -> Value {
    let mut file = rough();
    file["duration_ms"] = json!(4000);
    for side in ["client", "server"] {
        file[side] = json!({
            "mode": "fast3", "sndwnd": 128, "smuxver": version, "smuxbuf": 262_144, "streambuf": 65_536
        });
    }
    let keys = json!({ "name": "pair", "stall_after_ms": 500, "stall_for_ms": 3000 });
    file["workloads"] = json!([{ "stalled_reader": keys }]);
    file
}

/// SMUX-27: in version 1 too, though there all streams share one buffer.
#[test]
fn a_stalled_reader_does_not_block_another() {
    for version in [1, 2] {
        let outcome = play(&stalled(version));
        let stall = outcome.workloads[0].activity().unwrap().1.stall.unwrap();
        assert!(
            stall.healthy_bytes > 500_000 && stall.healthy_gap_us < 500_000,
            "version {version}: {stall:?}"
        );
        assert!(stall.stalled_bytes > 0);
    }
}

#[test]
fn a_reader_that_never_resumes_is_a_broken_rule() {
    let mut scenario = common::scenario(&stalled(2));
    let WorkKind::StalledReader(plan) = &mut scenario.work[0].kind else { panic!("the stalled reader") };
    plan.stall_for_us = None;
    let outcome = sim::play(&scenario, 1);
    assert_eq!((outcome.ok, outcome.violations[0].rule.name()), (false, "liveness"));
    assert!(outcome.violations[0].detail.contains("not done in time: pair"), "{:?}", outcome.violations);
}

/// A stream holds no memory after its end, or after its session was lost.
#[test]
fn streams_that_are_over_are_forgotten() {
    let mut file = rough();
    file["duration_ms"] = json!(20_000);
    file["faults"] = json!([{ "client_restart": { "at_ms": 9000, "down_ms": 200 } }, { "server_restart": { "at_ms": 12_000, "down_ms": 200 } }]);
    file["workloads"] = json!([
        { "short_streams": { "name": "short", "interval_ms": 10, "response_bytes": 500 } },
        { "storm": { "name": "storm", "interval_ms": 10, "count": 1800, "bytes": 100, "open_max": 4 } }
    ]);
    let scenario = scenario(&file);
    let mut world = World::new(&scenario, 1);
    let mut most = 0;
    while world.step() {
        most = most.max(world.streams_remembered());
    }
    let left = world.streams_remembered();
    let outcome = world.finish();
    assert!(outcome.ok, "{:?}", outcome.violations);
    let opened: u64 =
        outcome.workloads.iter().filter_map(|work| Some(work.activity()?.1.streams_opened)).sum();
    assert!(opened > 3_000 && most < 300 && left < 10, "{opened} opened, {most} at a time, {left} left");
}
