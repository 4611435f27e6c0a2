//! The last step: replaces random impairments of the links by lists of dropped and delayed packets.
//!
//! The smallest scenario is recorded once; lists with the same effect on the same packets replace each random element. An
//! element is kept if the failure disappears without it.

use super::fates::{Fates, From};
use super::tree::{self, DELAYED, DROPPED, LINKS};
use super::{Prepare, Shrinker};
use crate::link::Delay;
use crate::plan::Scenario;
use crate::record::Element;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// An element of a link that lists can replace.
pub(super) struct Part {
    keys: &'static [&'static str],
    /// Packets dropped by these elements are listed.
    dropped: &'static [Element],
    /// Whether corrupted packets are listed as dropped.
    corrupted: bool,
    /// Packets that arrive later than the link's delay are listed; the point from which the delay counts.
    late_from: Option<From>,
}

/// Random elements. Duplicates are only removed; no list creates them.
const RANDOM: &[Part] = &[
    Part {
        keys: &["loss_pct", "loss_burst_packets"],
        dropped: &[Element::Loss],
        corrupted: false,
        late_from: None,
    },
    Part { keys: &["corrupt_pct"], dropped: &[], corrupted: true, late_from: None },
    Part { keys: &["duplicate_pct"], dropped: &[], corrupted: false, late_from: None },
    Part {
        keys: &["wander_ms", "wander_correlation_ms", "jitter_ms", "reorder_pct", "reorder_delay_ms"],
        dropped: &[],
        corrupted: false,
        late_from: Some(From::Transmitter),
    },
];

/// Elements that are not random, but more complex than a short list.
const BUSY: &[Part] = &[
    Part {
        keys: &["police_kbit", "police_burst_bytes", "police_penalty_kbit", "police_penalty_ms"],
        dropped: &[Element::Policer],
        corrupted: false,
        late_from: None,
    },
    Part {
        keys: &["rate_kbit", "queue_bytes", "queue_packets", "codel_target_ms", "codel_interval_ms"],
        dropped: &[Element::Queue, Element::Codel],
        corrupted: false,
        late_from: Some(From::Sender),
    },
];

/// Faults that impair packets at random.
const RANDOM_FAULTS: &[&str] = &["corruption", "duplicate_storm"];

/// Maximum length of a list that replaces a queue.
const BUSY_PACKETS_MAX: usize = 300;

impl Shrinker<'_> {
    /// Replaces all random elements by lists.
    pub(super) fn list_fates(&mut self) {
        for (direction, part) in each(RANDOM) {
            self.replace(direction, part, usize::MAX);
        }
        for kind in RANDOM_FAULTS {
            self.replace_faults(kind);
        }
    }

    /// Replaces queues and policers by lists where that shortens the description of the links.
    pub(super) fn list_queues(&mut self, progress: &mut dyn FnMut(&Self)) {
        for (direction, part) in each(BUSY) {
            let before = (self.best.clone(), self.wanted.clone(), self.events);
            if self.replace(direction, part, BUSY_PACKETS_MAX) {
                self.search(progress);
                if links_len(&self.best) >= links_len(&before.0) {
                    (self.best, self.wanted, self.events) = before;
                }
            }
        }
    }

    /// Replaces `part` of a link by lists with at most `packets_max` more packets; returns whether the failure remains.
    fn replace(&mut self, direction: usize, part: &Part, packets_max: usize) -> bool {
        let mut tree = self.best.clone();
        let Some(link) = tree.pointer_mut(LINKS[direction]).and_then(Value::as_object_mut) else {
            return false;
        };
        if part.keys.iter().filter(|key| link.remove(**key).is_some()).count() == 0 {
            return false;
        }
        let Some((scenario, fates)) = self.fates() else { return false };
        let plan = [&scenario.up, &scenario.down][direction];
        let mut lost = fates.dropped(direction, part.dropped);
        lost.extend(part.corrupted.then(|| fates.corrupted(direction)).into_iter().flatten());
        let late =
            part.late_from.map(|from| fates.delayed(direction, Delay::new(plan.delay_us.clone()), from));
        let is_too_long = lost.len() + late.as_ref().map_or(0, Vec::len) > packets_max;
        !is_too_long && {
            list(&mut tree, direction, &lost, late);
            self.take(tree)
        }
    }

    /// Removes faults of that kind, and drops the datagrams that they corrupted.
    fn replace_faults(&mut self, kind: &str) {
        let mut tree = self.best.clone();
        let Some(faults) = tree.get_mut("faults").and_then(Value::as_array_mut) else { return };
        let count = faults.len();
        faults.retain(|fault| fault.get(kind).is_none());
        if faults.len() == count {
            return;
        }
        let Some((_, fates)) = self.fates() else { return };
        for direction in 0..LINKS.len() {
            list(&mut tree, direction, &fates.corrupted(direction), None);
        }
        self.take(tree);
    }

    fn fates(&mut self) -> Option<(Scenario, Fates)> {
        self.runs += 1;
        fates(&self.best, self.prepare, self.events_max())
    }
}

