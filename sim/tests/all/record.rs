//! Recordings agree with the counters of the run, are read back as written, and do not affect the run.
use crate::common::{rough, scenario};
use engine::{Cause, Instant};
use serde_json::{Value, json};
use sim::record::{Element, Event, EventKind, Files, Header, Recording};
use sim::{Direction, Outcome, Side, World};
use std::fs::File;
use std::io::{BufReader, Write as _};
use std::path::PathBuf;
use std::process::Command;

fn temporary(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn recorded(file: &Value) -> (Recording, Outcome) {
    recorded_run(file, 1)
}

fn recorded_run(file: &Value, seed: u64) -> (Recording, Outcome) {
    let scenario = scenario(file);
    let mut run = World::new(&scenario, seed);
    run.record(false);
    let mut events = Vec::new();
    while run.step() {
        events.extend(run.recorder().unwrap().take_events());
    }
    events.extend(run.recorder().unwrap().take_events());
    (Recording { header: Header::new(&scenario, seed), events }, run.finish())
}

fn count(recording: &Recording, is_it: impl Fn(&EventKind) -> bool) -> u64 {
    recording.events.iter().filter(|event| is_it(&event.kind)).count() as u64
}

fn sum(recording: &Recording, of: impl Fn(&EventKind) -> usize) -> u64 {
    recording.events.iter().map(|event| of(&event.kind) as u64).sum()
}

#[test]
fn recording_does_not_affect_the_run() {
    for file in [rough(), with(&rough(), "baseline", json!("cubic"))] {
        let (_, with) = recorded(&file);
        assert_eq!(with, sim::play(&scenario(&file), 1));
    }
}

fn with(file: &Value, key: &str, value: Value) -> Value {
    let mut file = file.clone();
    file[key] = value;
    file
}

#[test]
fn every_counted_loss_and_retransmission_is_recorded() {
    let mut rebuilt = [0; 2];
    for seed in 1..=4 {
        let found = losses_and_retransmissions(seed);
        rebuilt = [rebuilt[0] + found[0], rebuilt[1] + found[1]];
    }
    assert!(rebuilt[0] > 0 && rebuilt[1] > 0, "{rebuilt:?}");
}

/// Compares what was recorded with what was counted; the shards that each side rebuilt and used.
fn losses_and_retransmissions(seed: u64) -> [u64; 2] {
    let (recording, outcome) = recorded_run(&rough(), seed);
    let mut used = [0; 2];
    for (dir, link) in [(Direction::Up, &outcome.links.up), (Direction::Down, &outcome.links.down)] {
        let dropped = |by: Element| {
            count(
                &recording,
                |kind| matches!(kind, EventKind::Dropped { dir: d, by: b, .. } if (*d, *b) == (dir, by)),
            )
        };
        assert_eq!(dropped(Element::Loss), link.dropped_loss);
        assert_eq!(dropped(Element::Queue), link.dropped_queue);
        let sent = |kind: &EventKind| matches!(kind, EventKind::Sent(sent) if sent.side.sends() == dir);
        assert_eq!(count(&recording, sent), link.sent_packets);
        let held =
            |kind: &EventKind| matches!(kind, EventKind::Left { dir: d, held_back: true, .. } if *d == dir);
        assert_eq!(count(&recording, held), link.reordered_packets);
        assert!(link.dropped_loss > 0 && link.reordered_packets > 0);
    }
    let copies = count(&recording, |kind| matches!(kind, EventKind::Copied { .. }));
    assert_eq!(copies, outcome.links.up.duplicated_packets + outcome.links.down.duplicated_packets);
    for (side, counted) in [(Side::Client, &outcome.client), (Side::Server, &outcome.server)] {
        let causes = |cause: Cause| {
            sum(&recording, |kind| match kind {
                EventKind::Sent(sent) if sent.side == side => sent
                    .segments
                    .iter()
                    .filter(|s| s.again.as_ref().is_some_and(|again| again.cause == cause))
                    .count(),
                _ => 0,
            })
        };
        assert_eq!(causes(Cause::Fast), counted.stats.fast_retrans_segs);
        assert_eq!(causes(Cause::Early), counted.stats.early_retrans_segs);
        assert_eq!(causes(Cause::Timeout), counted.stats.lost_segs);
        let rebuilt = sum(&recording, |kind| match kind {
            EventKind::Rebuilt { side: of, seqids, .. } if *of == side => seqids.len(),
            _ => 0,
        });
        // Shards rebuilt before the peer's shape was proven are counted, but not used.
        assert!(rebuilt <= counted.stats.fec_recovered && counted.stats.retrans_segs > 0);
        used[side as usize] = rebuilt;
        let segments = sum(&recording, |kind| match kind {
            EventKind::Sent(sent) if sent.side == side => sent.segments.len(),
            _ => 0,
        });
        assert_eq!(segments, counted.stats.out_segs);
    }
    used
}

#[test]
fn fast_retransmissions_name_the_acknowledgements_that_passed() {
    let (recording, _) = recorded(&rough());
    let mut acked: Vec<(Side, u32)> = Vec::new();
    let mut checked = 0;
    for event in &recording.events {
        match &event.kind {
            EventKind::Acked { side, sns, una, .. } => {
                acked.extend(sns.iter().chain(una).map(|&sn| (*side, sn)))
            }
            EventKind::Sent(sent) => {
                let again = sent.segments.iter().filter_map(|s| Some((s.sn, s.again.as_ref()?)));
                for (sn, again) in again.filter(|(_, again)| again.cause == Cause::Fast) {
                    assert!(again.passed_by.len() >= 2, "resend is 2");
                    for by in &again.passed_by {
                        assert!(*by > sn && acked.contains(&(sent.side, *by)), "{by} did not pass {sn}");
                    }
                    checked += 1;
                }
            }
            _ => {}
        }
    }
    assert!(checked > 5, "{checked}");
}

#[test]
fn segments_are_acknowledged_once_and_streams_arrive_whole() {
    let (recording, outcome) = recorded(&rough());
    let read = |side: Side| {
        sum(&recording, |kind| match kind {
            EventKind::Read(span) if span.side == side => span.len as usize,
            _ => 0,
        })
    };
    assert_eq!(
        (read(Side::Server), read(Side::Client)),
        (outcome.useful_bytes.up, outcome.useful_bytes.down)
    );
    let carried = |side: Side| {
        sum(&recording, |kind| match kind {
            EventKind::Carries { side: of, frames, .. } if *of == side => {
                frames.iter().map(|f| f.len as usize).sum()
            }
            _ => 0,
        })
    };
    assert_eq!(
        (carried(Side::Client), carried(Side::Server)),
        (outcome.useful_bytes.up, outcome.useful_bytes.down)
    );
    let mut acked: Vec<(Side, u32)> = Vec::new();
    for event in &recording.events {
        if let EventKind::Acked { side, sns, una, .. } = &event.kind {
            acked.extend(sns.iter().chain(una).map(|&sn| (*side, sn)));
        }
    }
    let all = acked.len();
    acked.sort_unstable();
    acked.dedup();
    assert_eq!(acked.len(), all);
}

#[test]
fn a_recording_reads_back_as_it_was_written() {
    let (recording, outcome) = recorded(&rough());
    let path = temporary("recording.jsonl");
    let scenario = scenario(&rough());
    let mut files = Files::begin(&recording.header, Some(File::create(&path).unwrap()), None, None).unwrap();
    let mut run = World::new(&scenario, 1);
    run.record(false);
    while run.step() {
        files.take(run.recorder().unwrap()).unwrap();
    }
    files.take(run.recorder().unwrap()).unwrap();
    files.end(Instant::from_micros(outcome.sim_us), &outcome).unwrap();
    let mut read = Recording::read(BufReader::new(File::open(&path).unwrap())).unwrap();
    let Some(Event { kind: EventKind::Outcome { run }, .. }) = read.events.pop() else {
        panic!("no outcome")
    };
    assert_eq!(run.trace_hash, outcome.trace_hash);
    assert_eq!(read, recording);

    let text = std::fs::read_to_string(&path).unwrap();
    let refusal = |text: &str| Recording::read(text.as_bytes()).unwrap_err().to_string();
    assert!(refusal(&text[..text.len() / 2]).starts_with("line "));
    assert!(
        refusal(&text.replacen("karst-events/1", "karst-events/9", 1))
            .contains("format: is `karst-events/9`")
    );
    assert!(refusal("").starts_with("line 1: "));
    assert!(Recording::is_one(&text[..60]) && !Recording::is_one("{\"name\": \"x\"}"));
}

#[test]
fn faults_sessions_and_streams_are_recorded() {
    let mut file = rough();
    file["workloads"] = json!([{ "echo": { "name": "echo", "message_bytes": 100, "interval_ms": 10 } }]);
    file["duration_ms"] = json!(3000);
    file["faults"] = json!([{ "server_restart": { "at_ms": 1000, "down_ms": 300 } }]);
    let (recording, outcome) = recorded(&file);
    assert!(outcome.ok, "{:?}", outcome.violations);
    let faults: Vec<(u64, bool)> = recording
        .events
        .iter()
        .filter_map(|e| if let EventKind::Fault { healed, .. } = e.kind { Some((e.t, healed)) } else { None })
        .collect();
    assert_eq!(faults, [(1_000_000, false), (1_300_000, true)]);
    let began = count(&recording, |kind| matches!(kind, EventKind::Session { closed: None, .. }));
    assert_eq!(began, outcome.sessions.dials + outcome.sessions.accepted);
    assert!(count(&recording, |kind| matches!(kind, EventKind::Session { closed: Some(_), .. })) > 0);
    assert!(count(&recording, |kind| matches!(kind, EventKind::Reset(_))) >= 2);
    assert!(count(&recording, |kind| matches!(kind, EventKind::Dropped { by: Element::Down, .. })) > 0);
}

/// Output of tshark for a capture, one line per packet; `None` without tshark.
fn tshark(path: &PathBuf, fields: &[&str]) -> Option<Vec<Vec<String>>> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(path).args(["-n", "-T", "fields", "-E", "separator=|"]);
    command.args(fields.iter().flat_map(|field| ["-e", field]));
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "SKIPPED tshark: {error}");
            return None;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    Some(lines.lines().map(|line| line.split('|').map(String::from).collect()).collect())
}

