//! Recorded runs as one self-contained HTML page: charts over time of one run, or of two for comparison.

use crate::facts::{facts, recorded};
use crate::html::escaped;
use crate::series::series;
use serde_json::{Value, json};
use sim::plan::Transport;
use sim::record::{Header, Options, Recording};
use std::collections::{BTreeMap, BTreeSet};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The charts in order: id, title, unit, full width.
const CHARTS: [(&str, &str, &str, bool); 7] = [
    ("goodput", "Goodput", "Mbit/s", false),
    ("queue", "Queue of the link", "queued kB", false),
    ("rtt", "Round trip and timeout", "ms, at the sender", false),
    ("windows", "Windows of the sender", "segments", false),
    ("events", "Losses and repairs", "", false),
    (
        "latency",
        "Latency",
        "ms, by share of samples: of messages and requests as in the table, of bytes from writing to reading",
        false,
    ),
    ("sequence", "Segments", "sequence number over time", true),
];

const LETTERS: [&str; 2] = ["A", "B"];

/// Renders one recording, or two for comparison.
pub(crate) fn page(recordings: &[Recording]) -> String {
    let labels = labels(recordings);
    let data: Vec<Value> = recordings.iter().zip(&labels).zip(LETTERS).map(data).collect();
    // A script element must not contain its end tag.
    let data = Value::from(data).to_string().replace('<', "\\u003c");
    let title = recordings.first().map_or("", |recording| recording.header.scenario.as_str());
    let charts: String = CHARTS.iter().map(chart).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>karst: {}</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>\n{STYLE}</style>\n</head>\n<body>\n{}{BAR}\
         <main class=\"charts\">\n{charts}</main>\n{}<div id=\"tip\" role=\"status\"></div>\n\
         <script type=\"application/json\" id=\"data\">{data}</script>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        escaped(title),
        head(recordings, &labels),
        tables(recordings),
    )
}

const BAR: &str = r#"<div class="bar">
<fieldset><legend>Direction</legend>
<label><input type="radio" name="way" value="down"><span>Download</span></label>
<label><input type="radio" name="way" value="up"><span>Upload</span></label>
</fieldset>
<button type="button" id="closer">Zoom in</button>
<button type="button" id="reset">Show all</button>
<output id="seen"></output>
<span class="hint">Drag across a chart, or turn the wheel with Ctrl or Shift, to zoom; double click to see all</span>
</div>
<p class="note" id="faults"></p>
"#;

fn data(((recording, label), letter): ((&Recording, &String), &str)) -> Value {
    let mut data = series(recording);
    data["label"] = label.as_str().into();
    data["letter"] = letter.into();
    let header = &recording.header;
    // Without congestion control there is no congestion window to draw.
    data["nc"] = json!(header.client.nc && header.server.nc);
    data
}

/// A label for each recording: the header fields in which they differ.
fn labels(recordings: &[Recording]) -> Vec<String> {
    let headers: Vec<&Header> = recordings.iter().map(|recording| &recording.header).collect();
    let all = values(&headers);
    let keys: BTreeSet<_> = all.iter().flat_map(BTreeMap::keys).collect();
    let differs = |key: &&(Rank, String)| all.iter().any(|values| values.get(*key) != all[0].get(*key));
    let differing: Vec<_> = keys.into_iter().filter(differs).collect();
    let label = |values: &Values| {
        let parts = differing.iter().map(|key| {
            let value = values.get(*key).map_or("off", String::as_str);
            format!("{} {value}", key.1).trim_start().to_string()
        });
        parts.collect::<Vec<_>>().join(", ")
    };
    match differing.is_empty() {
        true => headers.iter().map(|header| format!("seed {}", header.seed)).collect(),
        false => all.iter().map(label).collect(),
    }
}

/// The values of a header, by rank and name.
type Values = BTreeMap<(Rank, String), String>;

/// Order within a label.
type Rank = u8;

