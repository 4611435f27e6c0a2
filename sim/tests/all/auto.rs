//! Congestion control of `--mode auto` over links that a fixed window would overfill or underuse.

use serde_json::{Value, json};
use sim::record::EventKind;
use sim::{Outcome, Scenario, Side, World, play};

fn line(mode: &str, down: Value) -> Outcome {
    let file = json!({
        "name": "line", "description": "A download and an echo.", "seed": 1, "duration_ms": 20000,
        "links": {
            "up": { "mtu_bytes": 1500, "delay_ms": 20, "rate_kbit": 20000, "queue_packets": 100 },
            "down": down
        },
        "client": { "mode": mode }, "server": { "mode": mode },
        "workloads": [
            { "bulk": { "name": "download", "direction": "down" } },
            { "echo": { "name": "echo", "message_bytes": 64, "interval_ms": 20 } }
        ]
    });
    let outcome = play(&Scenario::parse("line.json", &file.to_string()).expect("a scenario"), 1);
    assert!(outcome.ok, "{:?}", outcome.violations);
    outcome
}

fn kbit(outcome: &Outcome) -> u64 {
    outcome.workloads.iter().find_map(|work| work.goodput_kbit()).expect("a download")
}

fn echo_p50_us(outcome: &Outcome) -> u64 {
    outcome.workloads.iter().find_map(|work| work.latency()).expect("an echo").p50
}

fn wire_per_useful(outcome: &Outcome) -> f64 {
    outcome.links.down.sent_bytes as f64 / outcome.useful_bytes.down as f64
}

// CC-11
#[test]
fn random_loss_does_not_reduce_the_rate() {
    let outcome = line(
        "auto",
        json!({ "mtu_bytes": 1500, "delay_ms": 20, "rate_kbit": 20000, "queue_packets": 100, "loss_pct": 10 }),
    );
    assert!(kbit(&outcome) > 17_000, "{} kbit/s", kbit(&outcome));
    let share = wire_per_useful(&outcome);
    assert!(share < 1.13 * 1.08, "{share} bytes per useful byte");
}

/// A burst is one event: a few of them in a hundred segments are no congestion.
// CC-22
#[test]
fn bursts_of_random_loss_do_not_reduce_the_rate() {
    let outcome = line(
        "auto",
        json!({
            "mtu_bytes": 1500, "delay_ms": 20, "rate_kbit": 50000, "queue_packets": 45, "loss_pct": 3,
            "loss_burst_packets": 5
        }),
    );
    assert!(kbit(&outcome) > 43_000, "{} kbit/s", kbit(&outcome));
}

/// The loss of the first rounds does not depend on the rate, and ends no startup.
// CC-22
#[test]
fn heavy_loss_does_not_end_the_startup() {
    let link = json!({
        "mtu_bytes": 1500, "delay_ms": 90, "rate_kbit": 20000, "queue_packets": 200, "loss_pct": 20,
        "loss_burst_packets": 3
    });
    let outcome = long_line(10_000, link);
    assert!(kbit(&outcome) > 10_000, "{} kbit/s", kbit(&outcome));
}

/// A window of 8,192 segments is three and a half paths here, and a segment may be lost three times.
// CC-23
#[test]
fn a_long_fat_path_is_filled_in_spite_of_loss() {
    let link = json!({
        "mtu_bytes": 1500, "delay_ms": 150, "rate_kbit": 100_000, "queue_packets": 2_700, "loss_pct": 3
    });
    let outcome = long_line(20_000, link);
    assert!(kbit(&outcome) > 74_000, "{} kbit/s", kbit(&outcome));
}

/// A download over such a link in both directions.
fn long_line(duration_ms: u64, link: Value) -> Outcome {
    let file = json!({
        "name": "line", "description": "A download.", "seed": 1, "duration_ms": duration_ms,
        "links": { "up": link, "down": link },
        "client": { "mode": "auto" }, "server": { "mode": "auto" },
        "workloads": [{ "bulk": { "name": "download", "direction": "down" } }]
    });
    let outcome = play(&Scenario::parse("line.json", &file.to_string()).expect("a scenario"), 1);
    assert!(outcome.ok, "{:?}", outcome.violations);
    outcome
}

