//! Explanations of segments, streams and moments: event, place, cause.
use serde_json::{Value, json};
use sim::record::Recording;
use sim::record::{EventKind, Header};
use sim::tools::explain::{Only, Subject, explain};
use sim::{Scenario, Side, World};
use std::path::PathBuf;
use std::process::{Command, Output};

/// An upload over a clean line that drops chosen packets, with or without FEC.
fn upload(drop_packets: &[u64], parity: u64) -> Value {
    let up =
        json!({ "delay_ms": 20, "rate_kbit": 20000, "queue_bytes": 200000, "drop_packets": drop_packets });
    let side =
        json!({ "mode": "fast3", "governor": "off", "datashard": 10, "parityshard": parity, "nocomp": true });
    json!({
        "name": "upload", "description": "One upload.", "seed": 1, "duration_ms": 5000,
        "links": { "up": up, "down": { "delay_ms": 20 } },
        "client": side, "server": side,
        "workloads": [{ "bulk": { "name": "upload", "direction": "up", "bytes": 200_000 } }]
    })
}

fn recorded(file: &Value) -> Recording {
    let scenario = Scenario::parse("upload.json", &file.to_string()).unwrap();
    let mut run = World::new(&scenario, 1);
    run.record(false);
    while run.step() {}
    let events = run.recorder().unwrap().take_events();
    assert!(run.finish().ok);
    Recording { header: Header::new(&scenario, 1), events }
}

/// The first data segment of datagram `n`.
fn segment_in(recording: &Recording, n: u64) -> u32 {
    let found = recording.events.iter().find_map(|event| match &event.kind {
        EventKind::Sent(sent) if sent.n == n => sent.segments.first().map(|segment| segment.sn),
        _ => None,
    });
    found.unwrap()
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let Some(at) = rest.find(part) else { panic!("`{part}` is missing, or too early, in\n{text}") };
        rest = &rest[at + part.len()..];
    }
}

#[test]
fn a_retransmission_names_the_later_acknowledged_segments() {
    let recording = recorded(&upload(&[30], 0));
    // All packets before it go up, so it is also the 30th datagram.
    let sn = segment_in(&recording, 30);
    let text = explain(&recording, Subject::Segment(sn), Only::default()).unwrap();
    let passed = format!("fast: the acknowledgements of {}, {} passed it", sn + 1, sn + 2);
    has(
        &text,
        &[
            "upload  seed 1  over karst",
            &format!("segment {sn}, client to server, session 0"),
            "stream 3 bytes",
            "client  sent; in #30",
            "up      #30 lost: on the list of packets to drop",
            "client  retransmitted: second transmission, ",
            "server  #",
            "server  in order, and ",
            "server  the application reads stream 3",
            "client  ",
            " ms after the first transmission",
        ],
    );
    assert!(text.contains(&passed) || text.contains("early: "), "{text}");
    assert!(!text.contains("rebuilt"));
}

#[test]
fn a_rebuilt_segment_names_its_parity() {
    let recording = recorded(&upload(&[82], 3));
    let lost = recording.events.iter().find_map(|event| match event.kind {
        EventKind::Dropped { n, .. } => Some(n),
        _ => None,
    });
    let sn = segment_in(&recording, lost.unwrap());
    let text = explain(&recording, Subject::Segment(sn), Only::default()).unwrap();
    // The 82nd is shard 81, the fourth of the seventh group: 78..90, parity from 88 on.
    has(
        &text,
        &["lost: on the list", "server  rebuilt: shard 81 from parity 88, when #", "server  in order"],
    );
}

#[test]
fn a_stream_lists_milestones_and_delayed_segments() {
    let recording = recorded(&upload(&[30, 31, 60], 0));
    let text = explain(&recording, Subject::Stream(3), Only::default()).unwrap();
    has(
        &text,
        &[
            "stream 3, session 0",
            "client  opened",
            "client  the application writes 200,000 bytes",
            "server  last read of the application: 200,000 bytes in total",
            "client to server: ",
            "segments, ",
            "delay until in order: p50 ",
            "sent",
            "lost: on the list of packets to drop",
            "retransmitted: second transmission",
        ],
    );
    // The first two are neighbours with the same history.
    assert_eq!(text.matches("lost: on the list").count(), 2, "{text}");
    has(&text, &["29, 30 sent\n", "29, 30 retransmitted: second", "the last of them arrives"]);
    assert!(!text.contains("not in order"), "{text}");
    let other = Only { side: Some(Side::Server), session: None };
    assert!(!explain(&recording, Subject::Stream(3), other).unwrap().contains("client to server"));
}

#[test]
fn a_moment_has_its_state_and_surrounding_events() {
    let recording = recorded(&upload(&[30], 3));
    let subject = Subject::Moment { at_us: 60_000, around_us: 5_000 };
    let text = explain(&recording, subject, Only::default()).unwrap();
    has(
        &text,
        &[
            "at 60.000 ms",
            "session 0 client: round trip ",
            "queue up: ",
            "within 5.000 ms",
            "server  gets #",
            "push ",
        ],
    );
    let times = text.lines().filter(|line| line.contains("+ ")).count();
    assert!(times > 5, "{text}");
}

#[test]
fn absent_subjects_have_no_explanation() {
    let recording = recorded(&upload(&[], 3));
    for subject in
        [Subject::Segment(99_999), Subject::Stream(99), Subject::Moment { at_us: u64::MAX, around_us: 1 }]
    {
        assert_eq!(explain(&recording, subject, Only::default()), None);
    }
    let other = Only { side: None, session: Some(7) };
    assert_eq!(explain(&recording, Subject::Segment(1), other), None);
}

fn karst_sim(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_karst-sim")).args(args).output().expect("karst-sim starts")
}

#[test]
fn the_command_explains_a_scenario_and_its_recording_alike() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (scenario, recording) = (folder.join("explained.json"), folder.join("explained.jsonl"));
    std::fs::write(&scenario, upload(&[30], 3).to_string()).unwrap();
    let (scenario, recording) = (scenario.to_str().unwrap(), recording.to_str().unwrap());
    assert_eq!(karst_sim(&["run", scenario, "--events", recording]).status.code(), Some(0));
    for subject in [["--sn", "5"], ["--stream", "3"], ["--at", "50.5"]] {
        let [played, read] =
            [scenario, recording].map(|run| karst_sim(&[&["explain", run], &subject[..]].concat()));
        assert_eq!(played.status.code(), Some(0), "{played:?}");
        assert_eq!(played.stdout, read.stdout);
        assert!(!played.stdout.is_empty());
    }
    let refused = |args: &[&str], reason: &str| {
        let output = karst_sim(args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains(reason), "{said}");
    };
    refused(&["explain", recording, "--sn", "5", "--seed", "2"], "is a recording");
    refused(&["explain", scenario, "--sn", "99999"], "the run does not contain it");
    refused(&["explain", scenario], "--stream");
    refused(&["explain", scenario, "--at", "1.2345"], "at most 3 decimals");
    refused(
        &["run", scenario, "--seeds", "1..2", "--events", recording],
        "only a single run can be recorded",
    );
    refused(&["explain", "missing.jsonl", "--sn", "1"], "missing.jsonl");
}

#[test]
fn a_moment_shows_the_estimates_of_the_controller() {
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/auto/clean.json");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_karst-sim"))
        .args(["explain", scenario, "--at", "2000"])
        .output()
        .expect("karst-sim runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("server: controller in ") && text.contains("bottleneck 48"), "{text}");
}
