//! Scenario files: accepted contents, and errors with file, path and reason.

use crate::common;
use engine::options::{Kind, Side, Value as OptionValue};
use serde_json::{Value, json};
use sim::plan::{
    ClockPlan, CodelPlan, HostPlan, LossPlan, Penalty, PolicerPlan, QueuePlan, ReorderPlan, Stall, Timeline,
    WanderPlan, WorkKind,
};
use sim::{Scenario, ScenarioFile};

fn minimal() -> Value {
    json!({
        "name": "test", "description": "One sentence.", "seed": 7, "duration_ms": 1000,
        "links": { "up": {}, "down": {} },
        "workloads": [{ "bulk": { "name": "download", "direction": "down", "bytes": 1000 } }]
    })
}

/// The minimal file with one value set at `pointer`, whose parent must exist.
fn with(pointer: &str, value: Value) -> Value {
    let mut file = minimal();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let parent = file.pointer_mut(parent).expect("an existing parent");
    match parent {
        Value::Array(items) => items[key.parse::<usize>().expect("an index")] = value,
        object => object[key] = value,
    }
    file
}

fn refusal(text: &str) -> (String, String) {
    let error = Scenario::parse("some.json", text).map(|_| ()).expect_err(text);
    assert_eq!(error.file, "some.json");
    let line = error.to_string();
    assert!(line.starts_with("some.json: ") && !line.contains('\n'), "{line}");
    (error.path, error.reason)
}

#[track_caller]
fn refused(file: &Value, path: &str, reason: &str) {
    let (got_path, got_reason) = refusal(&file.to_string());
    assert_eq!(got_path, path, "{got_reason}");
    assert!(got_reason.contains(reason), "{got_reason}");
}

#[test]
fn every_key_reaches_the_plan() {
    let mut file = minimal();
    file["drain_ms"] = json!("2.5");
    file["links"]["down"] = json!({
        "mtu_bytes": 1400, "loss_pct": "2.5", "loss_burst_packets": 3, "rate_kbit": 100, "queue_bytes": 64000,
        "queue_packets": 50, "delay_ms": "0.25", "jitter_ms": 2, "reorder_pct": 1, "reorder_delay_ms": 5,
        "duplicate_pct": "0.01", "corrupt_pct": [[0, 0], [2000, "0.5"]], "blackout": [[0, true], [1, false]],
        "drop_packets": [3, 9], "delay_packets_us": [[4, 1500], [2, 1]], "police_kbit": 90, "police_burst_bytes": 3000, "police_penalty_kbit": 10,
        "police_penalty_ms": 700, "codel_target_ms": 5, "codel_interval_ms": 100, "wander_ms": 20,
        "wander_correlation_ms": 320, "loss_after_queue": true, "unordered": true, "duplicate_before_queue": true
    });
    file["client"] = json!({ "mode": "fast3", "sndwnd": 77, "datashard": 0, "qpp-count": 7 });
    file["workloads"][0]["bulk"]["content"] = json!("text");
    file["workloads"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "echo": { "name": "echo", "message_bytes": 9, "interval_ms": 50, "start_ms": 100 } }));
    let plan = Scenario::parse("some.json", &file.to_string()).unwrap();
    assert_eq!((plan.duration_us, plan.drain_us), (1_000_000, Some(2_500)));
    assert_eq!(plan.down.mtu_bytes, Some(1400.into()));
    assert_eq!(plan.down.loss, LossPlan::Burst { ppm: 25_000, burst_thousandths: 3_000 }.into());
    let codel = Some(CodelPlan { target_us: 5_000, interval_us: 100_000 });
    let queue = QueuePlan { bits_per_s: 100_000, bytes_max: 64_000, packets_max: 50, codel };
    assert_eq!(plan.down.queue, Some(queue.into()));
    assert_eq!((&plan.down.delay_us, &plan.down.jitter_us), (&250.into(), &2_000.into()));
    assert_eq!(plan.down.reorder, Some(ReorderPlan { ppm: 10_000, extra_us: 5_000 }.into()));
    assert_eq!(plan.down.duplicate_ppm, 100.into());
    assert!(plan.down.loss_after_queue && plan.down.unordered && plan.down.duplicate_before_queue);
    assert_eq!(plan.down.corrupt_ppm, Timeline::from(0).then(2_000_000, 5_000));
    assert_eq!(plan.down.blackout, Timeline::from(true).then(1_000, false));
    assert_eq!(plan.down.drop_packets, [3, 9]);
    assert_eq!(plan.down.delay_packets, [(4, 1_500), (2, 1)]);
    let penalty = Some(Penalty { bits_per_s: 10_000, for_us: 700_000 });
    let policer = PolicerPlan { bits_per_s: 90_000, burst_bytes: 3_000, penalty };
    assert_eq!(plan.down.policer, Some(policer.into()));
    let wander = WanderPlan { amplitude_us: 20_000, correlation_us: 320_000 };
    assert_eq!(plan.down.wander, Some(wander.into()));
    assert_eq!(plan.up, sim::plan::LinkPlan::default());
    assert_eq!((plan.client.settings.sndwnd, plan.client.settings.qpp_count), (77, 7));
    assert_eq!(plan.server.settings, engine::Settings::server());
    assert_eq!((plan.work[1].name.as_str(), plan.work[1].start_us), ("echo", 100_000));
    assert!(matches!(&plan.work[1].kind, WorkKind::Echo(echo) if echo.interval_us == 50_000));
}

