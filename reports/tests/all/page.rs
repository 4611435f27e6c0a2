//! The page of recorded runs: its data, and rendering, zooming and pointing in a browser without errors.
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const FEC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/with-fec.jsonl");
const PLAIN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/without-fec.jsonl");
const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/two-runs.json");

fn report(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_karst-report")).args(args).output().expect("karst-report starts")
}

fn page(recordings: &[&str]) -> String {
    let output = report(&[&["html"], recordings].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The data in a page.
pub(crate) fn data(page: &str) -> serde_json::Value {
    let from = page.find("id=\"data\">").unwrap() + 10;
    let until = from + page[from..].find("</script>").unwrap();
    serde_json::from_str(&page[from..until]).unwrap()
}

#[test]
fn the_page_is_self_contained_and_has_every_chart() {
    let page = page(&[FEC]);
    for part in ["goodput", "queue", "rtt", "windows", "events", "latency", "sequence"] {
        assert_eq!(page.matches(&format!("<figure id=\"{part}\"")).count(), 1, "{part}");
    }
    assert!(!page.contains("http:") && !page.contains("https:") && !page.contains(" src="));
    assert!(page.contains("<h1>recorded</h1>") && page.contains("FEC 10:3"), "{page}");
    assert!(page.contains("<th scope=\"row\">rebuilt by FEC at the server</th>"));
}

/// Bytes with their headers of the datagrams that left the link.
fn left_bytes(recording: &str, way: &str) -> u64 {
    let events = || recording.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let sent = events().filter(|event| event["e"] == "sent");
    let bytes: std::collections::BTreeMap<u64, u64> =
        sent.map(|sent| (sent["n"].as_u64().unwrap(), sent["bytes"].as_u64().unwrap() + 28)).collect();
    let left = events().filter(|event| event["e"] == "left" && event["dir"] == way);
    left.filter_map(|left| bytes.get(&left["n"].as_u64().unwrap())).sum()
}

#[test]
fn the_data_are_those_of_the_recording() {
    let data = data(&page(&[FEC, PLAIN]));
    for (run, file) in data.as_array().unwrap().iter().zip([FEC, PLAIN]) {
        let text = std::fs::read_to_string(file).unwrap();
        let outcome: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        let outcome = &outcome["run"];
        for way in ["up", "down"] {
            let sum = |key: &str| {
                run[way][key].as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).sum::<u64>()
            };
            assert_eq!(sum("useful"), outcome["useful_bytes"][way].as_u64().unwrap());
            assert_eq!(sum("wire"), left_bytes(&text, way));
        }
        let count = |value: &Value| value.as_array().map_or(0, Vec::len) as u64;
        let again = &run["up"]["again"];
        let client = &outcome["client"];
        assert_eq!(count(&again["fast"]), client["fast_retrans_segs"]);
        assert_eq!(count(&again["early"]), client["early_retrans_segs"]);
        assert_eq!(count(&again["timeout"]), client["lost_segs"]);
        assert_eq!(count(&run["up"]["rebuilt"]), outcome["server"]["fec_recovered"]);
        assert_eq!(
            run["up"]["lost"]["loss"].as_array().unwrap().len() as u64,
            outcome["links"]["up"]["dropped_loss"]
        );
    }
    let label = |n: usize| data[n]["label"].as_str().unwrap();
    assert_eq!((label(0), label(1)), ("fec 10:3", "fec off"));
}

#[test]
fn files_that_cannot_be_shown_are_refused_by_name() {
    let refused = |args: &[&str], reason: &str| {
        let output = report(args);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && error.contains(reason), "{error}");
    };
    refused(&["html", FEC, PLAIN, FEC], "at most two recordings");
    refused(&["html", FEC, RESULTS], "cannot share a page");
    let cut = folder().join("cut.jsonl");
    let text = std::fs::read_to_string(FEC).unwrap();
    std::fs::write(&cut, &text[..text.len() / 2]).unwrap();
    refused(&["html", cut.to_str().unwrap()], "cut.jsonl: line ");
    std::fs::write(&cut, text.replacen("karst-events/1", "karst-events/9", 1)).unwrap();
    refused(&["html", cut.to_str().unwrap()], "format: is `karst-events/9`");
    let whole_lines = text.lines().take(40).collect::<Vec<_>>().join("\n");
    std::fs::write(&cut, whole_lines).unwrap();
    assert!(page(&[cut.to_str().unwrap()]).contains("cut off"));
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// Result of a page in a browser: the final document, and the console output.
pub(crate) struct Shown {
    pub(crate) document: String,
    pub(crate) console: Vec<String>,
}

impl Shown {
    /// Value that the last script of the page stored in `data-KEY` of the document.
    pub(crate) fn left(&self, key: &str) -> Option<&str> {
        let (_, rest) = self.document.split_once(&format!(" data-{key}=\""))?;
        rest.split_once('"').map(|(value, _)| value)
    }
}

/// Shows `page` with an additional script; `None` without a browser.
pub(crate) fn show(name: &str, page: &str, script: &str, width: u32) -> Option<Shown> {
    let path = folder().join(format!("{name}.html"));
    std::fs::write(&path, page.replace("</body>", &format!("<script>{script}</script>\n</body>"))).unwrap();
    let profile = folder().join(format!("{name}-profile"));
    let output = Command::new("timeout")
        .args(["120", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom"])
        .arg(format!("--window-size={width},900"))
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(url(&path))
        .output();
    // 127: there is a `timeout`, but no browser.
    let output = output.ok().filter(|output| output.status.code() != Some(127));
    let Some(output) = output else {
        let _ = writeln!(std::io::stderr(), "SKIPPED {name}: chromium is not installed");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let error = String::from_utf8_lossy(&output.stderr);
    let console = error.lines().filter(|line| line.contains("CONSOLE")).map(String::from).collect();
    Some(Shown { document: String::from_utf8(output.stdout).unwrap(), console })
}

fn url(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// Counts the drawn pixels of every chart, and measures the overflow of the page over the window.
const LOOK: &str = r#"
const inked = panels.map((panel) => {
  const { width, height } = panel.base;
  const pixels = panel.base.getContext("2d").getImageData(0, 0, width, height).data;
  let count = 0;
  for (let at = 3; at < pixels.length; at += 4) count += pixels[at] > 0;
  return count;
});
document.documentElement.dataset.inked = Math.min(...inked);
document.documentElement.dataset.over = document.documentElement.scrollWidth - innerWidth;
document.documentElement.dataset.names = panels.filter((panel) => panel.over.getAttribute("aria-label").length > 20).length;
"#;

#[test]
fn a_browser_draws_every_chart_of_one_run_and_of_two() {
    for (name, recordings, charts) in [("one", &[FEC][..], "7"), ("two", &[FEC, PLAIN][..], "9")] {
        for width in [1400, 500] {
            let Some(shown) = show(&format!("{name}-{width}"), &page(recordings), LOOK, width) else {
                return;
            };
            assert_eq!(shown.console, Vec::<String>::new());
            assert_eq!((shown.left("drawn"), shown.left("names")), (Some(charts), Some(charts)));
            assert!(shown.left("inked").unwrap().parse::<u32>().unwrap() > 500, "{:?}", shown.left("inked"));
            assert!(shown.left("over").unwrap().parse::<i32>().unwrap() <= 0, "{:?}", shown.left("over"));
        }
    }
}

/// Drags, points, turns, presses; notes the window after each.
const PLAY: &str = r##"
const notes = [];
const seen = () => notes.push(`${Math.round(view.from / 1000)}-${Math.round(view.to / 1000)}`);
const panel = panels[0], over = panel.over;
over.setPointerCapture = () => {};
const box = over.getBoundingClientRect();
const fire = (kind, share, more) => over.dispatchEvent(new PointerEvent(kind, {
  bubbles: true, button: 0, clientX: box.left + LEFT + panel.inner * share, clientY: box.top + 60, ...more }));
seen();
fire("pointermove", .25); notes.push(tip.style.display, /Mbit\/s/.test(tip.textContent));
fire("pointerdown", .25); fire("pointermove", .5); fire("pointerup", .5); seen();
over.dispatchEvent(new MouseEvent("dblclick")); seen();
over.dispatchEvent(new KeyboardEvent("keydown", { key: "+" })); notes.push(view.to - view.from < end);
over.dispatchEvent(new KeyboardEvent("keydown", { key: "0" })); seen();
over.dispatchEvent(new WheelEvent("wheel", { deltaY: -1, clientX: box.left + 200 })); seen();
over.dispatchEvent(new WheelEvent("wheel", { deltaY: -1, ctrlKey: true, clientX: box.left + 200, cancelable: true }));
notes.push(view.to - view.from < end);
document.getElementById("reset").click(); seen();
const radio = document.querySelector("input[value=down]"); radio.checked = true; radio.dispatchEvent(new Event("change"));
notes.push(view.way);
const button = document.querySelector("#rtt .legend button"); button.click();
notes.push(button.getAttribute("aria-pressed"), panels[2].drawn.length === panels[2].series.length - 1);
const plot = panels.find((one) => one.chart.sequence), mark = plot.drawn.find((one) => one.t.length);
const frame = plot.over.getBoundingClientRect();
plot.over.dispatchEvent(new PointerEvent("pointermove", {
  clientX: frame.left + plot.x(mark.t[0]), clientY: frame.top + plot.y(mark.v[0]) }));
notes.push(/segment \d+/.test(tip.textContent));
document.documentElement.dataset.notes = notes.join(" ");
"##;

#[test]
fn people_zoom_point_and_choose() {
    let page = page(&[FEC]);
    let Some(shown) = show("play", &page, PLAY, 1400) else { return };
    assert_eq!(shown.console, Vec::<String>::new());
    let end = (data(&page)[0]["end"].as_u64().unwrap() as f64 / 1e3).round() as u64;
    let whole = format!("0-{end}");
    let notes: Vec<&str> = shown.left("notes").unwrap().split(' ').collect();
    let dragged = notes[3].split('-').map(|ms| ms.parse::<u64>().unwrap()).collect::<Vec<_>>();
    assert!(dragged[0].abs_diff(end / 4) <= 1 && dragged[1].abs_diff(end / 2) <= 1, "{notes:?}");
    let rest = [&whole, "true", &whole, &whole, "true", &whole, "down", "false", "true", "true"];
    assert_eq!((&notes[..3], &notes[4..]), (&[whole.as_str(), "block", "true"][..], &rest[..]));
}

/// The check for errors sees them.
#[test]
fn a_broken_page_is_detected() {
    let broken = page(&[FEC]).replace("\"queue\":", "\"queues\":");
    let Some(shown) = show("broken", &broken, "", 1400) else { return };
    assert!(!shown.console.is_empty() && shown.left("drawn").is_none(), "{:?}", shown.console);
}

/// The recording with its header and each event changed by `change`, which leaves out what it returns nothing for.
fn changed(name: &str, change: impl Fn(Value) -> Option<Value>) -> PathBuf {
    let text = std::fs::read_to_string(FEC).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let kept: Vec<String> = lines.filter_map(change).map(|line| line.to_string()).collect();
    let path = folder().join(name);
    std::fs::write(&path, kept.join("\n")).unwrap();
    path
}

#[test]
fn schedules_and_blackouts_of_the_links_are_drawn() {
    let state = |t: u64, bits_per_s: u64, dead: bool, sets: &str| serde_json::json!({ "t": t, "dir": "up", "bits_per_s": bits_per_s, "dead": dead, "sets": sets });
    let path = changed("schedule.jsonl", |mut line| {
        if line["format"].is_string() {
            line["links"] = vec![
                state(0, 20_000_000, false, "rate_kbit 20000"),
                state(100_000, 20_000_000, true, "blackout true"),
                state(150_000, 5_000_000, false, "rate_kbit 5000, blackout false"),
            ]
            .into();
        }
        Some(line)
    });
    let page = page(&[path.to_str().unwrap()]);
    let data = data(&page);
    let end = data[0]["end"].as_u64().unwrap();
    let capacity = &data[0]["up"]["capacity"];
    assert_eq!(capacity["v"], serde_json::json!([20_000_000, 0, 5_000_000, 5_000_000]));
    assert_eq!(capacity["t"], serde_json::json!([0, 100_000, 50_000, end - 150_000]));
    assert_eq!(data[0]["down"]["capacity"]["v"], serde_json::json!([]), "a link without a rate");
    assert_eq!(data[0]["faults"], serde_json::json!([[100_000, 150_000, "blackout up"]]));
    assert_eq!(data[0]["changes"][1], serde_json::json!([150_000, "up: rate_kbit 5000, blackout false"]));
    let words = r#"document.documentElement.dataset.said = document.getElementById("faults").textContent.replaceAll(" ", "_");"#;
    let Some(shown) = show("schedule", &page, words, 1400) else { return };
    assert_eq!(shown.console, Vec::<String>::new());
    let said = shown.left("said").unwrap();
    assert!(said.contains("0.1500_s_up:_rate_kbit_5000") && said.contains("blackout_up,_0.1000_s"), "{said}");
}

#[test]
fn charts_of_what_a_run_does_not_record_are_left_out() {
    let path = changed("without-segments.jsonl", |mut line| {
        line["segments"].is_array().then(|| line["segments"] = Value::Array(Vec::new()));
        let e = line["e"].as_str().unwrap_or_default().to_owned();
        (!["state", "rtt", "acked", "rebuilt", "got"].contains(&e.as_str())).then_some(line)
    });
    let hidden = r#"document.documentElement.dataset.hidden = [...document.querySelectorAll("figure")].filter((one) => one.hidden).map((one) => one.id).join(" ");"#;
    let Some(shown) = show("left-out", &page(&[path.to_str().unwrap()]), hidden, 1400) else { return };
    assert_eq!((shown.console.len(), shown.left("hidden")), (0, Some("rtt windows sequence")));
    let Some(shown) = show("all-charts", &page(&[FEC]), hidden, 1400) else { return };
    assert_eq!((shown.console.len(), shown.left("hidden")), (0, Some("")));
}

/// Many segments are drawn as their density, relative to what is acknowledged; few, after a zoom, as marks.
#[test]
fn a_long_run_shows_the_density_of_its_segments() {
    let long = page(&[FEC]).replace("const DENSE = 6000", "const DENSE = 40");
    let look = r##"
const unit = () => document.querySelector("#sequence small").textContent.split(" ")[0];
const plot = panels.find((one) => one.chart.sequence), notes = [unit(), plot.low < 0];
zoom(end - 2000, end); notes.push(unit());
document.documentElement.dataset.notes = notes.join(" ");
"##;
    let Some(shown) = show("dense", &long, look, 1400) else { return };
    assert_eq!((shown.console.len(), shown.left("notes")), (0, Some("relative true sequence")));
}

/// The chart shows the distribution that the table summarises, not another one under the same name.
#[test]
fn latency_is_the_same_in_chart_and_table() {
    let curve: Vec<u64> = (0..22).map(|place| 40_000 + 1_000 * place).collect();
    let path = changed("latency.jsonl", |mut line| {
        for work in line["run"]["workloads"].as_array_mut().into_iter().flatten() {
            if work["kind"] == "echo" {
                work["latency_us"]["curve"] = curve.clone().into();
                work["latency_us"]["count"] = 20.into();
            }
        }
        Some(line)
    });
    let data = data(&page(&[path.to_str().unwrap()]));
    for way in ["up", "down"] {
        let latency = data[0][way]["latency"].as_array().unwrap();
        let echo: Vec<_> = latency.iter().filter(|one| one["work"] == "echo").collect();
        assert_eq!((echo.len(), &echo[0]["whole"]), (1, &Value::Bool(true)));
        // The points that 20 samples tell apart, and the maximum.
        assert_eq!(echo[0]["v"].as_array().unwrap().len(), 15);
        assert_eq!(echo[0]["v"][14], curve[21]);
    }
    let upload = data[0]["up"]["latency"].as_array().unwrap().iter().find(|one| one["work"] == "upload");
    assert!(upload.unwrap()["whole"].is_null());
}
