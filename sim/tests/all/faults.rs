//! Faults: their effects, recovery, and invariants.

use crate::common::{play, scenario};
use serde_json::{Value, json};
use sim::Scenario;
use sim::outcome::{Outcome, WorkOutcome};

/// A quiet line with traffic of every kind that runs until the sources stop.
fn busy(duration_ms: u64, faults: &Value) -> Value {
    let link =
        json!({ "loss_pct": 1, "rate_kbit": 10000, "queue_bytes": 60000, "delay_ms": 25, "jitter_ms": 2 });
    json!({
        "name": "faults", "description": "Whatever the test needs.", "seed": 1, "duration_ms": duration_ms,
        "links": { "up": link.clone(), "down": link }, "faults": faults,
        "client": { "mode": "fast3" }, "server": { "mode": "fast3", "sndwnd": 128 },
        "workloads": [
            { "bulk": { "name": "download", "direction": "down", "bytes": 4_000_000 } },
            { "bulk": { "name": "upload", "direction": "up" } },
            { "echo": { "name": "echo", "message_bytes": 80, "interval_ms": 100 } },
            { "request_response": { "name": "api", "response_bytes": 3000, "think_ms": 100 } },
            { "game_ticks": { "name": "game", "interval_ms": 50, "up_bytes": 50, "down_bytes": 100 } },
            { "typing": { "name": "ssh", "interval_ms": 100 } },
            { "short_streams": { "name": "short", "interval_ms": 150, "response_bytes": 2000 } },
            { "page": { "name": "web", "objects": 20, "object_bytes_min": 100, "object_bytes_max": 4000, "pages": 1000, "think_ms": 300 } },
            { "half_close": { "name": "late", "request_bytes": 100, "response_bytes": 900, "response_after_ms": 700, "count": 1000 } },
            { "storm": { "name": "storm", "interval_ms": 20, "count": 100_000, "bytes": 40, "open_max": 4 } }
        ]
    })
}

/// Plays it with several seeds; every rule must hold.
#[track_caller]
fn survives(file: &Value, check: impl Fn(&Outcome)) {
    for seed in 2..=3 {
        let outcome = sim::play(&scenario(file), seed);
        assert!(outcome.ok, "seed {seed}: {:?}", outcome.violations);
        check(&outcome);
    }
}

fn recovery_us(outcome: &Outcome, fault: usize) -> [u64; 2] {
    let recovery = outcome.faults[fault].recovery_us;
    [recovery.up, recovery.down].map(|us| us.unwrap_or_else(|| panic!("{:?}", outcome.faults)))
}

fn download(outcome: &Outcome) -> (u64, u64, bool) {
    match &outcome.workloads[0] {
        WorkOutcome::Bulk(bulk) => (bulk.bytes_read, bulk.streams_reset, bulk.complete),
        other => panic!("{other:?}"),
    }
}

#[test]
fn sessions_recover_within_seconds_after_a_server_restart() {
    let file = busy(15_000, &json!([{ "server_restart": { "at_ms": 2000, "down_ms": 500 } }]));
    survives(&file, |outcome| {
        assert_eq!((outcome.sessions.dials, outcome.sessions.accepted >= 2), (2, true));
        assert!(outcome.sessions.dropped_down > 0 && outcome.sessions.ended >= 1);
        let (read, reset, complete) = download(outcome);
        assert!(read >= 4_000_000 && reset == 1 && complete, "{read} {reset} {complete}");
        assert!(recovery_us(outcome, 0).iter().all(|&us| us < 3_000_000), "{:?}", outcome.faults);
    });
}

/// Without probes the client detects the restart by its keepalive timeout, 30 to 60 s later.
#[test]
fn without_probes_a_server_restart_costs_the_keepalive_timeout() {
    let mut file = busy(80_000, &json!([{ "server_restart": { "at_ms": 2000, "down_ms": 500 } }]));
    file["client"]["no-probe"] = json!(true);
    file["workloads"] = json!([{ "echo": { "name": "echo", "message_bytes": 80, "interval_ms": 100 } }]);
    let outcome = play(&file);
    assert!(recovery_us(&outcome, 0).iter().all(|&us| us > 20_000_000), "{:?}", outcome.faults);
}

