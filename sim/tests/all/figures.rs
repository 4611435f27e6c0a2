//! Figures that readers see: none of them counts what was not measured, and none hides what happened.

use crate::common::{play, rough};
use serde_json::{Value, json};
use sim::outcome::{BulkOutcome, Outcome, Verdict, WorkOutcome};
use sim::report::Report;
use std::path::PathBuf;
use std::process::{Command, Output};

fn karst_sim(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_karst-sim")).args(args).output().expect("karst-sim starts")
}

fn file(name: &str, content: &Value) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content.to_string()).unwrap();
    path.to_str().unwrap().into()
}

fn bulk(outcome: &Outcome) -> &BulkOutcome {
    let WorkOutcome::Bulk(bulk) = &outcome.workloads[0] else { panic!("the first workload is a bulk") };
    bulk
}

/// An endless download over 1 Mbit/s with a queue of eight seconds.
fn deep() -> Value {
    let mut file = rough();
    file["links"] = json!({
        "up": { "delay_ms": 10 },
        "down": { "delay_ms": 10, "rate_kbit": 1000, "queue_bytes": 1_000_000 }
    });
    file["duration_ms"] = json!(4_000);
    file["workloads"] = json!([{ "bulk": { "name": "download", "direction": "down" } }]);
    file
}

#[test]
fn goodput_is_measured_until_the_sources_stop() {
    let mut file = deep();
    file["server"]["sndwnd"] = json!(1024);
    let outcome = play(&file);
    let bulk = bulk(&outcome);
    assert!(bulk.complete && bulk.end_us > 8_000_000, "the buffers drain for long: {bulk:?}");
    assert_eq!((bulk.measured_us, outcome.stopped_us), (4_000_000, 4_000_000));
    assert!(bulk.measured_bytes < bulk.bytes_read / 2, "{bulk:?}");
    assert_eq!(bulk.goodput_kbit, bulk.measured_bytes * 8_000 / 4_000_000);
    // A transfer of a known size is measured until its last byte.
    file["workloads"][0]["bulk"]["bytes"] = json!(bulk.bytes_read);
    let whole = play(&file);
    let WorkOutcome::Bulk(whole) = &whole.workloads[0] else { panic!("the first workload is a bulk") };
    assert_eq!((whole.measured_bytes, whole.measured_us), (whole.bytes_read, whole.end_us - whole.start_us));
}

#[test]
fn what_no_link_dropped_is_reported_too() {
    let mut file = deep();
    file["faults"] = json!([{ "server_restart": { "at_ms": 1000, "down_ms": 500 } }]);
    let outcome = play(&file);
    assert!(outcome.sessions.dropped_down > 0);
    let expected = format!(
        "also dropped: 0 datagrams to an old address, {} to a stopped",
        outcome.sessions.dropped_down
    );
    assert!(Report(&outcome).to_string().contains(&expected), "{}", Report(&outcome));
}

#[test]
fn a_direction_without_useful_bytes_has_no_bytes_per_useful_byte() {
    let report = Report(&play(&deep())).to_string();
    let up = report.lines().find(|line| line.starts_with("    up ")).unwrap();
    assert_eq!(up.split_whitespace().nth(3), Some("-"), "{report}");
}

#[test]
fn direct_tcp_has_no_figures_of_segments() {
    let mut file = deep();
    file["baseline"] = json!("cubic");
    let outcome = play(&file);
    let counts = outcome.counts_segments();
    let json = serde_json::to_value(&outcome).unwrap();
    assert_eq!(json["client"].get("retrans_segs").is_some(), counts);
    assert_eq!(Report(&outcome).to_string().contains("retransmitted"), counts);
    let tunnel = play(&deep());
    assert!(tunnel.counts_segments() && Report(&tunnel).to_string().contains("retransmitted"));
    assert!(serde_json::to_value(&tunnel).unwrap()["client"]["retrans_segs"].is_u64());
}

#[test]
fn a_run_whose_data_did_not_arrive_is_incomplete() {
    let mut content = deep();
    content["baseline"] = json!("cubic");
    content["drain_ms"] = json!(10);
    let outcome = play(&content);
    assert_eq!((outcome.ok, outcome.verdict(), outcome.passed()), (true, Verdict::Incomplete, false));
    let output = karst_sim(&[&file("incomplete.json", &content)]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("checks      INCOMPLETE") && text.contains("  INCOMPLETE\n"), "{text}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_transfer_that_was_never_to_start_is_not_incomplete() {
    let mut content = deep();
    content["workloads"] = json!([
        { "bulk": { "name": "late", "direction": "down", "start_ms": 3_000 } },
        { "bulk": { "name": "short", "direction": "down", "bytes": 1_000 } }
    ]);
    let outcome = play(&content);
    assert!(bulk(&outcome).complete && outcome.passed());
    assert!(!Report(&outcome).to_string().contains("INCOMPLETE"));
}

#[test]
fn decrypted_captures_of_direct_tcp_are_refused() {
    let mut content = deep();
    content["baseline"] = json!("cubic");
    let (scenario, clear) = (file("tcp-clear.json", &content), file("tcp-clear.pcapng", &json!(null)));
    let output = karst_sim(&["run", &scenario, "--pcap-clear", &clear]);
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(line.contains("--pcap-clear: tcp-cubic is not encrypted") && line.lines().count() == 1, "{line}");
    assert_eq!(std::fs::read_to_string(&clear).unwrap(), "null", "nothing is written");
}

#[test]
fn an_explanation_of_nothing_lists_what_exists() {
    let scenario = file("explained.json", &deep());
    let refused = |args: &[&str]| {
        let output = karst_sim(&[&["explain", scenario.as_str()], args].concat());
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(
        refused(&["--stream", "999"]).contains("it has streams 3 of session 0"),
        "{}",
        refused(&["--stream", "999"])
    );
    let segments = refused(&["--sn", "4000000000"]);
    assert!(
        segments.contains("segments 0 to ") && segments.contains(" of the server in session 0"),
        "{segments}"
    );
    assert!(refused(&["--at", "99999999"]).contains("it ends at "));
}
