//! Small scenarios, and a single link, for tests.
#![allow(dead_code, reason = "every test file uses its own part")]

pub(crate) mod line;

use serde_json::{Value, json};
use sim::{Outcome, Scenario};
use std::path::PathBuf;

/// A line with every fault, both ways, and one workload of each kind; about a second long.
pub(crate) fn rough() -> Value {
    let link = json!({
        "mtu_bytes": 1500, "loss_pct": 3, "loss_burst_packets": 2, "rate_kbit": 20000, "queue_bytes": 100000,
        "delay_ms": 15, "jitter_ms": 3, "reorder_pct": 1, "reorder_delay_ms": 4, "duplicate_pct": 1
    });
    json!({
        "name": "rough", "description": "Every fault at once.", "seed": 1, "duration_ms": 20000,
        "links": { "up": link.clone(), "down": link },
        "client": { "mode": "fast3", "governor": "off", "sndwnd": 128 },
        "server": { "mode": "fast3", "governor": "off", "sndwnd": 128 },
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
    let outcome = sim::play(&scenario(file), 1);
    assert!(outcome.ok, "{:?}", outcome.violations);
    outcome
}

/// Every committed scenario file and its text. What has a `format` or a `$schema` is something else.
pub(crate) fn committed() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios"))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the scenarios can be listed") {
            let path = entry.expect("the scenarios can be listed").path();
            if path.is_dir() {
                folders.extend((!path.ends_with("golden")).then_some(path));
            } else if path.extension().is_some_and(|extension| extension == "json") {
                let text = std::fs::read_to_string(&path).expect("a scenario can be read");
                let json: Value = serde_json::from_str(&text).expect("a scenario is JSON");
                files.extend(json.get("format").or(json.get("$schema")).is_none().then_some((path, text)));
            }
        }
    }
    files
}
