//! `karst-report bench`: measurements of two pairs of real programs, and refused arguments.
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn report(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_karst-report")).args(args).output().expect("karst-report starts")
}

/// `NAME=CLIENT,SERVER` of the programs of a folder; None with a SKIPPED message if they are missing.
fn peer(test: &str, name: &str, prefix: &str, folder: &Path) -> Option<String> {
    let [client, server] = ["client", "server"].map(|role| folder.join(format!("{prefix}-{role}")));
    if client.is_file() && server.is_file() {
        return Some(format!("{name}={},{}", client.display(), server.display()));
    }
    let why = format!("{prefix}-client and {prefix}-server are not in {}", folder.display());
    assert!(std::env::var_os("KARST_REQUIRE_GO").is_none(), "{why}");
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
    None
}

fn karst(test: &str) -> Option<String> {
    peer(test, "karst", "karst", Path::new(env!("CARGO_BIN_EXE_karst-report")).parent().unwrap())
}

fn go(test: &str) -> Option<String> {
    peer(test, "go", "kcptun", Path::new("/usr/bin"))
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Trials of a side of a case.
fn trials<'v>(bench: &'v Value, case: &str, side: &str) -> Vec<&'v Value> {
    let find = |list: &'v Value, name: &str| list.as_array()?.iter().find(|one| one["name"] == name);
    let side = find(&bench["cases"], case).and_then(|case| find(&case["sides"], side));
    side.unwrap_or_else(|| panic!("{case} {side:?}"))["trials"].as_array().unwrap().iter().collect()
}

#[test]
fn two_pairs_take_turns_on_every_kind_of_row() {
    let test = "two_pairs_take_turns_on_every_kind_of_row";
    let (Some(karst), Some(go)) = (karst(test), go(test)) else { return };
    let json = file("bench.json");
    let output = report(&[
        "bench",
        "--peer",
        &karst,
        "--peer",
        &go,
        "--runs",
        "1",
        "--seconds",
        "1",
        "--sessions",
        "10",
        "--rows",
        "throughput,latency,start,idle,scale",
        "--json",
        json.to_str().unwrap(),
    ]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let order: Vec<&str> = said.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    assert_eq!(order, ["karst", "go"].repeat(5), "{said}");
    let bench: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(bench["format"], "karst-bench/1");
    let positive = |case: &str, side: &str, metric: &str| {
        let value = &trials(&bench, case, side)[0]["metrics"][metric];
        assert!(value.as_f64().is_some_and(|value| value > 0.0), "{case} {side} {metric}: {value}");
        value.as_f64().unwrap()
    };
    for side in ["karst", "go"] {
        for metric in ["throughput_mbit", "cpu_s_per_gb", "memory_peak_mib"] {
            positive("throughput", side, metric);
        }
        assert!(positive("latency", side, "idle_p50_ms") <= positive("latency", side, "load_p99_ms"));
        positive("idle", side, "idle_cpu_pct");
        assert!(positive("start", side, "server_start_ms") < 1000.0);
        assert_eq!(positive("scale", side, "streams"), 100.0);
        let jain = positive("scale", side, "jain_index");
        assert!(jain <= 1.0, "{jain}");
    }
    let summary = &bench["summary"]["figures"][0];
    let [karst, go] = ["karst", "go"].map(|side| positive("throughput", side, "throughput_mbit"));
    assert_eq!(
        (&summary["metric"], &summary["medians"]["karst"]),
        (&"throughput_mbit".into(), &karst.into())
    );
    assert!((summary["ratios"]["go"].as_f64().unwrap() - karst / go).abs() < 1e-9, "{summary}");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("karst / go") && printed.contains("at least 7x"), "{printed}");
    assert!(!printed.contains(" met\n"), "one run decides nothing: {printed}");
}

