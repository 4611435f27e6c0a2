//! Direct TCP with the same workloads: all data arrives, the same seed gives the same run, and loss reduces goodput.

use crate::common::rough;
use serde_json::{Value, json};
use sim::outcome::{Outcome, WorkOutcome};
use sim::tools::gate::play_twice;
use sim::{Scenario, play};

fn over_tcp(file: &Value, baseline: &str) -> Outcome {
    let mut file = file.clone();
    file["baseline"] = json!(baseline);
    let scenario = Scenario::parse("test.json", &file.to_string()).expect("the test's scenario is valid");
    let outcome = play_twice(&scenario, 1).expect("the same seed gives the same run");
    assert_eq!(outcome, play(&scenario, 1));
    assert!(outcome.ok, "{:?}", outcome.violations);
    assert_eq!(outcome.transport.name(), format!("tcp-{baseline}"));
    outcome
}

fn goodput_kbit(outcome: &Outcome) -> u64 {
    outcome.workloads.iter().find_map(WorkOutcome::goodput_kbit).expect("the first workload is a transfer")
}

#[test]
fn all_data_arrives_through_every_fault() {
    for baseline in ["cubic", "bbr", "reno"] {
        let outcome = over_tcp(&rough(), baseline);
        assert_eq!(outcome.useful_bytes.down - outcome.useful_bytes.up, 300_000, "{outcome:?}");
        let WorkOutcome::Bulk(bulk) = &outcome.workloads[0] else { panic!("the first workload is a bulk") };
        assert!(bulk.complete && bulk.bytes_read == 600_000, "{bulk:?}");
        assert!(outcome.links.down.dropped_loss > 0 && outcome.client.stats.in_pkts > 400);
    }
}

#[test]
fn a_clean_line_is_filled_and_loss_is_felt() {
    let mut file = rough();
    let line =
        |loss: &str| json!({ "rate_kbit": 20000, "queue_bytes": 9000000, "delay_ms": 20, "loss_pct": loss });
    file["workloads"] = json!([{ "bulk": { "name": "download", "direction": "down", "bytes": 5_000_000 } }]);
    let mut under = |loss: &str| {
        file["links"] = json!({ "up": line("0"), "down": line(loss) });
        goodput_kbit(&over_tcp(&file, "cubic"))
    };
    let (clean, lossy) = (under("0"), under("2"));
    // 1460 of 1500 bytes are payload; slow start reduces the mean.
    assert!((15_000..20_000 * 1460 / 1500).contains(&clean), "{clean}");
    assert!(lossy < clean / 2, "{lossy} against {clean}");
}

#[test]
fn every_kind_of_work_is_carried() {
    let mut file = rough();
    file["duration_ms"] = json!(3_000);
    file["workloads"] = json!([
        { "request_response": { "name": "requests", "response_bytes": 3000, "count": 5 } },
        { "short_streams": { "name": "short", "interval_ms": 20, "count": 20, "response_bytes": 3000 } },
        { "page": { "name": "page", "objects": 10, "object_bytes_min": 100, "object_bytes_max": 9000 } },
        { "game_ticks": { "name": "game", "interval_ms": 50, "up_bytes": 60, "down_bytes": 200 } },
        { "typing": { "name": "typing", "interval_ms": 90 } },
        { "half_close": { "name": "half", "request_bytes": 100, "response_bytes": 5000 } },
        { "storm": { "name": "storm", "interval_ms": 10, "count": 50 } }
    ]);
    let outcome = over_tcp(&file, "cubic");
    for workload in &outcome.workloads {
        let (kind, activity) = workload.activity().expect("none of them is a transfer");
        assert!(activity.begun > 0 && activity.done == activity.begun, "{kind}: {activity:?}");
    }
}

/// TCP-19: loss that halves the window of CUBIC again and again costs BBR little.
#[test]
fn bbr_fills_a_lossy_line_and_keeps_its_queue_short() {
    let mut file = rough();
    let line =
        |loss: &str| json!({ "rate_kbit": 20000, "queue_bytes": 9000000, "delay_ms": 20, "loss_pct": loss });
    file["duration_ms"] = json!(10_000);
    file["links"] = json!({ "up": line("0"), "down": line("2") });
    file["workloads"] = json!([
        { "bulk": { "name": "download", "direction": "down" } },
        { "echo": { "name": "echo", "message_bytes": 64, "interval_ms": 20 } }
    ]);
    let [cubic, bbr] = ["cubic", "bbr"].map(|baseline| over_tcp(&file, baseline));
    assert!(goodput_kbit(&bbr) > 16_000, "{}", goodput_kbit(&bbr));
    assert!(goodput_kbit(&bbr) > 3 * goodput_kbit(&cubic), "{}", goodput_kbit(&cubic));
    let WorkOutcome::Echo(echo) = &bbr.workloads[1] else { panic!("the second workload is an echo") };
    assert!(echo.latency_us.p50 < 60_000, "{:?}", echo.latency_us);
}

#[test]
fn unknown_ones_are_refused() {
    let mut file = rough();
    file["baseline"] = json!("vegas");
    let error = Scenario::parse("test.json", &file.to_string()).expect_err("no such congestion control");
    assert_eq!(error.path, "baseline");
}