/// Options that the mode determines, unless it is manual.
const OF_MODE: [&str; 3] = ["interval_ms", "resend", "nc"];

fn values(headers: &[&Header]) -> Vec<Values> {
    let mut all: Vec<Values> = headers.iter().map(|header| general(header)).collect();
    // The tunnel's options do not apply to TCP.
    if headers.iter().any(|header| header.transport != Transport::Karst) {
        return all;
    }
    let options = |header: &Header| [options(&header.client), options(&header.server)];
    let options: Vec<[BTreeMap<String, String>; 2]> = headers.iter().map(|header| options(header)).collect();
    let keys: BTreeSet<&String> = options.iter().flatten().flat_map(BTreeMap::keys).collect();
    for key in keys {
        let of = |side: usize, run: usize| options[run][side].get(key).map_or("off", String::as_str);
        let split = (0..headers.len()).any(|run| of(0, run) != of(1, run));
        for (run, values) in all.iter_mut().enumerate() {
            if split {
                values.insert((3, format!("client {key}")), of(0, run).into());
                values.insert((3, format!("server {key}")), of(1, run).into());
            } else {
                values.insert((3, key.clone()), of(0, run).into());
            }
        }
    }
    all
}

fn general(header: &Header) -> Values {
    Values::from([
        ((0, String::new()), header.scenario.clone()),
        ((1, "seed".into()), header.seed.to_string()),
        (
            (2, "over".into()),
            format!("{}{}", header.transport.name(), if header.capture { ", captured" } else { "" }),
        ),
    ])
}

fn options(side: &Options) -> BTreeMap<String, String> {
    let side = json!(side);
    let follows = |key: &str| side["mode"] != "manual" && OF_MODE.contains(&key);
    let options = side.as_object().into_iter().flatten().filter(|(key, _)| !follows(key));
    options.map(|(key, value)| (key.clone(), text(value))).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(text).collect::<Vec<_>>().join(":"),
        other => other.to_string(),
    }
}

fn head(recordings: &[Recording], labels: &[String]) -> String {
    let Some(first) = recordings.first() else { return String::new() };
    let heading = match recordings {
        [a, b] if a.header.scenario != b.header.scenario => {
            format!("{} and {}", a.header.scenario, b.header.scenario)
        }
        _ => first.header.scenario.clone(),
    };
    let mut out = format!(
        "<header>\n<h1>{}</h1>\n<p class=\"lead\">{}</p>\n<div class=\"runs\">\n",
        escaped(&heading),
        escaped(&first.header.description)
    );
    for ((recording, label), (letter, colour)) in
        recordings.iter().zip(labels).zip(LETTERS.iter().zip(["--blue", "--orange"]))
    {
        let verdict = match recording.outcome() {
            Some(run) if run.passed() => "",
            None if recording.header.capture => "",
            Some(run) => &format!(" <span class=\"failed\">checks {}</span>", run.verdict()),
            None => " <span class=\"failed\">cut off</span>",
        };
        let words = if recordings.len() > 1 {
            format!(
                "<span class=\"key\" style=\"--colour:var({colour})\"></span><b>{letter}</b> {}",
                escaped(label)
            )
        } else {
            escaped(&setting(&recording.header))
        };
        out.push_str(&format!("<p class=\"run\">{words}{verdict}</p>\n"));
    }
    out.push_str("</div>\n</header>\n");
    out
}

/// The settings of a run as a sentence.
fn setting(header: &Header) -> String {
    let [client, server] = [json!(header.client), json!(header.server)];
    let one = |key: &str| match (text(&client[key]), text(&server[key])) {
        (a, b) if a == b => a,
        (a, b) => format!("{a} / {b}"),
    };
    if header.transport != Transport::Karst {
        return format!("Seed {}, over {}.", header.seed, header.transport.name());
    }
    if header.capture {
        return format!(
            "Cipher {}, FEC {}, compression {} (client / server where they differ).",
            one("crypt"),
            one("fec").replace("null", "off"),
            one("compressed").replace("true", "on").replace("false", "off")
        );
    }
    format!(
        "Seed {}. Mode {}, cipher {}, FEC {}, mtu {}, send window {}, receive window {} (client / server where they differ).",
        header.seed,
        one("mode"),
        one("crypt"),
        one("fec").replace("null", "off"),
        one("mtu"),
        one("sndwnd"),
        one("rcvwnd")
    )
}

