//! Small scenarios for tests that play one.
#![allow(dead_code, reason = "every test file uses its own part")]

use serde_json::{Value, json};
use sim::{Outcome, Scenario, World};

/// A line with every fault, both ways, and one workload of each kind; about a second long.
pub(crate) fn rough() -> Value {
    let link = json!({
        "mtu_bytes": 1500, "loss_pct": 3, "loss_burst_packets": 2, "rate_kbit": 20000, "queue_bytes": 100000,
        "delay_ms": 15, "jitter_ms": 3, "reorder_pct": 1, "reorder_delay_ms": 4, "duplicate_pct": 1
    });
    json!({
        "name": "rough", "description": "Every fault at once.", "seed": 1, "duration_ms": 20000,
        "links": { "up": link.clone(), "down": link },
        "client": { "mode": "fast3", "sndwnd": 128 },
        "server": { "mode": "fast3", "sndwnd": 128 },
        "workloads": [
            { "bulk": { "name": "download", "direction": "down", "bytes": 600_000, "content": "text" } },
            { "bulk": { "name": "upload", "direction": "up", "bytes": 300_000, "start_ms": 20 } },
            { "echo": { "name": "echo", "message_bytes": 100, "interval_ms": 10 } }
        ]
    })
}

pub(crate) fn scenario(file: &Value) -> Scenario {
    Scenario::parse("test.json", &file.to_string()).expect("the test's scenario is valid")
}

/// Plays the file with seed 1; every rule must hold.
#[track_caller]
pub(crate) fn play(file: &Value) -> Outcome {
    let outcome = World::run(&scenario(file), 1);
    assert!(outcome.ok, "{:?}", outcome.violations);
    outcome
}
