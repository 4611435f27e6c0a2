//! The program: exit codes, the one-line refusal, and the results file.

mod common;

use common::rough;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Output};

fn karst_sim(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_karst-sim")).args(args).output().expect("karst-sim starts")
}

fn file(name: &str, content: &Value) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content.to_string()).expect("the target directory can be written");
    path
}

#[test]
fn a_run_is_reported_and_written_as_json() {
    let scenario = file("good.json", &rough());
    let results = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("good-results.json");
    let (scenario, results) = (scenario.to_str().unwrap(), results.to_str().unwrap());
    let output = karst_sim(&["run", scenario, "--seed", "9", "--json", results]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report = String::from_utf8(output.stdout).unwrap();
    let json: Value = serde_json::from_str(&std::fs::read_to_string(results).unwrap()).unwrap();
    let run = &json["runs"][0];
    assert_eq!((&run["seed"], &run["ok"]), (&json!(9), &json!(true)));
    assert!(report.contains(run["trace_hash"].as_str().unwrap()), "{report}");
    for part in ["goodput", "p50", "p99", "timeout", "recovered", "per useful byte", "simulated", "real"] {
        assert!(report.contains(part), "{part} is missing in {report}");
    }
    let shorthand = karst_sim(&[scenario, "--seed", "9"]);
    assert!(String::from_utf8(shorthand.stdout).unwrap().contains(run["trace_hash"].as_str().unwrap()));
}

#[test]
fn a_broken_rule_is_exit_code_1() {
    let mut content = rough();
    content["links"]["down"] = json!({ "loss_pct": 100 });
    content["duration_ms"] = json!(100);
    content["drain_ms"] = json!(100);
    let output = karst_sim(&[file("broken.json", &content).to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("FAILED      liveness"));
}

#[test]
fn a_refused_file_is_exit_code_2_and_one_line() {
    let mut content = rough();
    content["links"]["down"]["rate_kbit"] = json!(0);
    let path = file("refused.json", &content);
    let output = karst_sim(&[path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let line = String::from_utf8(output.stderr).unwrap();
    let expected =
        format!("karst-sim: {}: links.down.rate_kbit: must be between 1 and 1000000000\n", path.display());
    assert_eq!(line, expected);
    assert!(output.stdout.is_empty());
    assert_eq!(karst_sim(&["missing.json"]).status.code(), Some(2));
    assert_eq!(karst_sim(&[]).status.code(), Some(2));
}
