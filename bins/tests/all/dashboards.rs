//! Metrics as Prometheus and Grafana use them: the page, the dashboard and the alert rules of the package (CLI-93 to CLI-95).
use crate::common::{Program, connect, echo, exchange, free_udp, sample, skipped, start_server, target};
use crate::monitoring::{address_after, get, value};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The metrics pages of a client and a server that carried a transfer.
fn pages() -> &'static [String; 2] {
    static PAGES: OnceLock<[String; 2]> = OnceLock::new();
    PAGES.get_or_init(|| {
        let udp = free_udp();
        let metrics = ["--metrics", "127.0.0.1:0"];
        let server = start_server(target(echo), udp, &metrics);
        let client =
            Program::client(&[&["-r", &udp.to_string(), "-l", "127.0.0.1:0"], &metrics[..]].concat());
        let log = client.wait_for("key derivation done");
        let data = sample(7, 300_000);
        assert_eq!(exchange(connect(address_after(&log, "listening on: ")), data.clone()), data);
        [&client, &server].map(|program| {
            let to = address_after(&program.log(), "metrics on: ");
            assert_eq!(get(to, "GET /healthz HTTP/1.1\r\n\r\n"), ("HTTP/1.1 200 OK".into(), "ok\n".into()));
            get(to, "GET /metrics HTTP/1.1\r\n\r\n").1
        })
    })
}

fn package(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../packaging", path].iter().collect()
}

/// Runs promtool with `input`; `None` if it is not installed.
fn promtool(words: &[&str], input: &str) -> Option<Output> {
    let mut command = Command::new("promtool");
    command.args(words).current_dir(package("prometheus"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        skipped("promtool", "promtool is not installed (package prometheus)");
        return None;
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Some(child.wait_with_output().unwrap())
}

#[track_caller]
fn succeeds(output: Output) {
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

/// Names of metrics in an expression of PromQL.
fn metrics_in(expression: &str) -> BTreeSet<&str> {
    let words = expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("karst_") || word.starts_with("process_")).collect()
}

/// The expressions of the dashboard's panels.
fn dashboard() -> Vec<String> {
    let text = std::fs::read_to_string(package("grafana/karst.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

// CLI-93, CLI-94
#[test]
fn the_page_passes_the_lint_of_prometheus() {
    for page in pages() {
        let Some(output) = promtool(&["check", "metrics"], page) else { return };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "a metric does not follow the conventions");
    }
}

// CLI-93: counts rise from bound to bound, and agree with each other.
#[test]
fn round_trips_and_queueing_delays_are_histograms() {
    for page in pages() {
        for name in ["karst_round_trip_seconds", "karst_queue_delay_seconds"] {
            let bucket = format!("{name}_bucket{{le=\"");
            let buckets: Vec<(&str, u64)> = page
                .lines()
                .filter_map(|line| line.strip_prefix(&bucket)?.split_once("\"} "))
                .map(|(bound, count)| (bound, count.parse().unwrap()))
                .collect();
            assert!(buckets.len() == 14 && buckets.is_sorted_by_key(|(_, count)| *count), "{buckets:?}");
            assert_eq!((buckets[0].0, buckets[6].0, buckets[13].0), ("0.001", "0.1", "+Inf"));
            let (count, sum_s) = (value(page, &format!("{name}_count")), value(page, &format!("{name}_sum")));
            assert!(count >= 1.0 && count == buckets[13].1 as f64, "{page}");
            // Over loopback, only the intervals of flushes take time.
            assert!(sum_s / count < 0.5, "{page}");
        }
    }
}

// CLI-94
#[test]
fn the_process_exports_what_client_libraries_do() {
    for (page, program) in pages().iter().zip(["client", "server"]) {
        let info =
            format!("karst_build_info{{program=\"karst-{program}\",version=\"{}\",arch=\"", bins::VERSION);
        assert_eq!(page.matches(&info).count(), 1);
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        let started = value(page, "process_start_time_seconds");
        assert!((now - 120.0..=now + 2.0).contains(&started), "{started} is not near {now}");
        assert!((0.0..60.0).contains(&value(page, "process_cpu_seconds_total")), "{page}");
        let open = value(page, "process_open_fds");
        assert!((5.0..1000.0).contains(&open) && open < value(page, "process_max_fds"), "{page}");
        assert!(value(page, "process_virtual_memory_bytes") >= value(page, "process_resident_memory_bytes"));
    }
}

// CLI-95
#[test]
fn every_metric_of_the_dashboard_and_of_the_alerts_is_exported() {
    let alerts = std::fs::read_to_string(package("prometheus/karst.rules.yml")).unwrap();
    let alerts = alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).map(str::to_owned);
    let expressions: Vec<String> = dashboard().into_iter().chain(alerts).collect();
    let names: BTreeSet<&str> = expressions.iter().flat_map(|expression| metrics_in(expression)).collect();
    assert!(names.len() > 25, "{names:?}");
    for page in pages() {
        for name in &names {
            let line = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
            assert!(page.lines().any(line), "{name} is not exported");
        }
    }
}

// CLI-95
#[test]
fn the_expressions_of_the_dashboard_are_valid() {
    let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
    for (index, expression) in dashboard().iter().enumerate() {
        let expression =
            expression.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*");
        rules += &format!("      - record: panel:{index}\n        expr: '{expression}'\n");
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("dashboard.rules.yml");
    std::fs::write(&path, rules).unwrap();
    let Some(output) = promtool(&["check", "rules", path.to_str().unwrap()], "") else { return };
    succeeds(output);
}

// CLI-95: each alert fires for its fault, and is silent without it.
#[test]
fn the_alert_rules_pass_their_tests() {
    let Some(output) = promtool(&["check", "rules", "karst.rules.yml"], "") else { return };
    succeeds(output);
    let Some(output) = promtool(&["test", "rules", "karst.rules.test.yml"], "") else { return };
    succeeds(output);
}
