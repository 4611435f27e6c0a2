//! The engine's FEC replays every recorded trace of kcp-go's, and a tampered trace fails the replay.
use flate2::read::GzDecoder;
use interop::golden::fec::replay;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/golden/fec-traces")
}

fn trace(path: &Path) -> String {
    let mut text = String::new();
    GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn all_traces_replay() {
    let index = fs::read_to_string(folder().join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    let mut files = 0;
    for entry in index.as_array().unwrap() {
        let name = entry["name"].as_str().unwrap();
        let compared = replay(&trace(&folder().join(format!("{name}.jsonl.gz"))));
        let events = entry["events"].as_u64().unwrap() as usize;
        assert_eq!(compared, Ok(events), "{name}");
        files += 1;
    }
    assert!(files >= 11, "only {files} traces ran");
}

/// Replaces the first `from` at or behind byte `start` and returns the line it is in.
fn tamper(text: &mut String, start: usize, from: &str, to: &str) -> usize {
    let at = start + text[start..].find(from).unwrap();
    text.replace_range(at..at + from.len(), to);
    text[..at].lines().count()
}

fn find(text: &str, part: &str) -> usize {
    text.find(part).unwrap() + part.len()
}

#[test]
fn a_wrong_shard_byte_is_found() {
    let mut text = trace(&folder().join("fec-10-3.jsonl.gz"));
    // Behind the size field of the first recovered shard.
    let start = find(&text, "\"recovered\":[\"") + 4;
    let byte = if &text[start..=start] == "0" { "1" } else { "0" };
    let original = text[start..=start].to_owned();
    let line = tamper(&mut text, start, &original, byte);
    let mismatch = replay(&text).unwrap_err();
    assert_eq!(mismatch.line, line);
    assert!(
        mismatch.difference.starts_with("recovered shard 0 differs from byte 2 on: recorded [size "),
        "{mismatch}"
    );
}

#[test]
fn a_wrong_parity_byte_is_found() {
    let mut text = trace(&folder().join("fec-3-2-gaps.jsonl.gz"));
    let start = find(&text, "\"parity\":[{\"id\":");
    let line = tamper(&mut text, start, "f200", "f300");
    let mismatch = replay(&text).unwrap_err();
    assert_eq!(mismatch.line, line);
    assert!(
        mismatch.difference.starts_with("parity packet 0 differs from byte 4 on: recorded [seqid "),
        "{mismatch}"
    );
}

#[test]
fn a_wrong_state_number_is_found() {
    let mut text = trace(&folder().join("fec-autotune-stuck.jsonl.gz"));
    let start = find(&text, "\"st\":[3,2,1,");
    let line = tamper(&mut text, start - 12, "[3,2,1,", "[3,2,0,");
    let mismatch = replay(&text).unwrap_err();
    assert_eq!(mismatch.line, line);
    assert_eq!(mismatch.difference, "state; should_tune: recorded 0, engine 1");
}

#[test]
fn missing_and_surplus_packets_are_found() {
    let text = trace(&folder().join("fec-1-1-first-skip.jsonl.gz"));
    let mut surplus = text.clone();
    let start = surplus.find("\"op\":\"dec\"").unwrap();
    tamper(&mut surplus, start, "\"st\"", "\"recovered\":[\"0200\"],\"st\"");
    assert!(replay(&surplus).unwrap_err().difference.contains("engine none"));

    let mut missing = text;
    let from = missing.find(",\"recovered\":[").unwrap();
    let until = from + missing[from..].find("]").unwrap();
    missing.replace_range(from..=until, "");
    assert!(replay(&missing).unwrap_err().difference.contains("recorded none"));
}

#[test]
fn files_other_than_traces_are_refused() {
    for text in ["", "{}", "{\"format\":\"kcp-trace-1\"}", "no json"] {
        assert_eq!(replay(text).unwrap_err().line, 1);
    }
    let text = trace(&folder().join("fec-10-3.jsonl.gz"));
    let header = text.lines().next().unwrap();
    assert!(replay(header).is_err(), "a header alone proves nothing");
    assert!(replay(&format!("{header}\n{{\"op\":\"dec\",\"in\":7,\"st\":[0,0,0,0,0,0,0,0]}}")).is_err());
}