#[test]
fn captures_open_in_tshark_and_the_clear_one_shows_kcp() {
    let scenario = scenario(&rough());
    let header = Header::new(&scenario, 1);
    let (wire, clear) = (temporary("wire.pcapng"), temporary("clear.pcapng"));
    let create = |path: &PathBuf| Some(File::create(path).unwrap());
    let mut files = Files::begin(&header, None, create(&wire), create(&clear)).unwrap();
    let mut run = World::new(&scenario, 1);
    run.record(true);
    while run.step() {
        files.take(run.recorder().unwrap()).unwrap();
    }
    files.take(run.recorder().unwrap()).unwrap();
    let outcome = run.finish();
    files.end(Instant::from_micros(outcome.sim_us), &outcome).unwrap();
    let fields =
        ["frame.interface_name", "ip.src", "udp.srcport", "ip.dst", "udp.dstport", "frame.time_epoch"];
    let Some(packets) = tshark(&wire, &fields) else { return };
    let at = |interface: &str, source: &str| {
        packets.iter().filter(|p| p[0] == interface && p[1] == source).count() as u64
    };
    assert_eq!(at("client", "10.0.0.1"), outcome.links.up.sent_packets);
    assert_eq!(at("server", "10.0.0.2"), outcome.links.down.sent_packets);
    let delivered = outcome.links.up.delivered_packets;
    assert!(at("server", "10.0.0.1").abs_diff(delivered) <= 2, "all that were delivered arrive");
    assert_eq!(packets[0][1..5], ["10.0.0.1", "40000", "10.0.0.2", "29900"]);
    let times: Vec<f64> = packets.iter().map(|packet| packet[5].parse().unwrap()).collect();
    assert!(times.is_sorted() && times[0] < 0.001);

    let packets = tshark(&clear, &["udp.payload", "frame.comment"]).unwrap();
    // Shard 0 of type 0xf1, its size, then conv; a PUSH (0x51) of sn 0.
    let [payload, comment] = &packets[0][..] else { panic!("{:?}", packets[0]) };
    assert!(payload.starts_with("00000000f100"), "{payload}");
    assert_eq!((&payload[24..26], &payload[40..48]), ("51", "00000000"));
    assert!(comment.starts_with("#1 data seqid=0; push sn=0 frg=0 ts="), "{comment}");
    assert!(packets.iter().any(|packet| packet[1].contains("transmission, fast: the acknowledgements of ")));
}