#[test]
fn files_other_than_scenarios_are_refused() {
    let (path, reason) = refusal("{");
    assert_eq!(path, ".");
    assert!(reason.contains("EOF"), "{reason}");
    let (path, reason) = refusal(&format!("{} x", minimal()));
    assert_eq!(path, ".");
    assert!(reason.contains("trailing"), "{reason}");
    let mut file = minimal();
    file.as_object_mut().unwrap().remove("seed");
    refused(&file, ".", "missing field `seed`");
}

#[test]
fn unknown_keys_are_refused_where_they_stand() {
    refused(&with("/speed", json!(1)), "speed", "unknown field `speed`");
    refused(&with("/links/up", json!({ "rate_mbit": 1 })), "links.up.rate_mbit", "unknown field");
    refused(&with("/links", json!({ "up": {}, "down": {}, "left": {} })), "links.left", "unknown field");
    refused(&with("/client", json!({ "conn": 4 })), "client.conn", "unknown field");
    let file = with("/workloads/0", json!({ "bulk": { "name": "a", "direction": "up", "size": 1 } }));
    refused(&file, "workloads[0].bulk.size", "unknown field");
    refused(&with("/workloads/0", json!({ "game": {} })), "workloads[0]", "unknown variant `game`");
}

#[test]
fn values_of_the_wrong_kind_are_refused() {
    refused(&with("/seed", json!(-1)), "seed", "invalid value");
    refused(&with("/duration_ms", json!(0.5)), "duration_ms", "between 1 ms and 30 days");
    let link = json!({ "loss_pct": "two" });
    refused(&with("/links/down", link), "links.down.loss_pct", "at most 4 decimals");
    let file = with("/workloads/0", json!({ "bulk": { "name": "a", "direction": "left" } }));
    refused(&file, "workloads[0].bulk.direction", "unknown variant `left`");
}

