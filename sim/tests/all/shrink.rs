//! Shrinking a failing scenario, up to the lists of packets that are dropped and delayed.

use crate::common::{rough, scenario};
use serde_json::{Value, json};
use sim::tools::shrink::Shrinker;
use sim::{Outcome, Scenario};

const EVENTS_MAX: u64 = 1_000_000;

/// One message every 100 ms, which exceeds its limit when its packet is lost or delayed.
fn late_echo(link: &Value) -> Value {
    let side = json!({ "parityshard": 0, "governor": "off" });
    json!({
        "name": "late", "description": "Late.", "seed": 8, "duration_ms": 4000,
        "links": { "up": link, "down": link }, "client": side, "server": side,
        "workloads": [
            { "echo": { "name": "echo", "message_bytes": 100, "interval_ms": 100 } },
            { "request_response": { "name": "api", "response_bytes": 5000, "think_ms": 200 } }
        ],
        "expect": { "latency_ms": { "echo": { "max": 150 } } }
    })
}

fn played(tree: &Value, links_seed: Option<u64>) -> Outcome {
    let mut scenario = scenario(tree);
    scenario.links_seed = links_seed;
    sim::play(&scenario, scenario.seed)
}

fn fails(tree: &Value, links_seed: Option<u64>) -> bool {
    played(tree, links_seed).expectations.iter().any(|expectation| !expectation.ok)
}

/// The scenario with the first seed that fails.
fn unlucky(tree: &Value) -> Value {
    let mut seeded = tree.clone();
    let seed = (1..=50).find(|&seed| {
        seeded["seed"] = json!(seed);
        fails(&seeded, None)
    });
    assert!(seed.is_some(), "no seed of 50 fails: {tree}");
    seeded
}

fn shrunk(tree: Value) -> Shrinker<'static> {
    let mut shrinker = Shrinker::new(tree, EVENTS_MAX, &|_| {}).expect("it fails");
    shrinker.shrink(&mut |_| {});
    shrinker
}

fn listed(tree: &Value) -> usize {
    let lists = ["up/drop_packets", "down/drop_packets", "up/delay_packets_us", "down/delay_packets_us"];
    lists.iter().filter_map(|list| tree.pointer(&format!("/links/{list}"))?.as_array()).map(Vec::len).sum()
}

#[test]
fn another_link_seed_changes_the_links_only() {
    let hash = |tree: &Value, links_seed| played(tree, links_seed).trace_hash;
    let seed = rough()["seed"].as_u64().unwrap();
    assert_eq!(hash(&rough(), Some(seed)), hash(&rough(), None));
    assert_ne!(hash(&rough(), Some(seed + 1)), hash(&rough(), None));
    let mut certain = rough();
    certain["links"] = json!({ "up": { "drop_packets": [3], "delay_packets_us": [[5, 70]] }, "down": {} });
    assert_eq!(hash(&certain, Some(seed + 1)), hash(&certain, None));
}

/// A random failure depends on the link seed; its minimized form does not.
#[test]
fn a_random_loss_becomes_a_packet_by_its_number() {
    let tree = late_echo(&json!({ "delay_ms": 20, "loss_pct": 4 }));
    let by_chance = (1..=8).filter(|&links_seed| fails(&tree, Some(links_seed))).count();
    assert!((1..8).contains(&by_chance), "{by_chance}");
    let shrinker = shrunk(tree);
    let best = shrinker.best();
    assert!(shrinker.random().is_empty() && best.get("drain_ms").is_none(), "{best}");
    assert_eq!(listed(best), 1, "{best}");
    assert!((1..=8).all(|links_seed| shrinker.fails_with_links_seed(links_seed)), "{best}");
    assert!((1..=8).all(|links_seed| fails(best, Some(links_seed))), "{best}");
    let mut without = best.clone();
    without["links"] = json!({ "up": {}, "down": {} });
    assert!(!fails(&without, None), "{best}");
}

#[test]
fn jitter_wander_and_reordering_become_lists_of_delays() {
    for link in [
        json!({ "delay_ms": 20, "jitter_ms": 160 }),
        json!({ "delay_ms": 20, "wander_ms": 180, "wander_correlation_ms": 16 }),
        json!({ "delay_ms": 20, "reorder_pct": 5, "reorder_delay_ms": 150 }),
    ] {
        let shrinker = shrunk(unlucky(&late_echo(&link)));
        let best = shrinker.best();
        // A governed sender repeats a small message, so that several packets have to be late.
        assert!(shrinker.random().is_empty() && listed(best) <= 6, "{best}");
        assert!(best.to_string().contains("delay_packets_us"), "{best}");
        assert!((1..=8).all(|links_seed| fails(best, Some(links_seed))), "{best}");
    }
}

#[test]
fn drops_of_a_policer_become_a_list_if_that_is_shorter() {
    let alone = |link: Value| {
        let mut tree = late_echo(&link);
        tree["workloads"].as_array_mut().unwrap().truncate(1);
        tree
    };
    let policed = alone(json!({ "delay_ms": 20, "police_kbit": 10, "police_burst_bytes": 1500 }));
    assert!(!fails(&alone(json!({ "delay_ms": 20 })), None) && fails(&policed, None));
    let shrinker = shrunk(policed);
    let links = &shrinker.best()["links"];
    assert!(!links.to_string().contains("police") && (1..=8).contains(&listed(shrinker.best())), "{links}");
}

/// A failure caused by duplicates needs the random element.
#[test]
fn elements_that_no_list_can_replace_are_kept_and_named() {
    let prepare = |scenario: &mut Scenario| {
        let doubles = scenario.up.duplicate_ppm.values().any(|ppm| ppm > 0);
        scenario.expect.retain(|_| doubles);
    };
    let tree = late_echo(&json!({ "delay_ms": 90, "duplicate_pct": 2, "loss_pct": 5, "corrupt_pct": 1 }));
    let mut shrinker = Shrinker::new(tree, EVENTS_MAX, &prepare).unwrap();
    shrinker.shrink(&mut |_| {});
    assert_eq!(shrinker.random(), ["links.up.duplicate_pct"], "{}", shrinker.best());
}