#[test]
fn after_a_client_restart_the_server_serves_its_next_tunnel() {
    for keep_address in [false, true] {
        let restart = json!({ "at_ms": 2000, "down_ms": 300, "keep_address": keep_address });
        let file = busy(10_000, &json!([{ "client_restart": restart }]));
        survives(&file, |outcome| {
            assert_eq!((outcome.sessions.dials, outcome.sessions.accepted), (2, 2));
            assert_eq!(outcome.sessions.addresses, if keep_address { 1 } else { 2 });
            // From the same address it replaces the old session at once; otherwise the old session times out later.
            assert!(!keep_address || outcome.sessions.ended == 1, "{:?}", outcome.sessions);
            assert!(recovery_us(outcome, 0).iter().all(|&us| us < 1_000_000), "{:?}", outcome.faults);
        });
    }
}

#[test]
fn sessions_follow_a_client_whose_address_changes_without_losing_a_stream() {
    for kind in ["nat_rebinding", "address_change"] {
        let file = busy(10_000, &json!([{ kind: { "at_ms": 2000 } }, { kind: { "at_ms": 4000 } }]));
        survives(&file, |outcome| {
            assert_eq!((outcome.sessions.dials, outcome.sessions.ended, outcome.sessions.moved), (1, 0, 2));
            assert_eq!(download(outcome).1, 0);
            assert!(outcome.sessions.dropped_nat > 0);
            assert!(recovery_us(outcome, 1).iter().all(|&us| us < 1_000_000), "{:?}", outcome.faults);
        });
    }
}

#[test]
fn the_client_dials_again_if_the_server_does_not_follow() {
    let mut file = busy(10_000, &json!([{ "nat_rebinding": { "at_ms": 2000 } }]));
    file["server"]["no-migrate"] = json!(true);
    survives(&file, |outcome| {
        assert_eq!((outcome.sessions.dials, outcome.sessions.moved), (2, 0));
        assert_eq!(download(outcome).1, 1);
    });
}

#[test]
fn a_mapping_that_timed_out_does_not_end_the_session() {
    let mut file = busy(60_000, &json!([]));
    file["nat"] = json!({ "timeout_ms": 5000 });
    file["workloads"] = json!([
        { "idle_then_burst": { "name": "burst", "idle_ms": 18_000, "burst_bytes": 50_000, "count": 3 } }
    ]);
    survives(&file, |outcome| {
        assert!(outcome.sessions.addresses > 2 && outcome.sessions.moved > 1, "{:?}", outcome.sessions);
        assert_eq!((outcome.sessions.dials, outcome.sessions.ended), (1, 0));
    });
}

#[test]
fn a_short_blackout_loses_no_stream_and_a_long_one_only_the_old_ones() {
    let short = busy(20_000, &json!([{ "blackout": { "at_ms": 2000, "for_ms": 3000 } }]));
    survives(&short, |outcome| {
        assert_eq!(download(outcome).1, 0);
        assert!(outcome.links.up.dropped_blackout > 0 && outcome.links.down.dropped_blackout > 0);
        assert!(recovery_us(outcome, 0).iter().all(|&us| us < 6_000_000), "{:?}", outcome.faults);
    });
    let long = busy(90_000, &json!([{ "blackout": { "at_ms": 2000, "for_ms": 60_000 } }]));
    survives(&long, |outcome| {
        assert!(outcome.sessions.dials > 1 && outcome.sessions.ended > 1, "{:?}", outcome.sessions);
        let (read, _, complete) = download(outcome);
        assert!(read >= 4_000_000 && complete);
        assert!(recovery_us(outcome, 0).iter().all(|&us| us < 30_000_000), "{:?}", outcome.faults);
    });
}

#[test]
fn a_path_that_works_one_way_heals() {
    for direction in ["up", "down"] {
        let fault = json!({ "at_ms": 2000, "for_ms": 4000, "direction": direction });
        survives(&busy(20_000, &json!([{ "one_way": fault }])), |outcome| {
            let (up, down) = (outcome.links.up.dropped_blackout, outcome.links.down.dropped_blackout);
            assert_eq!((up > 0, down > 0), (direction == "down", direction == "up"));
            assert!(recovery_us(outcome, 0).iter().all(|&us| us < 10_000_000), "{:?}", outcome.faults);
        });
    }
}