#[test]
fn impossible_links_are_refused() {
    let link = |keys: Value, key: &str, reason: &str| {
        refused(&with("/links/up", keys), &format!("links.up.{key}"), reason);
    };
    link(json!({ "mtu_bytes": 20 }), "mtu_bytes", "between 68 and 65535");
    link(json!({ "loss_pct": 101 }), "loss_pct", "more than 100 percent");
    link(json!({ "loss_burst_packets": 3 }), "loss_burst_packets", "needs loss_pct");
    link(json!({ "loss_pct": 1, "loss_burst_packets": "0.5" }), "loss_burst_packets", "between 1 and");
    link(
        json!({ "loss_pct": 80, "loss_burst_packets": 2 }),
        "loss_burst_packets",
        "too short for that loss_pct",
    );
    link(json!({ "queue_bytes": 9000 }), "queue_bytes", "needs rate_kbit");
    link(json!({ "queue_packets": 9 }), "queue_packets", "needs rate_kbit");
    link(json!({ "rate_kbit": 1000 }), "rate_kbit", "needs queue_bytes or queue_packets");
    link(json!({ "rate_kbit": 0, "queue_packets": 1 }), "rate_kbit", "must end above 0");
    link(json!({ "rate_kbit": 1, "queue_packets": 0 }), "queue_packets", "at least 1");
    link(json!({ "rate_kbit": 1, "queue_bytes": 100 }), "queue_bytes", "at least 1500");
    link(json!({ "delay_ms": 60001 }), "delay_ms", "at most a minute");
    link(json!({ "jitter_ms": 60001 }), "jitter_ms", "at most a minute");
    link(json!({ "delay_ms": [[0, 1], [5, 60001]] }), "delay_ms", "at most a minute");
    link(json!({ "delay_ms": [[0, 1], [5, "x"]] }), "delay_ms[1][1]", "3 decimals");
    link(json!({ "delay_ms": [[1, 1]] }), "delay_ms", "starts with a pair at 0");
    link(json!({ "blackout": 1 }), "blackout", "expected a boolean");
    link(json!({ "drop_packets": [3, 0] }), "drop_packets[1]", "count from 1");
    link(
        json!({ "drop_packets": [3, 4, 3] }),
        "drop_packets[2]",
        "listed already, at links.up.drop_packets[0]",
    );
    let too_many: Vec<u64> = (1..=10_001).collect();
    link(json!({ "drop_packets": too_many }), "drop_packets", "at most 10000");
    link(json!({ "delay_packets_us": [[0, 5]] }), "delay_packets_us[0]", "count from 1");
    link(
        json!({ "delay_packets_us": [[7, 5], [7, 6]] }),
        "delay_packets_us[1]",
        "packet 7 is listed already",
    );
    link(json!({ "delay_packets_us": [[7, 5], [8, 0]] }), "delay_packets_us[1][1]", "above 0");
    link(
        json!({ "delay_packets_us": [[8, 3_600_000_001_u64]] }),
        "delay_packets_us[0][1]",
        "at most an hour",
    );
    link(json!({ "delay_packets_us": [7] }), "delay_packets_us[0]", "invalid type");
    link(
        json!({ "drop_packets": [7], "delay_packets_us": [[6, 5], [7, 5]] }),
        "delay_packets_us[1]",
        "listed already, at links.up.drop_packets[0]",
    );
    link(
        json!({ "loss_pct": [[0, 1], [9, 80]], "loss_burst_packets": 2 }),
        "loss_burst_packets",
        "too short for that loss_pct",
    );
    link(json!({ "police_kbit": 1 }), "police_kbit", "needs police_burst_bytes");
    link(json!({ "police_burst_bytes": 9000 }), "police_burst_bytes", "needs police_kbit");
    link(json!({ "police_penalty_ms": 9 }), "police_penalty_ms", "needs police_kbit");
    let policed = |key: &str, value: u64| {
        let mut keys = json!({ "police_kbit": 1, "police_burst_bytes": 9000 });
        keys[key] = json!(value);
        keys
    };
    link(policed("police_penalty_ms", 9), "police_penalty_ms", "needs police_penalty_kbit");
    link(policed("police_penalty_kbit", 0), "police_penalty_kbit", "between 1 and");
    link(policed("police_burst_bytes", 9), "police_burst_bytes", "between 1500 and");
    link(json!({ "codel_target_ms": 5 }), "codel_target_ms", "needs rate_kbit");
    let codel = json!({ "rate_kbit": 1, "queue_packets": 9, "codel_target_ms": 5 });
    link(codel, "codel_target_ms", "needs codel_interval_ms");
    link(json!({ "wander_ms": 5 }), "wander_ms", "needs wander_correlation_ms");
    link(
        json!({ "wander_ms": 5, "wander_correlation_ms": 15 }),
        "wander_correlation_ms",
        "between 16 ms and an hour",
    );
    link(json!({ "reorder_pct": 1 }), "reorder_pct", "needs reorder_delay_ms");
    link(json!({ "reorder_delay_ms": 1 }), "reorder_delay_ms", "needs reorder_pct");
    link(json!({ "reorder_pct": 1, "reorder_delay_ms": 0 }), "reorder_delay_ms", "above 0");
}

