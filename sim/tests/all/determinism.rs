//! The same scenario and seed give the same run; another scenario or seed gives another run.

use crate::common::{rough, scenario};
use serde_json::json;
use sim::play;

#[test]
fn the_same_seed_gives_the_same_outcome() {
    let scenario = scenario(&rough());
    let first = play(&scenario, 5);
    assert!(first.ok, "{:?}", first.violations);
    assert_eq!(first, play(&scenario, 5));
}

#[test]
fn another_seed_gives_another_trace() {
    let scenario = scenario(&rough());
    let hashes: Vec<u64> = (1..=3).map(|seed| play(&scenario, seed).trace_hash).collect();
    assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2] && hashes[0] != hashes[2], "{hashes:x?}");
}

#[test]
fn another_scenario_gives_another_trace() {
    let mut file = rough();
    let before = play(&scenario(&file), 5).trace_hash;
    file["links"]["up"]["delay_ms"] = json!("15.001");
    assert_ne!(before, play(&scenario(&file), 5).trace_hash);
}
