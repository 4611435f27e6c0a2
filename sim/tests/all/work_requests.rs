//! Workloads of messages and their replies: requests, keystrokes, bursts, late replies, game ticks.

use crate::common::{play, rough};
use serde_json::{Value, json};
use sim::outcome::{Activity, Outcome};

/// Plays one workload over the link with impairments; returns its outcome.
fn over_the_rough_line(workload: &Value, duration_ms: u64) -> (Outcome, Activity) {
    let mut file = rough();
    file["duration_ms"] = json!(duration_ms);
    file["workloads"] = json!([workload]);
    let outcome = play(&file);
    let activity = outcome.workloads[0].activity().expect("a workload of messages").1.clone();
    (outcome, activity)
}

#[test]
fn requests_follow_each_other_until_all_are_answered() {
    let keys =
        json!({ "name": "api", "request_bytes": 300, "response_bytes": 5000, "think_ms": 20, "count": 25 });
    let (outcome, api) = over_the_rough_line(&json!({ "request_response": keys }), 60_000);
    assert_eq!((api.begun, api.done, api.lost, api.streams_opened, api.streams_completed), (25, 25, 0, 1, 1));
    assert_eq!((api.bytes_up, api.bytes_down), (25 * 300, 25 * 5000));
    assert_eq!((outcome.useful_bytes.up, outcome.useful_bytes.down), (7_500, 125_000));
    assert!(api.latency_us.min >= 30_000 && api.latency_us.count == 25, "{:?}", api.latency_us);
    assert!(outcome.sim_us > 24 * 50_000, "thinks in between: {}", outcome.sim_us);
}

#[test]
fn requests_without_a_count_end_with_the_sources() {
    let keys = json!({ "name": "api", "response_bytes": 100 });
    let (outcome, api) = over_the_rough_line(&json!({ "request_response": keys }), 1_000);
    assert!(api.begun > 5 && api.done == api.begun, "{api:?}");
    assert!((1_000_000..3_000_000).contains(&outcome.sim_us), "{}", outcome.sim_us);
}

#[test]
fn keystrokes_are_irregular_and_all_are_echoed() {
    let keys = json!({ "name": "ssh", "interval_ms": 80 });
    let (_, ssh) = over_the_rough_line(&json!({ "typing": keys }), 10_000);
    assert!((40..160).contains(&ssh.begun), "{ssh:?}");
    assert_eq!((ssh.done, ssh.bytes_up, ssh.bytes_down), (ssh.begun, ssh.begun * 36, ssh.begun * 52));
    assert!(ssh.latency_us.min >= 30_000, "{:?}", ssh.latency_us);
}

#[test]
fn bursts_arrive_completely_after_long_idle_times() {
    let keys = json!({ "name": "burst", "idle_ms": 25_000, "burst_bytes": 200_000, "count": 3 });
    let (outcome, burst) = over_the_rough_line(&json!({ "idle_then_burst": keys }), 100_000);
    assert_eq!((burst.done, burst.bytes_down, burst.streams_reset), (3, 600_000, 0));
    assert!(outcome.sim_us > 50_000_000, "{}", outcome.sim_us);
}

#[test]
fn a_late_reply_to_an_ended_request_arrives_whole() {
    let keys = json!({
        "name": "late", "request_bytes": 1000, "response_bytes": 80_000, "response_after_ms": 12_000, "count": 2
    });
    let (_, late) = over_the_rough_line(&json!({ "half_close": keys }), 100_000);
    assert_eq!((late.done, late.bytes_up, late.bytes_down), (2, 2_000, 160_000));
    assert_eq!(late.streams_completed, 2);
    assert!(late.latency_us.min >= 12_000_000, "{:?}", late.latency_us);
}

#[test]
fn a_game_sends_both_ways_and_is_timed_one_way() {
    let keys = json!({ "name": "game", "interval_ms": 20, "up_bytes": 60, "down_bytes": 200 });
    let (_, game) = over_the_rough_line(&json!({ "game_ticks": keys }), 3_000);
    let one_way = game.one_way_us.expect("both ways are timed");
    assert!((140..=151).contains(&one_way.up.count), "{one_way:?}");
    assert!((140..=151).contains(&one_way.down.count), "{one_way:?}");
    assert_eq!(game.done, one_way.up.count + one_way.down.count);
    assert_eq!((game.bytes_up, game.bytes_down), (60 * one_way.up.count, 200 * one_way.down.count));
    assert!(one_way.up.min >= 15_000 && one_way.up.p50 < 60_000, "{one_way:?}");
}