#[test]
fn machines_reach_the_plan() {
    let mut file = minimal();
    file["hosts"] = json!({ "server": {
        "receive_buffer_bytes": 9000, "timer_slack_ms": 2, "cpu_us_per_datagram": [[0, 5], [10, 50]],
        "stalls": [{ "at_ms": 10, "for_ms": 5 }, { "every_ms": 100, "for_ms": 1 }], "clock_offset_ms": "wrap"
    } });
    let plan = Scenario::parse("some.json", &file.to_string()).unwrap();
    let server = HostPlan {
        receive_buffer_bytes: 9_000.into(),
        stalls: vec![
            Stall::Once { at_us: 10_000, for_us: 5_000 },
            Stall::Every { period_us: 100_000, for_us: 1_000 },
        ],
        timer_slack_us: 2_000.into(),
        cpu_us_per_datagram: Timeline::from(5).then(10_000, 50),
        clock: ClockPlan::Wrap,
    };
    assert_eq!((plan.hosts.client, plan.hosts.server), (HostPlan::default(), server));
}

#[test]
fn impossible_machines_are_refused() {
    let host = |keys: Value, key: &str, reason: &str| {
        refused(&with("/hosts", json!({ "client": keys })), &format!("hosts.client.{key}"), reason);
    };
    host(json!({ "cores": 4 }), "cores", "unknown field");
    host(json!({ "receive_buffer_bytes": 10 }), "receive_buffer_bytes", "between 1500 and");
    host(json!({ "timer_slack_ms": 60001 }), "timer_slack_ms", "at most a minute");
    host(json!({ "cpu_us_per_datagram": 1_000_001 }), "cpu_us_per_datagram", "at most 1000000");
    host(json!({ "stalls": [{ "for_ms": 1 }] }), "stalls[0]", "either at_ms or every_ms");
    host(json!({ "stalls": [{ "at_ms": 1, "every_ms": 1, "for_ms": 1 }] }), "stalls[0]", "either at_ms or");
    host(json!({ "stalls": [{ "at_ms": 1, "for_ms": 0 }] }), "stalls[0].for_ms", "above 0");
    host(json!({ "stalls": [{ "every_ms": 5, "for_ms": 5 }] }), "stalls[0].for_ms", "shorter than every_ms");
    host(json!({ "clock_offset_ms": "later" }), "clock_offset_ms", "3 decimals");
    host(json!({ "clock_offset_ms": true }), "clock_offset_ms", "a time in ms, or \"wrap\"");
    host(json!({ "clock_offset_ms": 8_589_934_593_u64 }), "clock_offset_ms", "at most 8589934592");
}

#[test]
fn impossible_frames_are_refused() {
    refused(&with("/name", json!("")), "name", "must not be empty");
    refused(&with("/description", json!(" ")), "description", "must not be empty");
    refused(&with("/duration_ms", json!(0)), "duration_ms", "between 1 ms and 30 days");
    refused(&with("/drain_ms", json!(86_400_001)), "drain_ms", "between 1 ms and a day");
}

#[test]
fn corruption_without_a_checksum_is_refused() {
    let mut file = with("/links/down", json!({ "corrupt_pct": [[0, 0], [5, 1]] }));
    assert!(Scenario::parse("some.json", &file.to_string()).is_ok());
    file["server"] = json!({ "crypt": "null" });
    refused(&file, "links.down.corrupt_pct", "needs a cipher with a checksum");
}

