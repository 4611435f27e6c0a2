//! The reference of scenario keys in sim/README.md: made of the schema, with an example for each theme that is a scenario.

use serde_json::{Map, Value, json};
use sim::{Scenario, schema};

/// Heading, definitions of the schema with their place in a file (`""` for the file), and an example: keys of a file.
type Theme = (&'static str, Vec<(&'static str, &'static str)>, Value);

fn themes() -> Vec<Theme> {
    let works = [
        "Bulk",
        "Echo",
        "RequestResponse",
        "ShortStreams",
        "Page",
        "GameTicks",
        "Typing",
        "StalledReader",
        "HalfClose",
        "Storm",
        "IdleThenBurst",
    ];
    let of_works =
        works.map(|work| (key_of(work), Box::leak(format!("{work}Keys").into_boxed_str()) as &str));
    vec![
        (
            "The file",
            vec![("", ""), ("wrap_after", "WrapKeys")],
            json!({ "seed": 7, "duration_ms": 5000, "drain_ms": 20000 }),
        ),
        (
            "Links",
            vec![("links.up, links.down", "LinkKeys")],
            json!({ "links": {
                "up": { "rate_kbit": 5000, "queue_packets": 50, "delay_ms": 20 },
                "down": { "rate_kbit": [[0, 40000], [2000, 4000], [3000, 40000]], "queue_packets": 200, "delay_ms": 20, "jitter_ms": 3,
                    "loss_pct": 2, "loss_burst_packets": 3, "loss_after_queue": true }
            } }),
        ),
        (
            "Hosts and the address translator",
            vec![
                ("hosts.client, hosts.server", "HostKeys"),
                ("hosts.*.stalls", "StallKeys"),
                ("nat", "NatKeys"),
            ],
            json!({ "hosts": { "client": { "timer_slack_ms": 15, "stalls": [{ "every_ms": 1000, "for_ms": 40 }] } }, "nat": { "timeout_ms": 30000 } }),
        ),
        (
            "Workloads",
            std::iter::once(("workloads", "WorkPlan")).chain(of_works).collect(),
            json!({ "workloads": [
                { "bulk": { "name": "download", "direction": "down" } },
                { "echo": { "name": "echo", "message_bytes": 64, "interval_ms": 20 } }
            ] }),
        ),
        (
            "Faults",
            vec![
                ("faults", "Fault"),
                ("server_restart", "RestartKeys"),
                ("client_restart", "ClientRestartKeys"),
                ("nat_rebinding, address_change", "AtKeys"),
                ("blackout", "BlackoutKeys"),
                ("one_way", "OneWayKeys"),
                ("clock_step", "ClockStepKeys"),
                ("stream_reset", "StreamResetKeys"),
                ("duplicate_storm, corruption", "ShareKeys"),
            ],
            json!({ "faults": [{ "server_restart": { "at_ms": 1500, "down_ms": 500 } }, { "blackout": { "at_ms": 3000, "for_ms": 800, "direction": "down" } }] }),
        ),
        (
            "Adversary",
            vec![("adversary", "Attack"), ("of each attack", "AttackKeys")],
            json!({ "adversary": [{ "replay": { "direction": "up", "pct": 10, "after_ms": 50, "source": "own" } }] }),
        ),
        (
            "Expectations",
            vec![
                ("expect", "Expect"),
                ("expect.goodput_kbit.NAME", "GoodputKeys"),
                ("expect.latency_ms.NAME", "LatencyKeys"),
                ("expect.amplification", "AmplificationKeys"),
            ],
            json!({ "expect": { "goodput_kbit": { "download": { "min": 10 } }, "drained_ms": 20000 } }),
        ),
    ]
}

/// `ShortStreams` as a key.
fn key_of(work: &str) -> &'static str {
    let mut key = String::new();
    for sign in work.chars() {
        if sign.is_uppercase() && !key.is_empty() {
            key.push('_');
        }
        key.push(sign.to_ascii_lowercase());
    }
    Box::leak(key.into_boxed_str())
}

/// Keys and descriptions of a definition, in the order of the schema; of an enumeration, those of its variants.
fn keys(schema: &Value, name: &str) -> Vec<(String, String)> {
    let of = if name.is_empty() { schema } else { &schema["$defs"][name] };
    assert!(of.is_object(), "{name}: no such definition");
    let variants = of["oneOf"].as_array().or(of["anyOf"].as_array()).cloned().unwrap_or_default();
    let own = std::iter::once(of.clone()).chain(variants);
    let pairs = own.flat_map(|of| {
        let whole = of["description"].as_str().map(String::from);
        let properties = of["properties"].as_object().cloned().unwrap_or_default();
        let single = properties.len() == 1;
        properties.into_iter().map(move |(key, value)| {
            let own = value["description"].as_str().map(String::from);
            (key, own.or(whole.clone().filter(|_| single)).unwrap_or_default())
        })
    });
    pairs.collect()
}

/// Every key says what it means, so that an editor shows it.
#[test]
fn every_key_of_a_scenario_is_described_in_the_schema() {
    let schema = schema::scenario();
    let mut bare = Vec::new();
    for (_, definitions, _) in themes() {
        for (_, name) in definitions {
            bare.extend(
                keys(&schema, name)
                    .into_iter()
                    .filter(|(_, text)| text.is_empty())
                    .map(|(key, _)| format!("{name}.{key}")),
            );
        }
    }
    assert!(bare.is_empty(), "{bare:?}");
}

fn reference() -> String {
    let schema = schema::scenario();
    let mut out = String::new();
    for (heading, definitions, example) in themes() {
        out.push_str(&format!("\n### {heading}\n\n| key | meaning |\n|---|---|\n"));
        for (place, name) in definitions {
            for (key, text) in keys(&schema, name) {
                let place = if place.is_empty() { format!("`{key}`") } else { format!("{place}: `{key}`") };
                out.push_str(&format!("| {place} | {} |\n", text.replace('\n', " ").replace('|', "\\|")));
            }
        }
        let text = serde_json::to_string_pretty(&example).unwrap();
        let inner: Vec<&str> = text.lines().collect();
        out.push_str(&format!("\n```json\n{}\n```\n", inner.join("\n")));
    }
    out
}

/// KARST_UPDATE=1 writes the reference instead.
#[test]
fn the_readme_has_the_reference_of_all_keys() {
    const MARKS: [&str; 2] = ["<!-- keys: generated from the schema -->\n", "<!-- end of the keys -->\n"];
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once(MARKS[0]).expect("a mark where the keys begin");
    let (_, after) = rest.split_once(MARKS[1]).expect("a mark where they end");
    let wanted = [before, MARKS[0], &reference(), "\n", MARKS[1], after].concat();
    if std::env::var_os("KARST_UPDATE").is_some() {
        std::fs::write(path, &wanted).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap() == wanted,
        "sim/README.md differs: KARST_UPDATE=1 cargo test --profile ci -p sim --test all keys:: writes it"
    );
}

/// Each example is part of a scenario that runs to its end.
#[test]
fn the_examples_of_the_reference_are_scenarios() {
    let mut whole: Map<String, Value> = Map::new();
    for (_, _, example) in themes() {
        whole.extend(example.as_object().unwrap().clone());
    }
    whole.insert("name".into(), "examples".into());
    whole.insert("description".into(), "All examples of the reference.".into());
    let scenario = Scenario::parse("examples.json", &Value::Object(whole).to_string()).unwrap();
    let outcome = sim::play(&scenario, 7);
    assert!(outcome.ok, "{:?}", outcome.violations);
}