/// What a policer drops depends on the rate: making up for that would lose ever more.
// CC-11
#[test]
fn loss_that_depends_on_the_rate_is_congestion() {
    let outcome = line(
        "auto",
        json!({
            "mtu_bytes": 1500, "delay_ms": 20, "rate_kbit": 100000, "queue_packets": 1000,
            "police_kbit": 8000, "police_burst_bytes": 64000
        }),
    );
    let share = wire_per_useful(&outcome);
    assert!(share < 1.50, "{share} bytes per useful byte");
    assert!(kbit(&outcome) > 5_000, "{} kbit/s", kbit(&outcome));
}

/// kcptun's default stream window is two paths here, so that the sender waits for it after each loss.
// CC-16
#[test]
fn a_sender_that_waits_for_its_peer_does_not_flood_the_line() {
    let link = json!({
        "mtu_bytes": 1500, "delay_ms": 40, "rate_kbit": 100_000, "queue_packets": 100, "loss_pct": 2
    });
    let file = json!({
        "name": "line", "description": "A download by a peer with kcptun's windows.", "seed": 1,
        "duration_ms": 10000,
        "links": { "up": link, "down": link },
        "client": { "mode": "fast2", "rcvwnd": 8192 }, "server": { "mode": "auto" },
        "workloads": [{ "bulk": { "name": "download", "direction": "down" } }]
    });
    let outcome = play(&Scenario::parse("line.json", &file.to_string()).expect("a scenario"), 1);
    assert!(outcome.ok, "{:?}", outcome.violations);
    let share = wire_per_useful(&outcome);
    assert!(share < 1.25, "{share} bytes per useful byte");
}

// CC-12
#[test]
fn bulk_and_echo_have_sessions_of_their_own() {
    let clean =
        json!({ "mtu_bytes": 1500, "delay_ms": 20, "rate_kbit": 20000, "queue_packets": 100, "loss_pct": 3 });
    let (auto, fast) = (line("auto", clean.clone()), line("fast3", clean));
    assert_eq!((auto.sessions.dials, fast.sessions.dials), (2, 1));
    let (apart, together) = (echo_p50_us(&auto), echo_p50_us(&fast));
    assert!(apart < 46_000 && together > 60_000, "{apart} us apart, {together} together");
}

/// What the applications of a scenario read from three to eight seconds after `change_ms`, kbit/s.
fn kbit_after(name: &str, change_ms: u64) -> u64 {
    let file = format!("{}/../scenarios/auto-changes/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let scenario = Scenario::parse(name, &std::fs::read_to_string(&file).expect(&file)).expect(name);
    let mut world = World::new(&scenario, 1);
    world.record(false);
    while world.step() {}
    let seconds = (change_ms + 3_000) * 1_000..(change_ms + 8_000) * 1_000;
    let events = world.recorder().expect("a recorder").take_events();
    let read =
        events.iter().filter(|event| seconds.contains(&event.t)).filter_map(|event| match &event.kind {
            EventKind::Read(span) if span.side == Side::Client => Some(span.len),
            _ => None,
        });
    let outcome = world.finish();
    assert!(outcome.ok, "{name}: {:?}", outcome.violations);
    read.map(|len| len as u64).sum::<u64>() * 8 / 5_000
}

// CC-14
#[test]
fn a_change_of_the_line_is_followed_within_three_seconds() {
    for (name, change_ms, rate_kbit) in [("rate-halves", 15_000, 10_000), ("blackout", 20_000, 20_000)] {
        let kbit = kbit_after(name, change_ms);
        assert!(kbit >= rate_kbit * 92 / 100, "{name}: {kbit} kbit/s");
    }
    // Growth is slower: seven tenths of the rate.
    let kbit = kbit_after("rate-fourfold", 15_000);
    assert!(kbit >= 40_000 * 70 / 100, "rate-fourfold: {kbit} kbit/s");
    let kbit = kbit_after("loss-rises", 15_000);
    assert!(kbit >= 20_000 * 85 / 100 * 92 / 100, "loss-rises: {kbit} kbit/s");
}