#[test]
fn impossible_options_are_refused() {
    refused(&with("/client", json!({ "crypt": "rot13" })), "client.crypt", "must be aes, ");
    refused(&with("/server", json!({ "mode": "faster" })), "server.mode", "must be auto, fast3");
    let (path, _) = refusal(&with("/server", json!({ "smuxver": 9 })).to_string());
    assert_eq!(path, "server.smuxver");
}

#[test]
fn impossible_workloads_are_refused() {
    refused(&with("/workloads", json!([])), "workloads", "between 1 and 1000");
    let bulk = |keys: Value, key: &str, reason: &str| {
        let mut all = json!({ "name": "a", "direction": "up" });
        all.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        refused(&with("/workloads/0", json!({ "bulk": all })), &format!("workloads[0].bulk.{key}"), reason);
    };
    bulk(json!({ "name": "" }), "name", "must not be empty");
    bulk(json!({ "bytes": 0 }), "bytes", "between 1 and");
    bulk(json!({ "start_ms": 86_400_001 }), "start_ms", "at most a day");
    let echo = |keys: Value, key: &str, reason: &str| {
        let mut all = json!({ "name": "a", "message_bytes": 1, "interval_ms": 1 });
        all.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        refused(&with("/workloads/0", json!({ "echo": all })), &format!("workloads[0].echo.{key}"), reason);
    };
    echo(json!({ "message_bytes": 0 }), "message_bytes", "between 1 and 65536");
    echo(json!({ "interval_ms": 0 }), "interval_ms", "between 0.1 ms and a day");
    echo(json!({ "start_ms": 86_400_001 }), "start_ms", "at most a day");
    let twice = json!([
        { "echo": { "name": "same", "message_bytes": 1, "interval_ms": 1 } },
        { "bulk": { "name": "same", "direction": "up" } }
    ]);
    refused(&with("/workloads", twice), "workloads[1].bulk.name", "is used by another workload");
}

#[test]
fn keys_that_stand_twice_are_refused_where_they_stand() {
    let text = minimal().to_string().replace("\"up\":{}", "\"up\":{\"delay_ms\":1,\"delay_ms\":2}");
    let (path, reason) = refusal(&text);
    assert_eq!(path, "links.up.delay_ms");
    assert!(reason.contains("occurs twice"), "{reason}");
}

#[test]
fn values_left_to_the_seed_are_drawn_and_the_impossible_ones_refused_before() {
    let mut file = minimal();
    file["links"]["up"] = json!({ "delay_ms": "10..80", "loss_pct": { "choice": [0, "0.5..1.5"] } });
    file["client"] = json!({ "mode": { "choice": ["fast", "fast3"] } });
    let read = sim::ScenarioFile::parse("some.json", &file.to_string()).unwrap();
    let delays: Vec<u64> =
        (1..50).map(|seed| read.draw(seed).unwrap().up.delay_us.at(engine::Instant::ZERO) / 1_000).collect();
    assert!(delays.iter().all(|ms| (10..=80).contains(ms)) && delays.iter().any(|ms| *ms != delays[0]));
    let lossless = |seed| read.draw(seed).unwrap().up.loss == LossPlan::Bernoulli { ppm: 0 }.into();
    assert!((1..50).any(lossless) && !(1..50).all(lossless));
    assert_eq!(read.draw(3).unwrap().up, read.draw(3).unwrap().up);

    refused(
        &with("/links/up", json!({ "delay_ms": "80..10" })),
        "links.up.delay_ms",
        "ends before it begins",
    );
    refused(&with("/links/up", json!({ "delay_ms": "10..99999" })), "links.up.delay_ms", "at most a minute");
    refused(
        &with("/links/up", json!({ "delay_ms": { "choice": [] } })),
        "links.up.delay_ms",
        "something to choose",
    );
    refused(
        &with("/links/up", json!({ "delay_ms": { "choice": [1, 2, "x"] } })),
        "links.up.delay_ms",
        "found x",
    );
    refused(&with("/seed", json!("1..2")), "seed", "cannot be drawn");
    refused(&with("/client", json!({ "mode": "1..2" })), "client.mode", "expected a string");
}