#[test]
fn clocks_may_jump_ahead() {
    let steps = json!([
        { "clock_step": { "at_ms": 2000, "side": "client", "by_ms": 1500 } },
        { "clock_step": { "at_ms": 4000, "side": "server", "by_ms": 1500 } }
    ]);
    survives(&busy(20_000, &steps), |outcome| assert_eq!(outcome.sessions.ended, 0));
    // Without KCP-25 the next retransmission would wait for a minute.
    for side in ["client", "server"] {
        let hour = json!([{ "clock_step": { "at_ms": 2000, "side": side, "by_ms": 3_600_000 } }]);
        survives(&busy(20_000, &hour), |outcome| {
            let (_, streams_reset, complete) = download(outcome);
            assert!(complete && streams_reset == 0);
            assert!(recovery_us(outcome, 0).iter().all(|&us| us < 1_000_000), "{:?}", outcome.faults);
        });
    }
}

#[test]
fn duplicated_and_corrupted_datagrams_do_not_reach_applications() {
    let storms = json!([
        { "duplicate_storm": { "at_ms": 1000, "for_ms": 3000, "pct": 100 } },
        { "corruption": { "at_ms": 3000, "for_ms": 3000, "pct": 20 } }
    ]);
    survives(&busy(10_000, &storms), |outcome| {
        assert!(outcome.links.up.duplicated_packets > 500 && outcome.links.down.corrupted_packets > 200);
        assert!(outcome.server.refused_datagrams > 0 && outcome.client.refused_datagrams > 0);
        assert_eq!((outcome.sessions.ended, outcome.sessions.accepted), (0, 1));
    });
}

/// A session that ends without an excuse: the fault is hidden from the rule.
#[test]
fn an_end_that_no_fault_explains_is_a_broken_rule() {
    let mut file = busy(40_000, &json!([]));
    file["links"]["down"]["loss_pct"] = json!(100);
    file["drain_ms"] = json!(60_000);
    let outcome = sim::play(&scenario(&file), 1);
    assert_eq!(
        (outcome.ok, outcome.violations[0].rule.name()),
        (false, "closed"),
        "{:?}",
        outcome.violations
    );
    assert!(outcome.violations[0].detail.contains("Client: nothing heard"), "{:?}", outcome.violations);
}

#[track_caller]
fn refused(key: &str, value: Value, path: &str, reason: &str) {
    let mut file = busy(5_000, &json!([]));
    file[key] = value;
    let error = Scenario::parse("some.json", &file.to_string()).map(|_| ()).expect_err("it must be refused");
    assert_eq!(error.path, path, "{error}");
    assert!(error.reason.contains(reason), "{error}");
}

#[test]
fn impossible_faults_are_refused_where_they_stand() {
    let late = json!([{ "nat_rebinding": { "at_ms": 5000 } }]);
    refused("faults", late, "faults[0].nat_rebinding.at_ms", "before duration_ms");
    let none = json!([{ "blackout": { "at_ms": 1, "for_ms": 0 } }]);
    refused("faults", none, "faults[0].blackout.for_ms", "between 1 ms and a day");
    let none = json!([{ "server_restart": { "at_ms": 1, "down_ms": 0 } }]);
    refused("faults", none, "faults[0].server_restart.down_ms", "between 1 ms and a day");
    let both = json!([{ "one_way": { "at_ms": 1, "for_ms": 1, "direction": "both" } }]);
    refused("faults", both, "faults[0].one_way.direction", "unknown variant");
    let back = json!([{ "clock_step": { "side": "client", "at_ms": 1, "by_ms": -5 } }]);
    refused("faults", back, "faults[0].clock_step.by_ms", "a clock that steps back is the wall clock");
    let much = json!([{ "corruption": { "at_ms": 1, "for_ms": 1, "pct": 101 } }]);
    refused("faults", much, "faults[0].corruption.pct", "more than 100 percent");
    refused("faults", json!([{ "meteor": {} }]), "faults[0]", "unknown variant");
    refused("nat", json!({ "timeout_ms": 0 }), "nat.timeout_ms", "between 1 ms and a day");
}
