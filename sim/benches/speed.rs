//! How fast the simulator is: `cargo bench -p sim --bench speed`.
//!
//! Each row is the best of a few runs on one thread. A datagram counts once, when it is sent. Words after `--` select
//! the rows that contain them.
#![allow(clippy::disallowed_macros, reason = "a benchmark prints its table")]

use serde_json::{Value, json};
use sim::{Outcome, Scenario, play};
use std::time::Duration;

const RUNS: u32 = 3;

fn main() {
    let plain = json!({ "crypt": "null", "datashard": 0, "parityshard": 0, "nocomp": true, "mode": "fast3" });
    println!(
        "{:<40} {:>10} {:>9} {:>12} {:>12}",
        "scenario", "datagrams", "wall ms", "datagrams/s", "target"
    );
    row("small datagrams, crypt null, no FEC", &small(&plain), Target::PerSecond(1_000_000));
    row("small datagrams, default settings", &small(&json!({ "mode": "fast3" })), Target::PerSecond(250_000));
    row("full datagrams, crypt null, no FEC", &full(&plain), Target::PerSecond(1_000_000));
    row("full datagrams, default settings", &full(&json!({ "mode": "fast3" })), Target::PerSecond(250_000));
    let adsl = include_str!("../../scenarios/lossy-adsl.json");
    row("lossy-adsl", &Scenario::parse("lossy-adsl.json", adsl).expect("committed"), Target::Ms(500));
}

enum Target {
    PerSecond(u64),
    Ms(u64),
}

/// A game: small messages both ways, many at a time.
fn small(options: &Value) -> Scenario {
    let work = |n| json!({ "game_ticks": { "name": format!("game {n}"), "interval_ms": 1, "up_bytes": 60, "down_bytes": 60 } });
    scenario(options, 10_000, &(0..10).map(work).collect())
}

/// A bulk transfer over a fast link.
fn full(options: &Value) -> Scenario {
    let work = json!([{ "bulk": { "name": "download", "direction": "down", "bytes": 100_000_000 } }]);
    scenario(options, 60_000, &work)
}

fn scenario(options: &Value, duration_ms: u64, work: &Value) -> Scenario {
    let mut side = options.clone();
    side["sndwnd"] = json!(1024);
    side["rcvwnd"] = json!(1024);
    let link = json!({ "delay_ms": 5, "rate_kbit": 2_000_000, "queue_packets": 4_000 });
    let file = json!({
        "name": "speed", "description": "A benchmark.", "seed": 1, "duration_ms": duration_ms,
        "links": { "up": link, "down": link }, "client": side, "server": side, "workloads": work
    });
    Scenario::parse("speed", &file.to_string()).expect("the benchmark's scenario is valid")
}

fn row(name: &str, scenario: &Scenario, target: Target) {
    if !is_wanted(name) {
        return;
    }
    let (outcome, wall) =
        (0..RUNS).map(|_| timed(scenario)).min_by_key(|(_, wall)| *wall).expect("some runs");
    assert!(outcome.ok, "{name}: {:?}", outcome.violations);
    let datagrams = outcome.links.up.sent_packets + outcome.links.down.sent_packets;
    let per_second = (datagrams as f64 / wall.as_secs_f64()) as u64;
    let target = match target {
        Target::PerSecond(least) => format!("{least}/s"),
        Target::Ms(most) => format!("{most} ms"),
    };
    println!("{name:<40} {datagrams:>10} {:>9} {per_second:>12} {target:>12}", wall.as_millis());
}

#[expect(clippy::disallowed_methods, reason = "the command line selects rows")]
fn is_wanted(name: &str) -> bool {
    let words: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    words.is_empty() || words.iter().any(|word| name.contains(word.as_str()))
}

#[expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "the benchmark measures real time")]
fn timed(scenario: &Scenario) -> (Outcome, Duration) {
    let start = std::time::Instant::now();
    let outcome = play(scenario, scenario.seed);
    (outcome, start.elapsed())
}