#[test]
fn generations_and_karsts_own_options_reach_the_engine() {
    let mut file = minimal();
    file["client"] = json!({ "generation": "2021", "no-probe": true });
    file["server"] = json!({ "generation": "2026", "no-migrate": true, "ratelimit": 1000 });
    let plan = Scenario::parse("some.json", &file.to_string()).unwrap();
    let (client, server) = (&plan.client.config, &plan.server.config);
    assert_eq!((client.generation, client.probe, client.migrate), (engine::Generation::Go2021, false, true));
    assert_eq!((server.generation, server.probe, server.migrate), (engine::Generation::Go2026, true, false));
    assert_eq!(server.rate_bytes_s, 1000);
    refused(&with("/client", json!({ "generation": "2022" })), "client.generation", "must be 2021 or 2026");
}

#[test]
fn sides_have_exactly_the_options_of_the_engine() {
    for flag in engine::Settings::TABLE {
        let key = flag.json.unwrap();
        for (side, name) in [(Side::Client, "client"), (Side::Server, "server")] {
            let default = flag.default_for(side).unwrap_or(OptionValue::Bool(false));
            let json = if flag.kind == Kind::Text {
                json!(default.to_string())
            } else {
                default.to_string().parse().unwrap()
            };
            let plan =
                Scenario::parse("some.json", &with(&format!("/{name}"), json!({ key: json })).to_string());
            let plan = plan.unwrap_or_else(|error| panic!("{error}"));
            let settings = if side == Side::Client { plan.client.settings } else { plan.server.settings };
            assert_eq!(settings.value(flag), Some(default), "{key}");
            let wrong = if flag.kind == Kind::Bool { json!("on") } else { json!(true) };
            refused(&with(&format!("/{name}"), json!({ key: wrong })), &format!("{name}.{key}"), "expected ");
        }
    }
    let of_programs = ["conn", "listen", "log", "QPP", "QPPCount", "Mtu"];
    for key in of_programs {
        refused(&with("/client", json!({ key: 1 })), &format!("client.{key}"), "unknown field");
    }
}

#[test]
fn impossible_expectations_are_refused() {
    let expect = |keys: Value, path: &str, reason: &str| refused(&with("/expect", keys), path, reason);
    let nobody = json!({ "goodput_kbit": { "upload": { "min": 1 } } });
    expect(nobody, "expect.goodput_kbit.upload", "no workload has that name");
    let nobody = json!({ "latency_ms": { "echo": { "p50": 1 } } });
    expect(nobody, "expect.latency_ms.echo", "no workload has that name");
    let unknown = json!({ "latency_ms": { "download": { "p42": 1 } } });
    expect(unknown, "expect.latency_ms.download.p42", "unknown field");
    expect(json!({ "speed": 1 }), "expect.speed", "unknown field");
}

