//! `karst-report` as a program: pages of results.

use crate::common::file;
use serde_json::{Value, json};
use std::process::{Command, Output};

const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/two-runs.json");

fn report(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_karst-report")).args(args).output().expect("karst-report starts")
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("reports are UTF-8")
}

#[test]
fn html_has_every_run_and_is_self_contained() {
    let out = std::env::temp_dir().join(format!("karst-report-{}.html", std::process::id()));
    let written = report(&["html", RESULTS, "--out", out.to_str().unwrap()]);
    assert!(written.status.success() && written.stdout.is_empty());
    let page = std::fs::read_to_string(&out).unwrap();
    std::fs::remove_file(&out).unwrap();
    assert_eq!(page.matches("<section").count(), 2);
    assert!(page.contains("Loss &amp; &lt;bursts&gt; | both ways."));
    assert!(
        page.contains("<tr><th>goodput down, download</th><td>80.00 Mbit/s: 200.00 MB in 20.00 s</td></tr>")
    );
    assert!(page.contains("<td>280.04 MB in 210000 packets, 1.400 per useful byte; 0.00 MB in 205000 packets delivered, 0 in flight at the end</td>"));
    assert!(page.contains("<section class=\"failed\">\n<h2>broken, seed 1</h2>"));
    assert!(!page.contains("http") && !page.contains("src=") && !page.contains("<script"));
}

#[test]
fn markdown_has_a_line_per_run_and_a_table_per_run() {
    let page = text(&report(&["md", RESULTS]));
    let line = "| lossy-adsl, over tcp-cubic | 3 | 80.00 | 10.00 | 45.5 ms | 120.2 ms | 1.400, 1.500 | ok |";
    assert!(page.contains(line), "{page}");
    assert!(page.contains("| broken | 1 | 0.00 | 0.00 | - | - | -, - | FAILED |"), "{page}");
    assert!(
        page.contains("| retransmissions by the server | timeout 10, fast 20, early 30 of 150000 segments |")
    );
    assert!(
        page.contains(
            "| pages, web | p50 700.0 ms, p90 800.0 ms, p99 800.0 ms, p99.9 800.0 ms, min 0.0 ms, max 800.0 ms (3 samples); 3 of 3 done, 0 lost |"
        )
    );
    assert!(page.contains("| broken rule: bytes | at 1.5 ms: stream 3: byte 77 differs |"));
    assert!(page.contains("| expected: p99 of echo | at most 150.0 ms, was 120.2 ms: met |"));
    assert_eq!(page.matches("\n## ").count(), 2);
}

#[test]
fn files_other_than_results_are_refused_by_name() {
    let refused = |path: &str, reason: &str| {
        let output = report(&["md", path]);
        assert_eq!(output.status.code(), Some(2));
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(line.contains(path) && line.lines().count() == 1, "{line}");
        assert_eq!(line.matches(reason).count(), 1, "{line}");
    };
    refused("missing.json", "No such file");
    let other = std::env::temp_dir().join(format!("karst-report-{}.json", std::process::id()));
    std::fs::write(&other, r#"{"format": "karst-sim/9", "runs": []}"#).unwrap();
    refused(other.to_str().unwrap(), "format is `karst-sim/9`");
    std::fs::write(&other, "[]").unwrap();
    refused(other.to_str().unwrap(), "expected struct Results");
    std::fs::write(&other, "{").unwrap();
    refused(other.to_str().unwrap(), "EOF while parsing");
    std::fs::remove_file(&other).unwrap();
}

#[test]
fn the_version_is_printed_with_the_name() {
    for flag in ["-v", "-V", "--version"] {
        let output = report(&[flag]);
        assert!(output.status.success());
        assert_eq!(text(&output), format!("karst-report {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn an_expectation_that_is_not_met_fails_its_run() {
    let met = r#""measured": 120200, "ok": true"#;
    let results = std::fs::read_to_string(RESULTS).unwrap();
    assert_eq!(results.matches(met).count(), 1);
    let missed = results.replace(met, r#""measured": 160000, "ok": false"#);
    let unmeasured = results.replace(met, r#""measured": null, "ok": false"#);
    for (results, was) in [(missed, "160.0 ms"), (unmeasured, "not measured")] {
        let file = std::env::temp_dir().join(format!("karst-report-unmet-{}.json", std::process::id()));
        std::fs::write(&file, results).unwrap();
        let page = text(&report(&["md", file.to_str().unwrap()]));
        std::fs::remove_file(&file).unwrap();
        let line = format!("| expected: p99 of echo | at most 150.0 ms, was {was}: FAILED |");
        assert!(page.contains(&line), "{page}");
        assert!(page.contains("| 45.5 ms | 120.2 ms | 1.400, 1.500 | expectation not met |"), "{page}");
    }
}

/// Runs of one scenario with several seeds: every value counts, the largest too, and latency spreads over the runs.
#[test]
fn distributions_over_seeds_are_drawn() {
    let results: Value = serde_json::from_str(&std::fs::read_to_string(RESULTS).unwrap()).unwrap();
    let mut base = results["runs"][0].clone();
    base["workloads"][0]["measured_us"] = 0.into();
    let runs = |seeds: u64| -> Vec<Value> {
        let run = |seed: u64| {
            let mut run = base.clone();
            run["seed"] = seed.into();
            for work in run["workloads"].as_array_mut().unwrap() {
                if work["goodput_kbit"].is_number() {
                    work["goodput_kbit"] = (10_000 * seed).into();
                }
                if work["latency_us"].is_object() {
                    work["latency_us"]["curve"] = vec![1_000 * seed; 22].into();
                }
            }
            run
        };
        (1..=seeds).map(run).collect()
    };
    let page = |seeds: u64| {
        let path = file(&format!("seeds-{seeds}.json"));
        let results = json!({ "format": "karst-sim/1", "runs": runs(seeds) });
        std::fs::write(&path, results.to_string()).unwrap();
        text(&report(&["html", path.to_str().unwrap()]))
    };
    let four = page(4);
    for id in ["goodput-of-download", "latency-of-echo", "bytes-on-the-wire-per-useful-byte--down"] {
        assert_eq!(four.matches(&format!("<figure id=\"{id}\"")).count(), 1, "{id}");
    }
    for step in ["10: 25 % of runs", "30: 75 % of runs", "40: 100 % of runs"] {
        assert!(four.contains(&format!("lossy-adsl, over tcp-cubic (4 runs), {step}")), "{step}");
    }
    assert!(four.contains("slowest: 2.5 (1 .. 4) ms"), "median, lowest and highest run");
    assert!(!page(2).contains("<figure"), "two runs are no distribution");
}
