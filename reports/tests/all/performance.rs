//! The page about performance: goals, and rendering in a browser without errors.
use crate::common::{file, markdown, report, text};
use serde_json::{Value, json};
use std::io::Write;
use std::process::Command;

const BENCH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/bench.json");

fn bench() -> Value {
    serde_json::from_str(&std::fs::read_to_string(BENCH).unwrap()).unwrap()
}

/// Gives a side of a case five runs with that figure.
fn set(bench: &mut Value, case: &str, side: &str, metric: &str, value: f64) {
    let named = |list: &Value, name: &str| {
        list.as_array().unwrap().iter().position(|one| one["name"] == name).unwrap()
    };
    let case = named(&bench["cases"], case);
    let side = named(&bench["cases"][case]["sides"], side);
    let trial = json!({ "metrics": { metric: value } });
    bench["cases"][case]["sides"][side]["trials"] = vec![trial; 5].into();
}

#[test]
fn goals_are_computed_from_the_runs() {
    let row =
        |page: &str, verdict: &str| page.contains(&format!("| bulk: throughput, karst / go | {verdict} |"));
    let mut bench = bench();
    set(&mut bench, "throughput", "go", "throughput_mbit", 100.0);
    set(&mut bench, "throughput", "karst", "throughput_mbit", 700.0);
    let page = markdown("met.json", &bench);
    assert!(row(&page, "7x | at least 7x | met"), "{page}");
    set(&mut bench, "throughput", "karst", "throughput_mbit", 699.0);
    assert!(row(&markdown("missed.json", &bench), "6.99x | at least 7x | NOT MET"));
    // A file that claims something else is not believed.
    bench["goals"] = json!([{ "what": "throughput", "verdict": "met" }]);
    bench["cases"][0]["met"] = true.into();
    assert!(row(&markdown("claimed.json", &bench), "6.99x | at least 7x | NOT MET"));
}

#[test]
fn markdown_holds_machine_commands_and_every_figure() {
    let page = text(&report(&["md", BENCH]));
    for part in [
        "## Goals",
        "## Loopback",
        "## Over links",
        "## Machine",
        "## Commands",
        "| processor | ",
        "| command | karst-report bench",
        "--sndwnd 1024 --rcvwnd 1024",
        "100 Mbit/s, round trip 60 ms, loss 2 % each way, queue 750 kB",
        "| loss-0 | throughput | Mbit/s |",
        "| scale | fairness (Jain) |",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("NaN"), "{page}");
}

#[test]
fn notes_follow_the_goals() {
    let notes = file("notes.md");
    std::fs::write(&notes, "## Why\n\nSix *wake-ups* a < b.\n").unwrap();
    let page = |kind: &str| text(&report(&[kind, BENCH, "--notes", notes.to_str().unwrap()]));
    let at = |page: &str, part: &str| page.find(part).unwrap_or_else(|| panic!("{part}: {page}"));
    let html = page("html");
    let note = at(&html, "<p>Six <em>wake-ups</em> a &lt; b.</p>");
    assert!(at(&html, "<h2>Goals") < note && note < at(&html, "<h2>Charts"));
    let md = page("md");
    let note = at(&md, "Six *wake-ups* a < b.");
    assert!(at(&md, "## Goals") < note && note < at(&md, "## Loopback"));
    let output = report(&["html", BENCH, "--notes", "missing.md"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("missing.md"));
}

#[test]
fn other_files_are_refused() {
    let refused = |args: &[&str], reason: &str| {
        let output = report(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(reason), "{said}");
    };
    let path = file("other-version.json");
    std::fs::write(&path, bench().to_string().replacen("karst-bench/1", "karst-bench/9", 1)).unwrap();
    refused(&["html", path.to_str().unwrap()], "format is `karst-bench/9`");
    refused(&["html", BENCH, BENCH], "only one file of measurements fits on a page");
    let mut nobody = bench();
    nobody["peers"] = json!([]);
    std::fs::write(&path, nobody.to_string()).unwrap();
    refused(&["md", path.to_str().unwrap()], "no peers");
}

/// Stores the number of charts, whether text exceeds them, and whether the page is wider than the window.
const LOOK: &str = r#"
const charts = [...document.querySelectorAll("svg.plot")];
const outside = charts.flatMap((chart) => [...chart.querySelectorAll("*")].filter((part) => {
  const box = part.getBBox ? part.getBBox() : null;
  return box && (box.x < -1 || box.y < -1 || box.x + box.width > 521 || box.y + box.height > 281);
}));
const root = document.documentElement.dataset;
root.charts = charts.length;
root.outside = outside.length + " " + outside.slice(0, 3).map((part) => part.outerHTML.slice(0, 80)).join(" ");
root.over = document.documentElement.scrollWidth - innerWidth;
root.lines = document.querySelectorAll("svg.plot .line, svg.plot rect").length;
if (charts.some((chart) => chart.getAttribute("aria-label").length < 20)) console.error("a chart without words");
"#;

#[test]
fn a_browser_draws_every_chart() {
    let page = text(&report(&["html", BENCH]));
    assert!(
        !page.contains("http:")
            && !page.contains("https:")
            && !page.contains(" src=")
            && !page.contains("<script")
    );
    for width in [1400, 500] {
        let Some((document, console)) = show(&format!("performance-{width}"), &page, width) else { return };
        let left = |key: &str| {
            let (_, rest) = document.split_once(&format!(" data-{key}=\"")).unwrap();
            rest.split_once('"').unwrap().0.to_owned()
        };
        assert_eq!(console, Vec::<String>::new());
        assert_eq!((left("charts").as_str(), left("outside").trim()), ("17", "0"));
        assert!(left("over").parse::<i32>().unwrap() <= 0 && left("lines").parse::<u32>().unwrap() > 40);
    }
}

/// The checks of the page detect defects.
#[test]
fn a_broken_page_is_detected() {
    let page = text(&report(&["html", BENCH]));
    let broken = page.replacen("<text x=\"49\"", "<text x=\"-49\"", 1).replacen(
        "aria-label=\"Throughput",
        "aria-label=\"",
        1,
    );
    let broken = broken.replace("role=\"img\" aria-label=\": ", "role=\"img\" aria-label=\"\" data-was=\"");
    let Some((document, console)) = show("performance-broken", &broken, 1400) else { return };
    assert!(document.contains(" data-outside=\"1 ") && !console.is_empty(), "{console:?}");
}

/// Result of a page in a browser: the final document, and the console output; `None` without a browser.
fn show(name: &str, page: &str, width: u32) -> Option<(String, Vec<String>)> {
    let path = file(&format!("{name}.html"));
    std::fs::write(&path, page.replace("</body>", &format!("<script>{LOOK}</script>\n</body>"))).unwrap();
    let output = Command::new("timeout")
        .args(["120", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom"])
        .arg(format!("--window-size={width},900"))
        .arg(format!("--user-data-dir={}", file(&format!("{name}-profile")).display()))
        .arg(format!("file://{}", path.display()))
        .output();
    // 127: there is a `timeout`, but no browser.
    let Some(output) = output.ok().filter(|output| output.status.code() != Some(127)) else {
        let _ = writeln!(std::io::stderr(), "SKIPPED {name}: chromium is not installed");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let console = said.lines().filter(|line| line.contains("CONSOLE")).map(String::from).collect();
    Some((String::from_utf8(output.stdout).unwrap(), console))
}
