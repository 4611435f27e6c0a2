//! The liveness bound: computed from the scenario, met by correct runs, and exceeded by faulty ones.

use crate::common::{play, rough, scenario};
use serde_json::{Value, json};
use sim::Outcome;
use sim::outcome::Bound;

const SECOND_US: u64 = 1_000_000;

/// One transfer over a link of 2 Mbit/s whose sources stop after half a second.
fn transfer(direction: &str, bytes: u64) -> Value {
    let link = json!({ "rate_kbit": 2000, "queue_bytes": 30000, "delay_ms": 20, "loss_pct": 1 });
    json!({
        "name": "transfer", "description": "One transfer.", "seed": 1, "duration_ms": 500,
        "links": { "up": link.clone(), "down": link },
        "client": { "mode": "fast2", "sndwnd": 32 }, "server": { "mode": "fast2", "sndwnd": 32 },
        "workloads": [{ "bulk": { "name": "bulk", "direction": direction, "bytes": bytes } }]
    })
}

fn bound(outcome: &Outcome) -> Bound {
    outcome.liveness.bound.expect("the bound is computed")
}

/// All links are cut at 400 ms and not restored, although the scenario heals at 450 ms.
#[track_caller]
fn goes_red(file: &Value) -> Outcome {
    let outcome = sim::play(&scenario(file), 1);
    let (liveness, violation) = (outcome.liveness, outcome.violations.first().expect("it must not pass"));
    assert_eq!((violation.rule.name(), violation.at_us), ("liveness", liveness.from_us + liveness.limit_us));
    assert_eq!(liveness.needed_us, None);
    assert!(violation.detail.contains("not done in time: bulk (within "), "{}", violation.detail);
    outcome
}

#[test]
fn a_healthy_run_needs_less_than_the_bound() {
    let outcome = play(&rough());
    let needed_us = outcome.liveness.needed_us.unwrap();
    assert_eq!(outcome.liveness.from_us + needed_us, outcome.sim_us);
    assert_eq!(outcome.liveness.limit_us, bound(&outcome).total_us());
    assert!(needed_us < outcome.liveness.limit_us && outcome.liveness.limit_us < 60 * SECOND_US);
}

#[test]
fn the_remainder_of_a_transfer_counts_as_outstanding() {
    let (small, large) = (play(&transfer("down", 200_000)), play(&transfer("down", 4_000_000)));
    assert!(large.liveness.needed_us.unwrap() > 16 * SECOND_US, "{:?}", large.liveness);
    assert!(bound(&large).transfer_us > 16 * SECOND_US && bound(&large).transfer_us < 80 * SECOND_US);
    assert!(bound(&small).total_us() < 20 * SECOND_US, "{}", bound(&small));
}

#[test]
fn a_session_that_ends_after_the_stop_still_delivers_the_whole_transfer() {
    let mut file = transfer("down", 400_000);
    file["faults"] = json!([{ "server_restart": { "at_ms": 499, "down_ms": 2000 } }]);
    let outcome = play(&file);
    assert!(outcome.sessions.dials == 2 && bound(&outcome).silence_us > 2 * SECOND_US);
}

#[test]
fn waits_of_the_work_itself_count() {
    let mut file = transfer("down", 1);
    file["workloads"] = json!([
        { "half_close": { "name": "late", "request_bytes": 10, "response_bytes": 10, "response_after_ms": 40000 } },
        { "stalled_reader": { "name": "pair", "stall_after_ms": 400, "stall_for_ms": 30000 } }
    ]);
    let outcome = play(&file);
    assert!(outcome.liveness.needed_us.unwrap() > 39 * SECOND_US);
    assert!((39 * SECOND_US..80 * SECOND_US).contains(&bound(&outcome).pauses_us), "{}", bound(&outcome));
}

#[test]
fn the_time_to_drain_of_the_scenario_overrides_the_bound() {
    let mut file = transfer("down", 10_000);
    file["drain_ms"] = json!(7_000);
    let liveness = play(&file).liveness;
    assert_eq!((liveness.limit_us, liveness.bound), (7 * SECOND_US, None));
}

#[test]
fn a_path_that_stays_cut_fails_within_the_bound() {
    let mut file = transfer("down", 400_000);
    file["faults"] = json!([{ "blackout": { "at_ms": 400, "for_ms": 50 } }]);
    assert!(play(&file).liveness.needed_us.unwrap() > SECOND_US);
    for side in ["up", "down"] {
        file["links"][side]["blackout"] = json!([[0, false], [400, true]]);
    }
    assert!(goes_red(&file).liveness.limit_us < 60 * SECOND_US);
}

/// As a receiver that accepts all segments and acknowledges none.
#[test]
fn missing_acknowledgements_fail_within_the_bound() {
    let mut file = transfer("up", 400_000);
    file["links"]["down"]["blackout"] = json!([[0, false], [400, true]]);
    let outcome = goes_red(&file);
    assert!(outcome.links.down.dropped_blackout > 10 && outcome.liveness.limit_us < 60 * SECOND_US);
}

#[test]
fn a_reader_that_never_resumes_fails_within_the_bound() {
    let mut file = transfer("down", 1);
    file["workloads"] =
        json!([{ "stalled_reader": { "name": "bulk", "stall_after_ms": 100, "stall_for_ms": 1000 } }]);
    let mut tampered = scenario(&file);
    play(&file);
    let sim::plan::WorkKind::StalledReader(plan) = &mut tampered.work[0].kind else {
        panic!("a stalled reader")
    };
    plan.stall_for_us = None;
    let outcome = sim::play(&tampered, 1);
    assert_eq!((outcome.ok, outcome.violations[0].rule.name()), (false, "liveness"));
    assert!(outcome.sim_us < 60 * SECOND_US, "{}", bound(&outcome));
}
