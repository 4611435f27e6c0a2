//! Parts of a scenario that are not applied in real time are reported with their path.

use lab::left_out::{Scope, left_out};
use sim::Scenario;
use std::path::Path;

const EVERYTHING: &str = r#"{
  "name": "all", "description": "Everything that has no twin.", "seed": 1, "duration_ms": 10000, "baseline": BASELINE,
  "links": { "up": {}, "down": {} },
  "client": { "generation": "2021" },
  "hosts": {
    "client": { "receive_buffer_bytes": 9000, "stalls": [ { "at_ms": 1, "for_ms": 1 } ], "timer_slack_ms": 1 },
    "server": { "cpu_us_per_datagram": 3, "clock_offset_ms": "wrap" }
  },
  "faults": FAULTS,
  "workloads": [ { "echo": { "name": "echo", "message_bytes": 64, "interval_ms": 20 } } ],
  "expect": { "latency_ms": { "echo": { "p50": 10 } } }
}"#;

fn text(baseline: &str, faults: &str) -> String {
    EVERYTHING.replace("BASELINE", baseline).replace("FAULTS", faults)
}

fn paths(text: &str, scope: Scope) -> Vec<String> {
    let scenario = Scenario::parse("all", text).unwrap();
    left_out(&scenario, scope).into_iter().map(|one| one.path).collect()
}

const FAULTS: &str = r#"[
    { "blackout": { "at_ms": 1, "for_ms": 1 } }, { "nat_rebinding": { "at_ms": 2 } },
    { "server_restart": { "at_ms": 3, "down_ms": 1 } }, { "client_restart": { "at_ms": 4, "down_ms": 1 } },
    { "clock_step": { "side": "client", "at_ms": 5, "by_ms": 100 } },
    { "stream_reset": { "side": "client", "at_ms": 6 } }
]"#;

#[test]
fn every_part_that_is_not_done_is_named() {
    let text = text("null", FAULTS);
    let hosts = [
        "hosts.client.receive_buffer_bytes",
        "hosts.client.timer_slack_ms",
        "hosts.server.cpu_us_per_datagram",
        "hosts.server.clock_offset_ms",
    ];
    let with_stalls = [&hosts[..1], &["hosts.client.stalls"], &hosts[1..]].concat();
    let restarts = ["faults[2].server_restart", "faults[3].client_restart"];
    let step = ["faults[4].clock_step", "faults[5].stream_reset"];
    let programs = [&step[..], &hosts, &["client.generation", "expect"]].concat();
    assert_eq!(paths(&text, Scope::Programs), programs);
    let tcp = [&restarts[..], &step, &with_stalls, &["client", "server", "expect"]].concat();
    assert_eq!(paths(&text, Scope::KernelTcp), tcp);
    let network = [&restarts[..], &step, &with_stalls, &["client", "server", "workloads", "expect"]].concat();
    assert_eq!(paths(&text, Scope::Network), network);
    assert!(paths(&self::text("\"cubic\"", "[]"), Scope::Programs).contains(&"baseline".to_owned()));
}

/// A scenario with only links, options and workloads is applied completely.
#[test]
fn a_plain_scenario_is_done_whole() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/reality/real-restart.json");
    let text = std::fs::read_to_string(file).unwrap();
    assert!(paths(&text, Scope::Programs).is_empty());
}