/// Length of the description of the links.
fn links_len(tree: &Value) -> usize {
    tree["links"].to_string().len()
}

fn fates(tree: &Value, prepare: Prepare<'_>, events_max: u64) -> Option<(Scenario, Fates)> {
    let scenario = Scenario::of_json("shrinking", tree.clone()).ok()?;
    let fates = Fates::of(scenario.clone(), prepare, events_max);
    Some((scenario, fates))
}

fn each(parts: &'static [Part]) -> impl Iterator<Item = (usize, &'static Part)> {
    (0..LINKS.len()).flat_map(|direction| parts.iter().map(move |part| (direction, part)))
}

/// Adds `lost` to the list of drops; `late`, if any, replaces the list of delays. Dropped packets are removed from the list of
/// delays.
fn list(tree: &mut Value, direction: usize, lost: &[u64], late: Option<Vec<(u64, u64)>>) {
    let Some(link) = tree.pointer_mut(LINKS[direction]) else { return };
    let listed = |link: &Value, key: &str| link.get(key).cloned().unwrap_or_else(|| json!([]));
    let mut dropped: BTreeSet<u64> = serde_json::from_value(listed(link, DROPPED)).unwrap_or_default();
    dropped.extend(lost);
    let before = || serde_json::from_value(listed(link, DELAYED)).unwrap_or_default();
    let mut delayed: Vec<(u64, u64)> = late.unwrap_or_else(before);
    delayed.retain(|(number, _)| !dropped.contains(number));
    link[DROPPED] = json!(dropped);
    link[DELAYED] = json!(delayed);
    tree::tidy_lists(tree);
}

/// Paths of the elements of a scenario's links that are still random.
pub(super) fn random(tree: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (direction, part) in each(RANDOM) {
        let place = LINKS[direction];
        let keys = part.keys.iter().filter(|key| tree.pointer(&format!("{place}/{key}")).is_some());
        found.extend(keys.map(|key| format!("{}.{key}", place[1..].replace('/', "."))));
    }
    let faults = tree.get("faults").and_then(Value::as_array).into_iter().flatten().enumerate();
    for (index, fault) in faults {
        let kinds = RANDOM_FAULTS.iter().filter(|kind| fault.get(**kind).is_some());
        found.extend(kinds.map(|kind| format!("faults[{index}].{kind}")));
    }
    // Lists of packets cannot inject, so attacks stay.
    let attacks = tree.get("adversary").and_then(Value::as_array).map_or(0, Vec::len);
    found.extend((0..attacks).map(|index| format!("adversary[{index}]")));
    found
}

#[cfg(test)]
mod tests {
    use super::super::tree::{LISTS, leave_items_out};
    use super::*;

    #[test]
    fn a_packet_is_on_one_list_only() {
        let mut tree =
            json!({ "links": { "up": { "drop_packets": [9], "delay_packets_us": [[5, 70], [6, 80]] } } });
        list(&mut tree, 0, &[5, 2, 9], None);
        assert_eq!(tree["links"]["up"], json!({ "drop_packets": [2, 5, 9], "delay_packets_us": [[6, 80]] }));
        list(&mut tree, 0, &[], Some(vec![(2, 7), (8, 1)]));
        assert_eq!(tree["links"]["up"], json!({ "drop_packets": [2, 5, 9], "delay_packets_us": [[8, 1]] }));
    }