fn chart(&(id, title, unit, wide): &(&str, &str, &str, bool)) -> String {
    let class = if wide { " class=\"wide\"" } else { "" };
    format!(
        "<figure id=\"{id}\"{class}>\n<figcaption>{title}<small>{unit}</small></figcaption>\n\
         <div class=\"legend\"></div>\n<div class=\"panels\"></div>\n<p class=\"note\"></p>\n</figure>\n"
    )
}

/// The facts of all runs, a column for each.
fn tables(recordings: &[Recording]) -> String {
    let rows = |recording: &Recording| {
        let mut rows = recording.outcome().map_or_else(Vec::new, |run| facts(run).rows);
        rows.extend(recorded(recording));
        rows
    };
    let columns: Vec<_> = recordings.iter().map(rows).collect();
    let Some(first) = columns.first() else { return String::new() };
    let mut out = String::from("<h2>Totals</h2>\n<div class=\"scroll\"><table>\n");
    if columns.len() > 1 {
        let heads: String = LETTERS.iter().map(|letter| format!("<th scope=\"col\">{letter}</th>")).collect();
        out.push_str(&format!("<thead><tr><td></td>{heads}</tr></thead>\n"));
    }
    out.push_str("<tbody>\n");
    let mut labels: Vec<&String> = first.iter().map(|(label, _)| label).collect();
    let others = columns.iter().skip(1).flat_map(|rows| rows.iter().map(|(label, _)| label));
    let new: Vec<&String> = others.filter(|label| !labels.contains(label)).collect();
    labels.extend(new);
    for label in labels {
        let cell = |rows: &[(String, String)]| {
            let found = rows.iter().find(|(of, _)| of == label).map_or("", |(_, value)| value);
            format!("<td>{}</td>", escaped(found))
        };
        let cells: String = columns.iter().map(|rows| cell(rows)).collect();
        out.push_str(&format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", escaped(label)));
    }
    out.push_str("</tbody>\n</table></div>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(transport: Transport, client: &Options, server: &Options) -> Recording {
        let (client, server) = (client.clone(), server.clone());
        let header =
            Header { scenario: "line".into(), seed: 1, transport, client, server, ..Header::default() };
        Recording { header, events: Vec::new() }
    }

    fn label(first: Recording, second: Recording) -> [String; 2] {
        labels(&[first, second]).try_into().unwrap()
    }

    #[test]
    fn labels_name_only_the_differences() {
        let options =
            |mode: &str, interval_ms| Options { mode: mode.into(), interval_ms, ..Options::default() };
        let fast = |interval| options("fast", interval);
        let slow = Options { fec: Some((10, 3)), ..options("normal", 40) };
        let karst = |client: &Options, server: &Options| recording(Transport::Karst, client, server);
        let both = label(karst(&fast(30), &fast(30)), karst(&slow, &slow));
        assert_eq!(both, ["fec off, mode fast", "fec 10:3, mode normal"]);
        let one = label(karst(&fast(30), &fast(30)), karst(&slow, &fast(30)));
        let expected = ["client fec off, client mode fast", "client fec 10:3, client mode normal"];
        assert_eq!(one, expected);
        let tcp = label(karst(&fast(30), &fast(30)), recording(Transport::TcpCubic, &slow, &slow));
        assert_eq!(tcp, ["over karst", "over tcp-cubic"]);
        assert_eq!(label(karst(&fast(30), &fast(30)), karst(&fast(30), &fast(30))), ["seed 1", "seed 1"]);
    }
}
