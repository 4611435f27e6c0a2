//! The last step: replaces random impairments of the links by lists of the packets to drop and to delay.
//!
//! The smallest scenario is played once, its links report the fate of every packet, and each random element
//! gives way to lists that do the same to the same packets. An element without which the failure is gone stays.

use super::fates::{Fates, From};
use super::tree::{self, DELAYED, DROPPED, LINKS};
use super::{Prepare, Shrinker};
use crate::link::Delay;
use crate::plan::Scenario;
use crate::record::Element;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The elements of a link that lists replace.
pub(super) struct Part {
    keys: &'static [&'static str],
    /// Packets that these dropped are listed.
    dropped: &'static [Element],
    /// Packets that were damaged are listed as dropped.
    damaged: bool,
    /// Packets are listed that arrive later than the delay of the link has them, from there on.
    late_from: Option<From>,
}

/// Random elements. Duplicates are only removed; no list creates them.
const RANDOM: &[Part] = &[
    Part {
        keys: &["loss_pct", "loss_burst_packets"],
        dropped: &[Element::Loss],
        damaged: false,
        late_from: None,
    },
    Part { keys: &["corrupt_pct"], dropped: &[], damaged: true, late_from: None },
    Part { keys: &["duplicate_pct"], dropped: &[], damaged: false, late_from: None },
    Part {
        keys: &["wander_ms", "wander_correlation_ms", "jitter_ms", "reorder_pct", "reorder_delay_ms"],
        dropped: &[],
        damaged: false,
        late_from: Some(From::Transmitter),
    },
];

/// Elements that are not random, but harder to follow than a short list.
const BUSY: &[Part] = &[
    Part {
        keys: &["police_kbit", "police_burst_bytes", "police_penalty_kbit", "police_penalty_ms"],
        dropped: &[Element::Policer],
        damaged: false,
        late_from: None,
    },
    Part {
        keys: &["rate_kbit", "queue_bytes", "queue_packets", "codel_target_ms", "codel_interval_ms"],
        dropped: &[Element::Queue, Element::Codel],
        damaged: false,
        late_from: Some(From::Sender),
    },
];

/// Faults of links that throw dice.
const RANDOM_FAULTS: &[&str] = &["corruption", "duplicate_storm"];

/// Longer lists in the place of a queue are not even tried.
const BUSY_PACKETS_MAX: usize = 300;

impl Shrinker<'_> {
    /// Puts lists in the place of everything that throws dice.
    pub(super) fn list_fates(&mut self) {
        for (direction, part) in each(RANDOM) {
            self.replace(direction, part, usize::MAX);
        }
        for kind in RANDOM_FAULTS {
            self.replace_faults(kind);
        }
    }

    /// Replaces queues and policers by lists where that makes the links shorter.
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

    /// Whether `part` of a link gave way to lists with at most `packets_max` more packets.
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
        lost.extend(part.damaged.then(|| fates.damaged(direction)).into_iter().flatten());
        let late =
            part.late_from.map(|from| fates.delayed(direction, Delay::new(plan.delay_us.clone()), from));
        let is_too_long = lost.len() + late.as_ref().map_or(0, Vec::len) > packets_max;
        !is_too_long && {
            list(&mut tree, direction, &lost, late);
            self.take(tree)
        }
    }

    /// Leaves faults of that kind out; datagrams that were damaged are dropped.
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
            list(&mut tree, direction, &fates.damaged(direction), None);
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

/// Adds `lost` to the packets that are dropped; `late`, if there is one, becomes the list of those that are delayed. What
/// is dropped is not delayed as well.
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
    fn what_is_listed_has_one_fate() {
        let mut tree =
            json!({ "links": { "up": { "drop_packets": [9], "delay_packets_us": [[5, 70], [6, 80]] } } });
        list(&mut tree, 0, &[5, 2, 9], None);
        assert_eq!(tree["links"]["up"], json!({ "drop_packets": [2, 5, 9], "delay_packets_us": [[6, 80]] }));
        list(&mut tree, 0, &[], Some(vec![(2, 7), (8, 1)]));
        assert_eq!(tree["links"]["up"], json!({ "drop_packets": [2, 5, 9], "delay_packets_us": [[8, 1]] }));
    }

    /// Losses, damage, jitter, wander and reordering at once, and a queue in front of them; nothing can meet what is expected.
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
    fn lists_make_the_same_run_as_the_chance_they_replace() {
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
    fn lists_make_the_same_run_as_queues_and_policers() {
        let link = json!({ "rate_kbit": 4000, "queue_bytes": 9000, "delay_ms": 15, "police_kbit": 3000, "police_burst_bytes": 9000 });
        let mut tree = rough();
        tree["links"] = json!({ "up": link, "down": link });
        let mut shrinker = shrinker(tree);
        shrinker.give_drain();
        let hash = trace_hash(&shrinker);
        for (direction, part) in each(BUSY) {
            assert!(shrinker.replace(direction, part, usize::MAX), "{:?}", shrinker.best);
        }
        assert!(shrinker.best["links"]["down"].get("rate_kbit").is_none());
        assert_eq!(trace_hash(&shrinker), hash);
    }

    #[test]
    fn faults_that_damage_become_drops_and_longer_lists_than_allowed_are_not_taken() {
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
    fn what_throws_dice_is_named() {
        let tree = json!({
            "links": { "up": { "loss_pct": 1, "rate_kbit": 5 }, "down": { "jitter_ms": 1, "drop_packets": [1] } },
            "faults": [{ "blackout": {} }, { "corruption": {} }], "adversary": [{ "replay": {} }],
        });
        let random_parts =
            ["links.up.loss_pct", "links.down.jitter_ms", "faults[1].corruption", "adversary[0]"];
        assert_eq!(random(&tree), random_parts);
    }
}
