//! The published schemas: committed as generated, valid for every scenario and result, and as strict about keys as the
//! parser.

use crate::common::{committed, rough, scenario};
use jsonschema::Validator;
use serde_json::{Value, json};
use sim::{Scenario, play, schema};

fn validator(schema: &Value) -> Validator {
    jsonschema::validator_for(schema).expect("the schema is a schema")
}

/// Update with `karst-sim schema scenario > scenarios/schema.json`, and `result` and `events` for the others.
#[test]
fn the_committed_schemas_are_the_generated_ones() {
    let read = |name: &str| -> Value {
        let path = format!("{}/../scenarios/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("the schema is committed");
        serde_json::from_str(&text).expect("the schema is JSON")
    };
    assert_eq!(read("schema.json"), schema::scenario());
    assert_eq!(read("results-schema.json"), schema::results());
    assert_eq!(read("events-schema.json"), schema::events());
}

#[test]
fn every_committed_scenario_is_valid() {
    let validator = validator(&schema::scenario());
    for (path, text) in committed() {
        let file: Value = serde_json::from_str(&text).unwrap();
        let errors: Vec<String> = validator.iter_errors(&file).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{path:?}: {errors:?}");
    }
}

#[test]
fn every_line_of_a_recording_is_valid() {
    let validator = validator(&schema::events());
    let scenario = scenario(&rough());
    let mut run = sim::World::new(&scenario, 1);
    run.record(false);
    for _ in 0..1_500 {
        run.step();
    }
    let header = serde_json::to_value(sim::record::Header::new(&scenario, 1)).unwrap();
    let events = run.recorder().unwrap().take_events();
    let kinds: std::collections::BTreeSet<_> =
        events.iter().map(|e| std::mem::discriminant(&e.kind)).map(|d| format!("{d:?}")).collect();
    assert!(kinds.len() > 12, "{kinds:?}");
    let mut lines: Vec<Value> = events.iter().map(|event| serde_json::to_value(event).unwrap()).collect();
    lines.insert(0, header);
    for line in &lines {
        assert!(validator.is_valid(line), "{line}: {:?}", validator.validate(line).err());
    }
    let sent = lines.iter_mut().find(|line| line["e"] == "sent").unwrap();
    sent["side"] = json!("nobody");
    assert!(!validator.is_valid(sent));
}

#[test]
fn outcomes_of_runs_are_valid() {
    let validator = validator(&schema::results());
    let outcome = play(&scenario(&rough()), 1);
    let mut results = serde_json::to_value(sim::outcome::Results::new(vec![outcome])).unwrap();
    assert!(validator.is_valid(&results), "{:?}", validator.validate(&results).err());
    results["runs"][0]["trace_hash"] = json!("no hash");
    assert!(!validator.is_valid(&results));
}

/// The rough scenario with `value` at the key that `pointer` names.
fn with(pointer: &str, value: Value) -> Value {
    let mut file = rough();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    file.pointer_mut(parent).expect("an existing parent")[key] = value;
    file
}

#[test]
fn values_left_to_the_seed_and_schedules_are_valid_for_both() {
    let validator = validator(&schema::scenario());
    let valid = |pointer: &str, value: Value| {
        let file = with(pointer, value);
        assert!(Scenario::parse("test.json", &file.to_string()).is_ok(), "{pointer}: {file}");
        assert!(validator.is_valid(&file), "{pointer}: {:?}", validator.validate(&file).err());
    };
    valid("/links/up/delay_ms", json!("10..80"));
    valid("/links/up/delay_ms", json!("0.25"));
    valid("/links/up/delay_ms", json!(22.5));
    valid("/links/up/loss_pct", json!({ "choice": [1, 3.5] }));
    valid("/links/up/delay_ms", json!([[0, 22.5], [0.5, "1.5..2.5"]]));
    valid("/workloads/0/bulk/start_ms", json!(0.125));
    valid("/links/up/loss_pct", json!({ "choice": [1, "3.5", "0.5..2"] }));
    valid("/links/up/rate_kbit", json!([[0, 20000], [500, "100..300"]]));
    valid("/client/mode", json!({ "choice": ["fast", "fast2"] }));
    valid("/client/sndwnd", json!("100..200"));
    valid("/client/generation", json!("2021"));
    valid("/links/up", json!({ "choice": [{}, { "delay_ms": 20 }] }));
    valid("/expect", json!({ "latency_ms": { "echo": { "p99": 900 } }, "amplification": { "up": "2.5" } }));
    valid("/baseline", json!("reno"));
}

#[test]
fn unknown_keys_and_wrong_types_are_refused_by_both() {
    let validator = validator(&schema::scenario());
    let refused = |pointer: &str, value: Value| {
        let file = with(pointer, value);
        assert!(Scenario::parse("test.json", &file.to_string()).is_err(), "{pointer}: {file}");
        assert!(!validator.is_valid(&file), "{pointer}");
    };
    refused("/speed", json!(1));
    refused("/links/left", json!({}));
    refused("/links/up/rate_mbit", json!(1));
    refused("/client/conn", json!(4));
    refused("/expect", json!({ "speed": 1 }));
    refused("/expect", json!({ "latency_ms": { "echo": { "p42": 1 } } }));
    refused("/workloads", json!([{ "bulk": { "name": "a", "direction": "up", "size": 1 } }]));
    refused("/workloads", json!([{ "teleport": { "name": "a" } }]));
    refused("/workloads", json!([{ "bulk": { "name": "a", "direction": "left" } }]));
    refused("/links/up/delay_ms", json!(-0.5));
    refused("/links/up/delay_ms", json!("soon"));
    refused("/links/up/loss_pct", json!({ "choice": [] }));
    refused("/links/up/loss_pct", json!({ "choice": [1], "default": 1 }));
    refused("/client/mode", json!(3));
    refused("/seed", json!("1..5"));
    refused("/baseline", json!("vegas"));
}