/// Needs root. Its loopback device is that of a namespace: nothing of the host is touched.
#[test]
fn forged_tcp_has_rows_and_goals_of_its_own() {
    let test = "forged_tcp_has_rows_and_goals_of_its_own";
    let Some(karst) = karst(test) else { return };
    // kcptun's forged TCP comes to a stop now and then, where no firewall keeps its kernel quiet.
    let other = karst.replacen("karst=", "other=", 1);
    let peers = ["bench", "--peer", &karst, "--peer", &other, "--runs", "1", "--seconds", "1"];
    let output = report(&[&peers[..], &["--flags", "--tcp"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("need root") || said.contains("creating a network namespace") {
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {said}");
        return;
    }
    assert!(output.status.success(), "{said}");
    let rows: Vec<&str> = said.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(rows, ["throughput", "throughput-plain", "latency"].map(|row| [row; 2]).concat(), "{said}");
    let printed = String::from_utf8_lossy(&output.stdout);
    for goal in ["at least 3x", "at most 0.333x", "at most 1x"] {
        assert!(printed.contains(goal), "{printed}");
    }
    assert!(!printed.contains("many sessions"), "{printed}");
}

#[test]
fn a_line_is_between_the_programs() {
    let test = "a_line_is_between_the_programs";
    let Some(karst) = karst(test) else { return };
    let json = file("line.json");
    let output = report(&[
        "bench",
        "--peer",
        &karst,
        "--runs",
        "1",
        "--seconds",
        "1",
        "--rows",
        "rtt",
        "--rtt",
        "50",
        "--tcp",
        "cubic",
        "--json",
        json.to_str().unwrap(),
    ]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let bench: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    let mut sides = vec!["karst"];
    if bench["skipped"].as_array().unwrap().is_empty() {
        sides.push("tcp-cubic");
    } else {
        let _ = writeln!(std::io::stderr(), "SKIPPED tcp of {test}: {}", bench["skipped"]);
    }
    for side in sides {
        let metrics = &trials(&bench, "rtt-50", side)[0]["metrics"];
        let idle = metrics["idle_p50_ms"].as_f64().unwrap();
        assert!((50.0..100.0).contains(&idle), "{side}: {metrics}");
        assert!(metrics["throughput_mbit"].as_f64().unwrap() > 0.1, "{side}: {metrics}");
    }
}

/// A program that is not a tunnel fails its runs, and its output is in the file.
#[test]
fn a_peer_that_does_not_start_fails_its_runs_and_no_others() {
    let test = "a_peer_that_does_not_start_fails_its_runs_and_no_others";
    let Some(karst) = karst(test) else { return };
    let json = file("broken.json");
    let output = report(&[
        "bench",
        "--peer",
        &karst,
        "--peer",
        "cat=/bin/cat,/bin/cat",
        "--runs",
        "1",
        "--seconds",
        "1",
        "--rows",
        "throughput",
        "--json",
        json.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    let bench: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert!(trials(&bench, "throughput", "karst")[0]["error"].is_null());
    let error = trials(&bench, "throughput", "cat")[0]["error"].as_str().unwrap().to_owned();
    assert!(error.contains("/bin/cat exited") && error.contains("invalid option"), "{error}");
    let page = report(&["md", json.to_str().unwrap()]);
    let page = String::from_utf8(page.stdout).unwrap();
    assert!(page.contains("## Failures") && page.contains("invalid option"), "{page}");
}

#[test]
fn invalid_arguments_are_refused_by_name() {
    let refused = |args: &[&str], reason: &str| {
        let output = report(&[&["bench"], args].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(reason), "{said}");
    };
    refused(&["--peer", "a=/bin/sh,/none/such"], "/none/such: no such program");
    refused(&["--peer", "a"], "is not NAME=CLIENT,SERVER");
    refused(&["--peer", "a=/bin/sh,/bin/sh", "--peer", "a=/bin/sh,/bin/sh"], "two peers have the name \"a\"");
    let one = ["--peer", "a=/bin/sh,/bin/sh"];
    refused(&[&one[..], &["--rows", "speed"]].concat(), "rows are throughput, plain, latency");
    refused(&[&one[..], &["--rows", "none"]].concat(), "no row to measure");
    refused(&[&one[..], &["--scenario", "missing.json", "--rows", "none"]].concat(), "missing.json");
    refused(&[&one[..], &["--json", "/none/such/file.json"]].concat(), "/none/such/file.json");
    refused(&[&one[..], &["--runs", "0"]].concat(), "--runs");
    refused(&[&one[..], &["--flags", "--tcp", "--rows", "loss"]].concat(), "forged TCP passes no UDP relay");
}