    /// Loss, corruption, jitter, wander, reordering and a queue, with an expectation that no run meets.
    fn rough() -> Value {
        let link = json!({
            "rate_kbit": 4000, "queue_bytes": 20000, "delay_ms": [[0, 15], [300, 5]], "jitter_ms": 3, "loss_pct": 8,
            "loss_burst_packets": 2, "wander_ms": 8, "wander_correlation_ms": 100, "reorder_pct": 2, "reorder_delay_ms": 9
        });
        json!({
            "name": "rough", "description": "Rough.", "seed": 3, "duration_ms": 1000,
            "links": { "up": link, "down": link }, "client": {}, "server": {},
            "workloads": [
                { "bulk": { "name": "bulk", "direction": "down", "bytes": 200_000 } },
                { "echo": { "name": "echo", "message_bytes": 100, "interval_ms": 20 } }
            ],
            "expect": { "amplification": { "down": "0.1" } }
        })
    }

    fn shrinker(tree: Value) -> Shrinker<'static> {
        Shrinker::new(tree, 1_000_000, &|_| {}).unwrap()
    }

    fn trace_hash(shrinker: &Shrinker<'_>) -> u64 {
        shrinker.verdict().unwrap().outcome().unwrap().trace_hash
    }

    #[test]
    fn lists_reproduce_the_run_with_random_elements() {
        let mut shrinker = shrinker(rough());
        let hash = trace_hash(&shrinker);
        shrinker.list_fates();
        assert!(shrinker.random().is_empty() && shrinker.fails_with_links_seed(9));
        assert_eq!(trace_hash(&shrinker), hash);
        for place in LINKS.iter().flat_map(|link| LISTS.map(|list| format!("{link}/{list}"))) {
            let whole = shrinker.best.clone();
            leave_items_out(&mut shrinker.best, &place, 0, usize::MAX / 2);
            assert_ne!(trace_hash(&shrinker), hash, "without {place}");
            shrinker.best = whole;
        }
    }

    #[test]
    fn lists_reproduce_the_run_with_queues_and_policers() {
        let link = json!({ "rate_kbit": 4000, "queue_bytes": 9000, "delay_ms": 15, "police_kbit": 3000, "police_burst_bytes": 9000 });
        let mut tree = rough();
        tree["links"] = json!({ "up": link, "down": link });
        // Copies that a governed sender makes may arrive at one instant with others, where lists keep another order.
        (tree["client"], tree["server"]) = (json!({ "governor": "off" }), json!({ "governor": "off" }));
        let mut shrinker = shrinker(tree);
        shrinker.set_drain();
        let hash = trace_hash(&shrinker);
        for (direction, part) in each(BUSY) {
            assert!(shrinker.replace(direction, part, usize::MAX), "{:?}", shrinker.best);
        }
        assert!(shrinker.best["links"]["down"].get("rate_kbit").is_none());
        assert_eq!(trace_hash(&shrinker), hash);
    }

    #[test]
    fn corruption_faults_become_drops_and_overlong_lists_are_refused() {
        let mut tree = rough();
        tree["links"] = json!({ "up": {}, "down": { "loss_pct": 30 } });
        tree["faults"] = json!([{ "corruption": { "at_ms": 1, "for_ms": 900, "pct": 20 } }]);
        let mut shrinker = shrinker(tree);
        assert!(!shrinker.replace(1, &RANDOM[0], 5));
        assert_eq!(shrinker.random(), ["links.down.loss_pct", "faults[0].corruption"]);
        shrinker.list_fates();
        assert!(shrinker.random().is_empty() && shrinker.best["faults"] == json!([]));
        assert!(shrinker.best["links"]["up"]["drop_packets"].as_array().unwrap().len() > 3);
    }

    #[test]
    fn random_elements_are_named() {
        let tree = json!({
            "links": { "up": { "loss_pct": 1, "rate_kbit": 5 }, "down": { "jitter_ms": 1, "drop_packets": [1] } },
            "faults": [{ "blackout": {} }, { "corruption": {} }], "adversary": [{ "replay": {} }],
        });
        let random_parts =
            ["links.up.loss_pct", "links.down.jitter_ms", "faults[1].corruption", "adversary[0]"];
        assert_eq!(random(&tree), random_parts);
    }
}
