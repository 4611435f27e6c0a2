//! Every recorded behaviour of smux v1.5.52, versions 1 and 2, is reproduced frame by frame (SMUX-1 to SMUX-25).
use flate2::read::GzDecoder;
use interop::golden::smux::replay;
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/golden/smux-traces")
}

fn trace(name: &str) -> String {
    let mut text = String::new();
    let file = std::fs::File::open(dir().join(format!("{name}.jsonl.gz"))).unwrap();
    GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text
}

fn index() -> Vec<(String, usize)> {
    let index = std::fs::read_to_string(dir().join("index.json")).unwrap();
    let index: Vec<Value> = serde_json::from_str(&index).unwrap();
    let entry = |v: &Value| (v["name"].as_str().unwrap().to_owned(), v["events"].as_u64().unwrap() as usize);
    index.iter().map(entry).collect()
}

#[test]
fn all_traces_match() {
    let index = index();
    assert_eq!(index.len(), 9);
    let mut failures = Vec::new();
    for (name, events) in index {
        match replay(&trace(&name)) {
            Ok(compared) => assert_eq!(compared, events, "{name}"),
            Err(mismatch) => failures.push(format!("{name}: {mismatch}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Changes one event of a trace, and expects the replay to stop exactly there.
fn fails_at(name: &str, pick: impl Fn(&Value) -> bool, change: impl Fn(&mut Value)) -> String {
    let mut lines: Vec<Value> = trace(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let at = lines.iter().position(|event| event["op"].is_string() && pick(event)).unwrap();
    change(&mut lines[at]);
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    let mismatch = replay(&text.join("\n")).unwrap_err();
    assert_eq!(mismatch.line, at + 1, "{}", mismatch.difference);
    mismatch.difference
}

fn frames(event: &Value) -> usize {
    event["A_frames"].as_array().map_or(0, Vec::len)
}

#[test]
fn a_changed_frame_byte_fails() {
    let difference = fails_at(
        "smux2-window",
        |event| frames(event) == 2,
        |event| {
            let frame = event["A_frames"][1].as_str().unwrap().to_owned();
            let last = if frame.ends_with('0') { "1" } else { "0" };
            event["A_frames"][1] = format!("{}{last}", &frame[..frame.len() - 1]).into();
        },
    );
    assert!(difference.contains("differ at index 1") && difference.contains("PSH 3 len 476"), "{difference}");
}

#[test]
fn swapped_frames_go_red() {
    fails_at(
        "smux2-window",
        |event| frames(event) == 3,
        |event| event["A_frames"].as_array_mut().unwrap().swap(0, 2),
    );
}

#[test]
fn a_missing_or_additional_frame_fails() {
    let drop_last = |event: &mut Value| drop(event["A_frames"].as_array_mut().unwrap().pop());
    fails_at("smux-keepalive", |event| event["op"] == "idle", drop_last);
    let one_more = |event: &mut Value| event["B_frames"] = serde_json::json!(["0203000000000000"]);
    fails_at("smux2-basic", |event| event["op"] == "open", one_more);
}

#[test]
fn changed_results_go_red() {
    let with = |key: &'static str| move |event: &Value| event[key].is_u64() || event[key].is_string();
    let bump = |key: &'static str| {
        move |event: &mut Value| event[key] = (event[key].as_u64().unwrap_or(0) + 1).into()
    };
    for key in ["ret", "crc", "sid", "err", "A_streams"] {
        fails_at("smux1-basic", with(key), bump(key));
    }
    fails_at("smux1-receive-buffer", with("B_unread"), bump("B_unread"));
    fails_at("smux1-basic", |event| event["A_closed"] == true, |event| event["A_closed"] = false.into());
    for key in ["ret", "crc", "err", "tag"] {
        fails_at(
            "smux2-writeto",
            |event| event["finished"][0][key] != Value::Null,
            |event| event["finished"][0][key] = 7.into(),
        );
    }
}
