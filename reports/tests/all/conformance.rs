//! The conformance page: its data, its filters and details in a browser without errors, and the same as Markdown.

use crate::page::{data, show};
use std::process::{Command, Output};

const RUN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/conformance.json");
const PROBES: [&str; 2] = [
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/probe-kcptun.json"),
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/probe-karst.json"),
];
const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/two-runs.json");
const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn report(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_karst-report")).args(args).output().expect("karst-report starts")
}

fn rendered(args: &[&str]) -> String {
    let output = report(args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_page_has_the_runs_and_every_requirement() {
    let page = rendered(&["html", RUN, RUN, "--requirements", TOP]);
    assert!(!page.contains("http:") && !page.contains("https:") && !page.contains(" src="));
    let data = data(&page);
    assert_eq!(
        (data["runs"].as_array().unwrap().len(), data["runs"][0]["title"].as_str()),
        (2, Some("native"))
    );
    let rules = data["requirements"].as_array().unwrap();
    // `ci/requirements.sh` verifies with tools of its own that a test cites each.
    let untested: Vec<_> = rules.iter().filter(|rule| rule["tests"].as_array().unwrap().is_empty()).collect();
    assert!(rules.len() > 200 && untested.is_empty(), "{untested:?}");
    let measured = data["runs"][0]["measured"].as_array().unwrap();
    let bulk =
        measured.iter().find(|row| row["work"] == "bulk" && row["pairing"] == "karst -> karst").unwrap();
    assert!(bulk["n"] == 2 && bulk["min_ms"].as_u64() <= bulk["median_ms"].as_u64(), "{bulk}");
}

#[test]
fn markdown_names_what_is_not_green() {
    let text = rendered(&["md", RUN]);
    assert!(text.contains("| karst → karst | 3 | 1 | 0 | 0 | 1 |"), "{text}");
    assert!(
        text.contains("| storm | karst -> karst | fail | leak | 3 streams did not end at the target |"),
        "{text}"
    );
    assert!(text.contains("| half-close | karst -> karst | not measured |"), "{text}");
}

/// Programs judged alone: rules, verdicts and reasons, with a matrix or without.
#[test]
fn markdown_names_the_faults_of_programs() {
    for args in [vec!["md", RUN, PROBES[0], PROBES[1]], vec!["md", PROBES[0], PROBES[1]]] {
        let text = rendered(&args);
        let totals = "| kcptun server | aes-128, smux 1, not compressed, FEC 10:3 | 1 | 1 | 0 | 1 | 0 |";
        assert!(text.contains(totals), "{text}");
        let fault = "| kcptun server | FEC-23 | delivers right bytes after replayed parity of another conversation | fail |";
        assert!(text.contains(fault) && !text.contains("| karst server | FEC-23"), "{text}");
        assert_eq!(text.contains("| karst → karst |"), args.len() == 4);
    }
}

/// Other versions of the format are refused by name.
#[test]
fn a_probe_of_another_version_is_refused() {
    let file = std::env::temp_dir().join(format!("karst-probe-version-{}.json", std::process::id()));
    std::fs::write(&file, r#"{"format": "karst-probe/9", "subject": "x", "cases": []}"#).unwrap();
    let output = report(&["html", file.to_str().unwrap()]);
    std::fs::remove_file(&file).unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && error.contains("karst-probe/9"), "{error}");
}

#[test]
fn other_results_do_not_share_the_page() {
    let output = report(&["html", RUN, RESULTS]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && error.contains("cannot share a page"), "{error}");
    let output = report(&["html", PROBES[0], RESULTS]);
    assert!(output.status.code() == Some(2), "a probe with other results");
    let output = report(&["html", RESULTS, "--requirements", TOP]);
    assert!(output.status.code() == Some(2), "requirements on another page");
}

/// Filters by verdict, path and text, opens a cell, changes the run, searches rules; notes what is shown.
const PLAY: &str = r##"
const notes = [];
const seen = () => notes.push(document.getElementById("seen").textContent.replaceAll(" ", "_"));
const choose = (key, value) => {
  const select = document.querySelector(`select[data-key="${key}"]`);
  select.value = value; select.dispatchEvent(new Event("change"));
};
seen();
choose("verdict", "fail"); seen(); choose("verdict", "");
choose("path", "loss-10"); seen(); choose("path", "");
choose("ending", "leak"); seen(); choose("ending", "");
const text = document.getElementById("text");
text.value = "STORM"; text.dispatchEvent(new Event("input")); seen();
document.querySelector("#grid button.fail").click();
const dialog = document.getElementById("cell");
notes.push(dialog.open, /3 streams did not end/.test(dialog.textContent), /karst-interop matrix --client/.test(dialog.textContent),
  /sha256 [0-9a-f]{64}/.test(dialog.textContent), /karst-server -l/.test(dialog.textContent));
dialog.close();
const second = document.querySelector("input[name=run][value='1']");
second.checked = true; second.dispatchEvent(new Event("change")); seen();
const rule = document.getElementById("rule");
rule.value = "kcp-12"; rule.dispatchEvent(new Event("input"));
notes.push(document.querySelectorAll("#requirements tbody tr").length > 0);
document.documentElement.dataset.notes = notes.join(" ");
document.documentElement.dataset.over = document.documentElement.scrollWidth - innerWidth;
"##;

/// Filters the checks of programs by text and faults, and opens a verdict.
const PROBE_PLAY: &str = r##"
const notes = [];
const seen = () => notes.push(document.getElementById("checks").textContent.replaceAll(" ", "_"));
seen();
const faults = document.getElementById("faulty");
faults.checked = true; faults.dispatchEvent(new Event("change")); seen();
faults.checked = false; faults.dispatchEvent(new Event("change"));
const check = document.getElementById("check");
check.value = "fec-16"; check.dispatchEvent(new Event("input")); seen();
check.value = ""; check.dispatchEvent(new Event("input"));
document.querySelector("#probes button.fail").click();
const dialog = document.getElementById("cell");
notes.push(dialog.open, /wrong bytes/.test(dialog.textContent), /FEC-23/.test(dialog.textContent), /#\d+ +[\d.]+ s/.test(dialog.textContent));
dialog.close();
notes.push([...document.querySelectorAll(".of-run")].every((part) => part.hidden), document.querySelectorAll("#probes tbody th").length);
document.documentElement.dataset.notes = notes.join(" ");
document.documentElement.dataset.over = document.documentElement.scrollWidth - innerWidth;
"##;

#[test]
fn people_open_the_datagrams_behind_a_verdict() {
    let alone = rendered(&["html", PROBES[0], PROBES[1]]);
    let beside = rendered(&["html", RUN, PROBES[0], PROBES[1], "--requirements", TOP]);
    for (name, page, hidden) in [("alone", alone, true), ("beside", beside, false)] {
        let Some(shown) = show(&format!("probes-{name}"), &page, PROBE_PLAY, 500) else { return };
        assert_eq!(shown.console, Vec::<String>::new());
        let notes = format!("3_of_3_checks 1_of_3_checks 1_of_3_checks true true true true {hidden} 3");
        assert_eq!(shown.left("notes"), Some(notes.as_str()));
        assert!(shown.left("over").unwrap().parse::<i32>().unwrap() <= 0, "{:?}", shown.left("over"));
    }
}

#[test]
fn people_filter_the_grid_and_open_cells() {
    let page = rendered(&["html", RUN, RUN, "--requirements", TOP]);
    for width in [1400, 500] {
        let Some(shown) = show(&format!("conformance-{width}"), &page, PLAY, width) else { return };
        assert_eq!(shown.console, Vec::<String>::new());
        let notes = "20_of_20_cells 1_of_20_cells 4_of_20_cells 1_of_20_cells 4_of_20_cells true true true true true 4_of_20_cells true";
        assert_eq!(shown.left("notes"), Some(notes));
        assert!(shown.left("over").unwrap().parse::<i32>().unwrap() <= 0, "{:?}", shown.left("over"));
    }
    let broken = page.replace("grid();", "gird();");
    let Some(shown) = show("conformance-broken", &broken, "", 1400) else { return };
    assert!(!shown.console.is_empty(), "an error of the script is noticed");
}
