//! The keys of workloads: defaults and errors.

use serde_json::{Value, json};
use sim::Scenario;
use sim::plan::{PagePlan, StormPlan, TypingPlan, WorkKind};

fn parse(workload: &Value) -> Result<Scenario, (String, String)> {
    let file = json!({
        "name": "test", "description": "One sentence.", "seed": 7, "duration_ms": 1000,
        "links": { "up": {}, "down": {} }, "workloads": [workload]
    });
    Scenario::parse("some.json", &file.to_string()).map_err(|error| (error.path, error.reason))
}

/// `keys` of a workload of that kind with one key set to something it cannot be.
#[track_caller]
fn refused(kind: &str, keys: &Value, key: &str, value: Value, reason: &str) {
    let mut bad = keys.clone();
    bad["name"] = json!("a");
    assert!(parse(&json!({ kind: bad.clone() })).is_ok(), "{bad}");
    bad[key] = value;
    let (path, got) = parse(&json!({ kind: bad })).map(|_| ()).expect_err("it must be refused");
    assert_eq!(path, format!("workloads[0].{kind}.{key}"), "{got}");
    assert!(got.contains(reason), "{got}");
}

#[test]
fn missing_keys_have_defaults() {
    let kind = |workload| parse(&workload).unwrap().work.remove(0).kind;
    let page = json!({ "page": { "name": "a", "object_bytes_min": 5, "object_bytes_max": 9 } });
    let WorkKind::Page(page) = kind(page) else { panic!("a page") };
    let wanted = PagePlan {
        objects: 60,
        request_bytes: 400,
        object_bytes_min: 5,
        object_bytes_max: 9,
        pages: 1,
        think_us: 0,
    };
    assert_eq!(page, wanted);
    let WorkKind::Typing(typing) = kind(json!({ "typing": { "name": "a", "interval_ms": 9 } })) else {
        panic!("typing")
    };
    assert_eq!(typing, TypingPlan { interval_us: 9_000, key_bytes: 36, echo_bytes: 52 });
    let WorkKind::Storm(storm) = kind(json!({ "storm": { "name": "a", "interval_ms": 1, "count": 3 } }))
    else {
        panic!("a storm")
    };
    assert_eq!(storm, StormPlan { interval_us: 1_000, count: 3, bytes: 0, open_max: 0 });
}

#[test]
fn impossible_values_are_refused_where_they_stand() {
    let request = json!({ "response_bytes": 1 });
    refused("request_response", &request, "request_bytes", json!(0), "between 1 and");
    refused("request_response", &request, "response_bytes", json!(0), "between 1 and");
    refused("request_response", &request, "count", json!(0), "between 1 and 1000000");
    refused("request_response", &request, "think_ms", json!(86_400_001), "at most a day");
    refused("request_response", &request, "start_ms", json!(86_400_001), "at most a day");
    let short = json!({ "interval_ms": 1, "response_bytes": 1 });
    refused("short_streams", &short, "interval_ms", json!(0), "between 0.1 ms and a day");
    refused("short_streams", &short, "response_bytes", json!(0), "between 1 and");
    let page = json!({ "object_bytes_min": 5, "object_bytes_max": 9 });
    refused("page", &page, "objects", json!(0), "between 1 and 10000");
    refused("page", &page, "object_bytes_max", json!(4), "at least object_bytes_min");
    refused("page", &page, "pages", json!(0), "between 1 and");
    let game = json!({ "interval_ms": 1, "up_bytes": 1, "down_bytes": 1 });
    refused("game_ticks", &game, "down_bytes", json!(0), "between 1 and");
    refused("typing", &json!({ "interval_ms": 1 }), "key_bytes", json!(0), "between 1 and");
    let stalled = json!({ "stall_after_ms": 1, "stall_for_ms": 1 });
    refused("stalled_reader", &stalled, "stall_for_ms", json!(0), "between 0.1 ms and a day");
    refused("stalled_reader", &stalled, "stall_until_ms", json!(9), "unknown field");
    let half = json!({ "request_bytes": 1, "response_bytes": 1 });
    refused("half_close", &half, "response_after_ms", json!(86_400_001), "at most a day");
    let storm = json!({ "interval_ms": 1, "count": 1 });
    refused("storm", &storm, "open_max", json!(10_001), "at most 10000");
    refused("storm", &storm, "bytes", json!(65_537), "at most 65536");
    let burst = json!({ "idle_ms": 1, "burst_bytes": 1, "count": 1 });
    refused("idle_then_burst", &burst, "burst_bytes", json!(0), "between 1 and");
    refused("idle_then_burst", &burst, "name", json!(""), "must not be empty");
}
