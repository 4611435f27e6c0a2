//! The page about lossy links, and the command that measures them.
use crate::common::{file, markdown, report, text};
use serde_json::{Value, json};
use std::io::Write;

const LINES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/lines.json");

fn lines() -> Value {
    serde_json::from_str(&std::fs::read_to_string(LINES).unwrap()).unwrap()
}

/// Sets a figure of the first run of a contestant on the first link.
fn set(lines: &mut Value, contestant: &str, metric: &str, value: f64) {
    let sides = lines["cases"][0]["sides"].as_array_mut().unwrap();
    let side = sides.iter_mut().find(|side| side["name"] == contestant).unwrap();
    side["trials"][0]["metrics"][metric] = value.into();
}

fn verdict(page: &str, goal: &str) -> String {
    let row = page.lines().find(|line| line.starts_with(&format!("| pacific-5pct: {goal} |")));
    let row = row.unwrap_or_else(|| panic!("{goal}: {page}"));
    row.trim_end_matches(" |").rsplit(" | ").next().unwrap().to_owned()
}

/// On each side of each limit: 20 Mbit/s, 180 ms, 5 %.
#[test]
fn goals_are_computed_from_the_runs() {
    let limits = [
        ("goodput_mbit", "goodput", 17.48, 17.47),
        ("wire_per_useful", "bytes on the wire per useful byte", 1.1502, 1.1503),
        ("echo_p50_ms", "echo, p50", 206.9, 207.1),
        ("echo_p99_ms", "echo, p99", 416.0, 416.1),
        ("queue_ms", "queue, median", 45.0, 45.1),
    ];
    for (metric, goal, good, bad) in limits {
        for (value, text) in [(good, "met"), (bad, "NOT MET")] {
            let mut lines = lines();
            set(&mut lines, "auto", metric, value);
            assert_eq!(verdict(&markdown(&format!("{metric}.json"), &lines), goal), text, "{metric} {value}");
        }
    }
}

#[test]
fn auto_is_compared_with_the_other_contestants() {
    let mut lines = lines();
    set(&mut lines, "auto", "goodput_mbit", 18.0);
    set(&mut lines, "tcp-bbr", "goodput_mbit", 18.0);
    set(&mut lines, "auto-to-go-up", "goodput_mbit", 16.2);
    set(&mut lines, "auto-to-go-down", "goodput_mbit", 16.1);
    let page = markdown("compared.json", &lines);
    let of = |goal| verdict(&page, goal);
    assert_eq!(
        [
            of("goodput, auto / tcp-bbr"),
            of("goodput, auto-to-go-up / auto"),
            of("goodput, auto-to-go-down / auto")
        ],
        ["met", "met", "NOT MET"]
    );
    set(&mut lines, "tcp-bbr", "goodput_mbit", 18.1);
    assert_eq!(verdict(&markdown("slower.json", &lines), "goodput, auto / tcp-bbr"), "NOT MET");
}

#[test]
fn failed_goals_are_not_met_and_missing_ones_are_open() {
    let mut lines = lines();
    lines["cases"][0]["sides"][0]["trials"][0]["error"] =
        "3 packets were lost outside the emulated path".into();
    lines["skipped"] = json!([{ "what": "tcp-bbr", "why": "congestion control bbr: No such file" }]);
    lines["cases"][0]["sides"].as_array_mut().unwrap().retain(|side| side["name"] != "auto-to-go-up");
    let page = markdown("failed.json", &lines);
    assert_eq!(verdict(&page, "goodput"), "NOT MET: 1 runs failed");
    assert_eq!(verdict(&page, "goodput, auto-to-go-up / auto"), "open: not measured");
    assert!(
        page.contains("| pacific-5pct | auto | 1 | 3 packets were lost outside the emulated path |"),
        "{page}"
    );
    assert!(page.contains("| tcp-bbr | congestion control bbr: No such file |"), "{page}");
}