#[test]
fn the_committed_scenarios_are_accepted() {
    let files = common::committed();
    assert!(files.len() >= 3, "{}", files.len());
    for (path, text) in files {
        let scenario = Scenario::parse("file", &text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        assert_eq!(path.file_stem().unwrap().to_str().unwrap(), scenario.name);
    }
}

/// The minimal file with that text as the value of a key of the link from client to server.
fn with_text(key: &str, text: &str) -> String {
    let marked = with("/links/up", json!({ key: "MARK" }));
    marked.to_string().replace("\"MARK\"", text)
}

#[test]
fn decimals_are_read_digit_by_digit() {
    let delay_us = |text: &str| {
        let plan =
            Scenario::parse("some.json", &with_text("delay_ms", text)).unwrap_or_else(|e| panic!("{e}"));
        plan.up.delay_us.values().collect::<Vec<_>>()
    };
    for (text, us) in [
        ("0.1", 100),
        ("22.5", 22_500),
        ("22.500000", 22_500),
        ("1e3", 1_000_000),
        ("25e-1", 2_500),
        ("0.001", 1),
        ("0.0", 0),
        ("\"22.5\"", 22_500),
        ("2.5E+1", 25_000),
    ] {
        assert_eq!(delay_us(text), [us], "{text}");
    }
    assert_eq!(delay_us("[[0, 22.5], [0.5, 1e1], [1.25, \"0.125\"]]"), [22_500, 10_000, 125]);
    assert_eq!(delay_us("{ \"choice\": [0.3] }"), [300]);
    assert_eq!(delay_us("\"0.5..0.5\""), [500]);
    let loss = Scenario::parse("some.json", &with_text("loss_pct", "22.5")).unwrap().up.loss;
    assert_eq!(loss, LossPlan::Bernoulli { ppm: 225_000 }.into());
}

#[test]
fn decimals_that_no_unit_holds_are_refused_with_their_place() {
    for (key, text, reason) in [
        ("delay_ms", "0.0001", "at most 3 decimals, found 0.0001"),
        ("delay_ms", "1e-4", "at most 3 decimals, found 0.0001"),
        ("delay_ms", "0.10000000000000001", "at most 3 decimals"),
        ("delay_ms", "-0.5", "expected a number from 0"),
        ("delay_ms", "1e400", "1e400: the number is too large"),
        ("delay_ms", "1e-400", "1e-400: too many digits after the point"),
        ("delay_ms", "18446744073709551616", "too large"),
        ("delay_ms", "18446744073709551615.5", "too large"),
        ("loss_pct", "0.00001", "at most 4 decimals"),
        ("loss_pct", "100.0001", "more than 100 percent"),
        ("rate_kbit", "22.5", "expected u64"),
    ] {
        let (path, got) = refusal(&with_text(key, text));
        assert_eq!(path, format!("links.up.{key}"), "{got}");
        assert!(got.contains(reason), "{text}: {got}");
    }
    assert_eq!(refusal(&with_text("delay_ms", "[[0, 1], [2, 0.0001]]")).0, "links.up.delay_ms[1][1]");
}

/// The simulator refuses it by name; in real time, time passes by itself.
#[test]
fn a_transfer_without_end_needs_a_link_on_which_time_passes() {
    let refusal = |direction: &str, up: Value, down: Value| {
        let mut file = minimal();
        file["links"] = json!({ "up": up, "down": down });
        file["workloads"] = json!([{ "bulk": { "name": "endless", "direction": direction } }]);
        let file = ScenarioFile::parse("some.json", &file.to_string()).unwrap();
        file.for_simulation().err().map(|error| (error.path, error.reason))
    };
    let (none, rate) = (json!({}), json!({ "rate_kbit": 1000, "queue_packets": 9 }));
    let reason =
        "needs rate_kbit or delay_ms: a bulk transfer without bytes would not let time pass".to_owned();
    assert_eq!(refusal("down", none.clone(), none.clone()), Some(("links.down".into(), reason.clone())));
    assert_eq!(refusal("up", none.clone(), rate.clone()), Some(("links.up".into(), reason)));
    for (up, down) in [(json!({ "delay_ms": 1 }), none.clone()), (none, rate)] {
        assert_eq!(refusal("down", up, down), None);
    }
}

/// Rate 0 is an outage, which must end.
#[test]
fn an_outage_of_the_transmitter_ends() {
    let with = |rate: Value| {
        let mut file = minimal();
        file["links"]["down"] = json!({ "rate_kbit": rate, "queue_packets": 9 });
        file
    };
    assert!(Scenario::parse("some.json", &with(json!([[0, 0], [5, 100]])).to_string()).is_ok());
    refused(&with(json!([[0, 100], [5, 0]])), "links.down.rate_kbit", "must end above 0");
    refused(&with(json!(0)), "links.down.rate_kbit", "must end above 0");
}
