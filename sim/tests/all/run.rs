//! Complete runs: transferred data, counters, and their ends.

use crate::common::{rough, scenario};
use serde_json::{Value, json};
use sim::outcome::{BulkOutcome, EchoOutcome, WorkOutcome};
use sim::plan::WorkKind;
use sim::{Outcome, Scenario, play};

fn bulk(outcome: &Outcome, index: usize) -> &BulkOutcome {
    match &outcome.workloads[index] {
        WorkOutcome::Bulk(bulk) => bulk,
        _ => panic!("workload {index} is no bulk"),
    }
}

fn echo(outcome: &Outcome, index: usize) -> &EchoOutcome {
    match &outcome.workloads[index] {
        WorkOutcome::Echo(echo) => echo,
        _ => panic!("workload {index} is no echo"),
    }
}

fn passes(file: &Value) -> Outcome {
    let outcome = play(&scenario(file), 1);
    assert!(outcome.ok, "{:?}", outcome.violations);
    outcome
}

#[test]
fn all_data_arrives_through_every_fault() {
    let outcome = passes(&rough());
    assert_eq!((bulk(&outcome, 0).bytes_read, bulk(&outcome, 0).complete), (600_000, true));
    assert_eq!((bulk(&outcome, 1).bytes_read, bulk(&outcome, 1).start_us), (300_000, 20_000));
    let echo = echo(&outcome, 2);
    assert!(echo.sent > 10 && echo.received == echo.sent && echo.latency_us.count == echo.sent);
    assert!(echo.latency_us.min >= 30_000, "{:?}", echo.latency_us);
    assert_eq!(outcome.useful_bytes.up, 300_000 + echo.bytes_read);
    for link in [&outcome.links.up, &outcome.links.down] {
        assert!(
            link.dropped_loss > 0 && link.duplicated_packets > 0 && link.reordered_packets > 0,
            "{link:?}"
        );
        let inside = link.sent_packets + link.duplicated_packets - link.delivered_packets - link.dropped_loss;
        assert_eq!(inside - link.dropped_queue - link.dropped_mtu, link.in_flight_packets);
    }
    assert!(outcome.client.stats.fec_recovered + outcome.server.stats.fec_recovered > 0);
    assert_eq!((outcome.client.refused_datagrams, outcome.server.refused_datagrams), (0, 0));
}

#[test]
fn a_perfect_link_causes_neither_loss_nor_retransmission() {
    let mut file = rough();
    file["links"] = json!({ "up": { "delay_ms": 10 }, "down": { "delay_ms": 10 } });
    let outcome = passes(&file);
    assert_eq!(outcome.client.stats.retrans_segs + outcome.server.stats.retrans_segs, 0);
    assert_eq!(outcome.client.stats.fec_recovered + outcome.server.stats.fec_recovered, 0);
    assert_eq!(outcome.links.down.dropped_loss + outcome.links.down.dropped_queue, 0);
}

#[test]
fn an_endless_transfer_stops_with_the_run_and_arrives_whole() {
    let mut file = rough();
    file["duration_ms"] = json!(300);
    file["workloads"] = json!([{ "bulk": { "name": "endless", "direction": "up" } }]);
    let outcome = passes(&file);
    let bulk = bulk(&outcome, 0);
    assert!(bulk.complete && bulk.bytes_read == bulk.bytes_written && bulk.bytes_read > 10_000, "{bulk:?}");
    assert!(outcome.sim_us >= 300_000);
}

/// The planted bug: a receiver that expects another byte must end the run there.
#[test]
fn the_byte_check_fails_on_wrong_bytes() {
    let mut scenario: Scenario = scenario(&rough());
    let WorkKind::Bulk(plan) = &mut scenario.work[0].kind else { panic!("the first workload is a bulk") };
    plan.tampered_at = Some(123_456);
    let outcome = play(&scenario, 1);
    assert!(!outcome.ok);
    let violation = &outcome.violations[0];
    assert_eq!(violation.rule.name(), "bytes");
    assert!(violation.detail.contains("byte 123456 differs"), "{}", violation.detail);
    assert!(!bulk(&outcome, 0).complete);
}

#[test]
fn late_data_breaks_the_liveness_rule() {
    let mut file = rough();
    file["links"]["down"] = json!({ "loss_pct": 100 });
    file["duration_ms"] = json!(500);
    file["drain_ms"] = json!(1000);
    let outcome = play(&scenario(&file), 1);
    assert_eq!((outcome.ok, outcome.violations[0].rule.name()), (false, "liveness"));
    assert!(outcome.violations[0].detail.contains("not done in time: download"), "{:?}", outcome.violations);
    assert_eq!(outcome.sim_us, 1_500_000);
}

/// A path with a smaller MTU than the tunnel carries acknowledgements only.
#[test]
fn packets_larger_than_the_path_are_dropped_and_counted() {
    let mut file = rough();
    file["links"]["down"]["mtu_bytes"] = json!(1000);
    file["duration_ms"] = json!(500);
    file["drain_ms"] = json!(500);
    let outcome = play(&scenario(&file), 1);
    assert!(!outcome.ok && outcome.links.down.dropped_mtu > 10, "{:?}", outcome.links.down);
}

/// Sides with different keys: the engine refuses every datagram, and the simulator reports that none was corrupted.
#[test]
fn an_undamaged_datagram_that_is_refused_is_a_broken_rule() {
    let mut file = rough();
    file["server"]["key"] = json!("another");
    let outcome = play(&scenario(&file), 1);
    assert_eq!((outcome.ok, outcome.violations[0].rule.name()), (false, "refused"));
}

#[test]
fn results_have_stable_keys() {
    let outcome = play(&scenario(&rough()), 1);
    let json = serde_json::to_value(sim::outcome::Results::new(vec![outcome])).unwrap();
    assert_eq!(json["format"], "karst-sim/1");
    let run = json["runs"][0].as_object().unwrap();
    let keys: Vec<&str> = run.keys().map(String::as_str).collect();
    let expected = [
        "client",
        "description",
        "events",
        "expectations",
        "faults",
        "hosts",
        "links",
        "liveness",
        "marks",
        "ok",
        "scenario",
        "seed",
        "server",
        "sessions",
        "sim_us",
        "stopped_us",
        "trace_hash",
        "transport",
        "useful_bytes",
        "violations",
        "wall_us",
        "workloads",
    ];
    assert_eq!(keys, expected);
    assert_eq!(run["trace_hash"].as_str().unwrap().len(), 16);
    assert_eq!(run["workloads"][2]["kind"], "echo");
    assert!(run["workloads"][2]["latency_us"]["p99"].is_u64());
}