/// Flows over time are judged by their own figures.
#[test]
fn flows_on_a_shared_link_have_goals() {
    let mut lines = lines();
    let side = |name: &str, metrics: Value| {
        let curves =
            json!({ "first_mbit": [[0.5, 10.0], [1.5, 11.0]], "second_mbit": [[0.5, 9.0], [1.5, 8.0]] });
        json!({ "name": name, "commands": ["20 Mbit/s"], "trials": [{ "metrics": metrics, "curves": curves }] })
    };
    let sides = json!([
        side("auto + auto", json!({ "jain_index": 0.9 })),
        side("tcp-bbr + auto", json!({ "least_share_pct": 29.9 })),
        side("tcp-cubic + auto", json!({ "first_share_pct": 25.0 })),
        side("auto, changes", json!({ "back_half_s": 0.0, "back_fourfold_s": 3.1, "back_blackout_s": 3.0 })),
    ]);
    let line = json!({ "curve": "shared", "at": null, "links": "" });
    let case = json!({ "name": "shared", "about": "", "line": line, "sides": sides });
    lines["cases"].as_array_mut().unwrap().push(case);
    let page = markdown("shared.json", &lines);
    for row in [
        "| auto + auto: fairness (Jain) | 0.9 | at least 0.9 | met |",
        "| tcp-bbr + auto: the smaller share | 29.9 % | at least 30 % | NOT MET |",
        "| tcp-cubic + auto: share of CUBIC | 25 % | at least 25 % | met |",
        "| auto, changes: rate rises fourfold: filled again after | 3.1 s | at most 3 s | NOT MET |",
        "| auto, changes: blackout of 5 s ends: filled again after | 3 s | at most 3 s | met |",
        "| auto, changes: loss 0 to 15 %: filled again after | - | at most 3 s | open: not measured |",
        "| tcp-cubic + auto | 20 Mbit/s |",
    ] {
        assert!(page.contains(row), "{row}: {page}");
    }
    let path = file("shared.json");
    let page = text(&report(&["html", path.to_str().unwrap()]));
    assert_eq!(page.matches("<svg class=\"plot\"").count(), 12);
    assert!(page.contains("second: auto"), "{page}");
}

#[test]
fn the_page_is_complete_and_self_contained() {
    let page = text(&report(&["html", LINES]));
    for part in ["http:", "https:", " src=", "<script", "NaN"] {
        assert!(!page.contains(part), "{part}");
    }
    for part in [
        "<h1>Lossy links</h1>",
        "id=\"loss-goodput_mbit\"",
        "id=\"rtt-echo_p99_ms\"",
        "kcptun-client --mode fast2",
        "<td>command</td><td>karst-report lines ",
        "(1 + 1.3 x loss) x 1.08 = 1.15",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(page.matches("<svg class=\"plot\"").count(), 8);
    // Each contestant has a distinct style in a chart.
    let keys = page.split("<div class=\"keys\">").nth(1).unwrap().split("</div>").next().unwrap();
    let mut styles: Vec<&str> =
        keys.split("<path").skip(1).filter_map(|key| key.split("/>").next()).collect();
    let count = styles.len();
    styles.sort_unstable();
    styles.dedup();
    assert!(styles.len() == count && count == 4, "{styles:?}");
}

#[test]
fn a_link_is_measured() {
    let test = "a_link_is_measured";
    let json = file("measured.json");
    let output = report(&[
        "lines",
        "--rtt-ms",
        "10",
        "--curve-time",
        "1",
        "--only",
        "tcp-cubic,auto",
        "--json",
        json.to_str().unwrap(),
    ]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    for missing in ["need root", "network namespace", "/dev/net/tun", "unknown contestant"] {
        if text.contains(missing) {
            let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {}", text.trim());
            return;
        }
    }
    assert!(output.status.success(), "{text}");
    let lines: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!((&lines["format"], &lines["cases"][0]["name"]), (&"karst-lines/1".into(), &"rtt-10".into()));
    for (at, name) in ["auto", "tcp-cubic"].into_iter().enumerate() {
        let side = &lines["cases"][0]["sides"][at];
        assert_eq!(side["name"], name);
        let metrics = &side["trials"][0]["metrics"];
        let of = |metric: &str| metrics[metric].as_f64().unwrap();
        assert!((1.0..30.0).contains(&of("goodput_mbit")) && of("wire_per_useful") > 0.9, "{metrics}");
        assert!(of("echo_p50_ms") >= 10.0 && of("queue_ms") >= 0.0, "{metrics}");
    }
}

#[test]
fn invalid_arguments_are_refused() {
    let refused = |args: &[&str], reason: &str| {
        let output = report(&[&["lines"], args].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && text.contains(reason), "{text}");
    };
    refused(&[], "no links to measure");
    refused(&["--loss-pct", "2", "--only", "unknown"], "unknown contestant \"unknown\"");
    let path = file("changing.json");
    std::fs::write(&path, r#"{ "name": "a", "links": { "down": { "rate_kbit": [[0, 1], [5, 2]] } } }"#)
        .unwrap();
    refused(&[path.to_str().unwrap()], "rate_kbit is not one number");
}
