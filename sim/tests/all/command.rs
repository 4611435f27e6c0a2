//! The program: exit codes, one-line errors, and the results file.

use crate::common::rough;
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
    for part in
        ["goodput", "p50", "p99", "timeout", "recovered", "per useful byte", "drained", "simulated", "real"]
    {
        assert!(report.contains(part), "{part} is missing in {report}");
    }
    let shorthand = karst_sim(&[scenario, "--seed", "9"]);
    assert!(String::from_utf8(shorthand.stdout).unwrap().contains(run["trace_hash"].as_str().unwrap()));
}

#[test]
fn the_version_is_printed_with_the_name() {
    for flag in ["-v", "-V", "--version"] {
        let output = karst_sim(&[flag]);
        assert!(output.status.success());
        let expected = format!("karst-sim {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    }
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
    let expected = format!(
        "karst-sim: {}: links.down.rate_kbit: must end above 0: what waits would never be sent\n",
        path.display()
    );
    assert_eq!(line, expected);
    assert!(output.stdout.is_empty());
    assert_eq!(karst_sim(&["missing.json"]).status.code(), Some(2));
    assert_eq!(karst_sim(&[]).status.code(), Some(2));
}

#[test]
fn many_seeds_are_summed_up_and_the_threads_do_not_matter() {
    let scenario = file("many.json", &rough());
    let results = |name: &str, jobs: &str| -> Value {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let (scenario, json) = (scenario.to_str().unwrap(), path.to_str().unwrap());
        let output = karst_sim(&["run", scenario, "--seeds", "3..6", "--jobs", jobs, "--json", json]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(output.stderr.is_empty(), "no progress without a terminal");
        let report = String::from_utf8(output.stdout).unwrap();
        assert!(report.contains("rough  4 runs") && report.contains("all passed"), "{report}");
        let mut json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        json["runs"].as_array_mut().unwrap().iter_mut().for_each(|run| run["wall_us"] = json!(0));
        json
    };
    let one = results("many-1.json", "1");
    let seeds: Vec<u64> =
        one["runs"].as_array().unwrap().iter().filter_map(|run| run["seed"].as_u64()).collect();
    assert_eq!(seeds, [3, 4, 5, 6]);
    assert_eq!(one, results("many-3.json", "3"));
    for seeds in ["6..3", "3", "a..b", "0..1000000"] {
        assert_eq!(karst_sim(&["run", "x.json", "--seeds", seeds]).status.code(), Some(2));
    }
}

#[test]
fn an_unmet_expectation_is_exit_code_1_and_shown() {
    let mut content = rough();
    content["expect"] = json!({
        "goodput_kbit": { "download": { "min": 1 }, "upload": { "min": 90_000_000 } },
        "latency_ms": { "echo": { "p99": 60_000 } }
    });
    let output = karst_sim(&[file("unmet.json", &content).to_str().unwrap()]);
    let report = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert_eq!((report.matches("FAILED").count(), report.matches("  met\n").count()), (1, 2), "{report}");
    assert!(report.contains("checks      expectation not met"), "{report}");
    assert!(report.contains("goodput of upload"), "{report}");
}

#[test]
fn settings_are_replaced_and_compared() {
    let path = file("compared.json", &rough());
    let path = path.to_str().unwrap();
    let results = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compared-results.json");
    let results = results.to_str().unwrap();
    let output = karst_sim(&[
        "compare",
        path,
        "--set",
        "links.up.delay_ms=200",
        "--set",
        "links.down.delay_ms=200",
        "--seeds",
        "1..3",
        "--json",
        results,
    ]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let table = String::from_utf8(output.stdout).unwrap();
    let echo = table.lines().find(|line| line.contains("echo p50")).unwrap();
    assert!(echo.ends_with(" 3  no difference seen"), "three pairs cannot show a difference: {table}");
    assert!(table.contains("B  links.up.delay_ms=200 links.down.delay_ms=200, 3 runs"), "{table}");
    let json: Value = serde_json::from_str(&std::fs::read_to_string(results).unwrap()).unwrap();
    let p50 = |run: usize| json["runs"][run]["workloads"][2]["latency_us"]["p50"].as_u64().unwrap();
    assert!(json["runs"].as_array().unwrap().len() == 6 && p50(0) < 200_000 && p50(3) > 400_000);
    let seeds = |set: &str| {
        let output = karst_sim(&["compare", path, "--set", set, "--seeds", "1..6"]);
        String::from_utf8(output.stdout).unwrap()
    };
    let slower = seeds("links.up.delay_ms=200");
    let echo = slower.lines().find(|line| line.contains("echo p50")).unwrap();
    assert!(echo.contains(" +") && echo.ends_with(" 6  B higher"), "{slower}");
    let same = seeds("links.up.delay_ms=15");
    assert!(
        same.contains("no difference seen") && !same.contains("B higher") && !same.contains("B lower"),
        "{same}"
    );
    let two_files = karst_sim(&["compare", results, results]);
    assert_eq!(two_files.status.code(), Some(0));
    assert!(String::from_utf8(two_files.stdout).unwrap().contains("6 runs"));
    let refused = |args: &[&str], reason: &str| {
        let output = karst_sim(args);
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && line.contains(reason), "{line}");
    };
    refused(&["compare", path], "a comparison needs a second file or --set");
    refused(&["compare", path, results], "cannot be compared");
    refused(&["compare", path, "--set", "client.mod=fast"], "client.mod: unknown field");
    refused(
        &["run", path, "--set", "workloads[9].bulk.bytes=1"],
        "`workloads[9]` does not exist: there is an array with the entries 0 to",
    );
    refused(&["run", path, "--set", "client.mode"], "PATH=VALUE");
}

#[test]
fn scenarios_are_listed_by_theme() {
    let output = karst_sim(&["list", concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios")]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let list = String::from_utf8(output.stdout).unwrap();
    assert!(
        list.contains("general\n") && list.contains("  lossy-adsl  (") && !list.contains("golden"),
        "{list}"
    );
    assert_eq!(karst_sim(&["list", "missing"]).status.code(), Some(2));
}

/// A folder with one scenario in it, and the path of its pins.
fn pinned_folder(name: &str) -> (PathBuf, PathBuf) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(folder.join("theme")).expect("the target directory can be written");
    std::fs::write(folder.join("theme/rough.json"), rough().to_string())
        .expect("the target directory can be written");
    let pins = folder.join("pins.json");
    let _ = std::fs::remove_file(&pins);
    (folder, pins)
}

#[test]
fn pinned_hashes_are_compared_and_every_tampering_is_detected() {
    let (folder, path) = pinned_folder("pins");
    let pins = path.to_str().unwrap();
    assert_eq!(karst_sim(&["pins", pins]).status.code(), Some(2), "there is no file yet");
    assert_eq!(karst_sim(&["pins", pins, "--update"]).status.code(), Some(0));
    assert_eq!(karst_sim(&["pins", pins]).status.code(), Some(0));
    let good = std::fs::read_to_string(&path).unwrap();
    let mut json: Value = serde_json::from_str(&good).unwrap();
    let red = |json: &Value, complaint: &str| {
        std::fs::write(&path, json.to_string()).unwrap();
        let output = karst_sim(&["pins", pins]);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!output.status.success() && text.contains(complaint), "{text}");
    };
    json["pins"]["theme/rough.json"]["trace_hash"] = json!("0000000000000000");
    red(&json, "0000000000000000");
    json["pins"] = json!({});
    red(&json, "theme/rough.json: not pinned");
    json["format"] = json!("karst-pins/9");
    red(&json, "karst-pins/9");
    json = serde_json::from_str(&good).unwrap();
    json["pins"]["gone.json"] = json["pins"]["theme/rough.json"].clone();
    red(&json, "gone.json: pinned, but the file is missing");
    std::fs::write(&path, good).unwrap();
    let mut other = rough();
    other["links"]["down"]["delay_ms"] = json!("15.001");
    std::fs::write(folder.join("theme/rough.json"), other.to_string()).unwrap();
    assert_eq!(karst_sim(&["pins", pins]).status.code(), Some(1), "another scenario under the same name");
}

#[test]
fn a_folder_with_pins_of_its_own_is_left_to_them() {
    let (folder, path) = pinned_folder("outer-pins");
    std::fs::create_dir_all(folder.join("long")).unwrap();
    std::fs::write(folder.join("long/rough.json"), rough().to_string()).unwrap();
    let [outer, inner] = [path, folder.join("long/pins.json")];
    let pinned = |path: &PathBuf| -> Value {
        assert_eq!(karst_sim(&["pins", path.to_str().unwrap(), "--update"]).status.code(), Some(0));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    assert!(pinned(&inner)["pins"].get("rough.json").is_some());
    let pins = pinned(&outer);
    assert!(pins["pins"].get("theme/rough.json").is_some() && pins["pins"].get("long/rough.json").is_none());
}

#[test]
fn a_failing_scenario_is_not_pinned() {
    let (folder, path) = pinned_folder("failing-pins");
    let mut content = rough();
    content["expect"] = json!({ "amplification": { "down": "0.5" } });
    std::fs::write(folder.join("theme/rough.json"), content.to_string()).unwrap();
    let output = karst_sim(&["pins", path.to_str().unwrap(), "--update"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("not pinned: FAILED expectation: bytes down"));
}

#[test]
fn a_trace_is_the_same_text_twice() {
    let path = file("traced.json", &rough());
    let trace = || karst_sim(&["trace", path.to_str().unwrap()]);
    let (first, second) = (trace(), trace());
    assert!(first.status.success() && first.stdout == second.stdout);
    let lines = String::from_utf8(first.stdout).unwrap();
    assert!(
        lines.lines().count() > 1_000 && lines.starts_with("20000 us Client Sent")
            || lines.starts_with("0 us Client Sent"),
        "{}",
        &lines[..200]
    );
}

#[test]
fn a_failing_scenario_shrinks_to_a_file_that_names_the_packet_and_its_run() {
    let mut content = rough();
    content["links"] = json!({ "up": {}, "down": { "delay_ms": 20, "loss_pct": 5 } });
    content["workloads"] = json!([{ "echo": { "name": "echo", "message_bytes": 100, "interval_ms": 50 } }]);
    content["expect"] = json!({ "latency_ms": { "echo": { "max": 60 } } });
    let small = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("small.json");
    let path = file("large.json", &content);
    let output = karst_sim(&["shrink", path.to_str().unwrap(), "--out", small.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(
        report.contains("links: no random element remains; fails with 4 of 4 other link seeds"),
        "{report}"
    );
    assert!(report.contains("no pin while the run fails"), "{report}");
    let tree: Value = serde_json::from_str(&std::fs::read_to_string(&small).unwrap()).unwrap();
    assert!(tree["links"].to_string().contains("_packets"), "{tree}");
    let again = String::from_utf8(karst_sim(&[small.to_str().unwrap()]).stdout).unwrap();
    let hash = again.lines().find_map(|line| line.trim().strip_prefix("trace hash")).unwrap().trim();
    assert!(tree["description"].as_str().unwrap().contains(&format!("trace hash {hash};")), "{tree}");
}
