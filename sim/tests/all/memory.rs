//! The memory of a run does not grow with simulated time. Measured in a separate process.

use crate::common::scenario;
use serde_json::json;

const DAY_SECONDS: u64 = 24 * 3_600;

/// Most memory the process ever had, in KiB, as Linux counts it.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

/// Messages over a rough line, for that many seconds.
fn play(seconds: u64) {
    let link = json!({
        "loss_pct": 2, "loss_burst_packets": 2, "rate_kbit": 10000, "queue_bytes": 100000, "delay_ms": 20,
        "wander_ms": 20, "wander_correlation_ms": 10000, "reorder_pct": 1, "reorder_delay_ms": 30,
        "duplicate_pct": 1, "corrupt_pct": 1
    });
    let outcome = sim::play(
        &scenario(&json!({
            "name": "day", "description": "Messages for a long time.", "seed": 1, "duration_ms": seconds * 1_000,
            "links": { "up": link, "down": link },
            "hosts": { "client": { "clock_offset_ms": "wrap", "stalls": [{ "every_ms": 60000, "for_ms": 300 }] } },
            "workloads": [{ "echo": { "name": "echo", "message_bytes": 400, "interval_ms": 1000 } }]
        })),
        1,
    );
    assert!(outcome.ok && outcome.sim_us >= seconds * 1_000_000, "{:?}", outcome.violations);
}

#[test]
fn memory_does_not_grow_with_simulated_time() {
    let alone = ["--exact", "--ignored", "memory::four_days_take_no_more_memory_than_one"];
    let program = std::env::current_exe().expect("the test program has a path");
    let output = std::process::Command::new(program).args(alone).output().expect("it starts again");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "memory_does_not_grow_with_simulated_time runs it in a process of its own"]
fn four_days_take_no_more_memory_than_one() {
    // Pages of the program count, too, when its code first runs; the meter's own code as well.
    play(900);
    peak_kib();
    play(DAY_SECONDS);
    let before_kib = peak_kib();
    play(4 * DAY_SECONDS);
    let grown_kib = peak_kib() - before_kib;
    assert!(grown_kib < 1_024, "{before_kib} KiB, and {grown_kib} more");
    // The meter works.
    let held = vec![1_u8; 64 << 20];
    assert!(peak_kib() - before_kib > 32 << 10, "{}", held.len());
}
