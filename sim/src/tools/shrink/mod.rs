//! Minimization of a failing scenario to the smallest one that fails the same way.
//!
//! A greedy search removes or reduces one part of the scenario's JSON at a time and continues from each candidate that
//! still fails in the same way. Candidates that do not parse are discarded. Because every change shifts the random
//! numbers, other seeds are tried as well. No change may make a passing scenario fail: the time to drain never changes,
//! and windows, rates and sizes are reset to their defaults or kept.
//!
//! Finally, random impairments of the links become lists of packets, which are minimized in turn.

mod explicit;
mod fates;
mod pretty;
mod tree;

pub use pretty::pretty;

use crate::plan::Scenario;
use crate::tools::swarm::{Failure, Verdict};
use serde_json::{Value, json};
use tree::{KEYS_OF_SIDES_OFF, LINKS};

/// Number of other seeds tried per candidate.
const OTHER_SEEDS: u64 = 4;

/// Maximum number of rounds of all passes; each continues from the previous result.
const ROUNDS_MAX: usize = 6;

/// Additional events of a candidate over the best run.
const MORE_EVENTS: u64 = 1_000;

/// Additional events of a candidate with more time to drain.
const EVENTS_MORE_TIME: u64 = 100_000;

/// The key of the time to drain.
const DRAIN: &str = "drain_ms";

/// Applied to every scenario before it is played, such as a seeded bug.
pub type Prepare<'p> = &'p dyn Fn(&mut Scenario);

/// A search for the smallest failing scenario.
pub struct Shrinker<'p> {
    prepare: Prepare<'p>,
    wanted: Failure,
    best: Value,
    events: u64,
    runs: u64,
}

impl<'p> Shrinker<'p> {
    /// Starts from `tree`, a scenario whose random values are drawn, played with its own seed for at most `events_max`
    /// events. `None` if it does not fail.
    pub fn new(tree: Value, events_max: u64, prepare: Prepare<'p>) -> Option<Self> {
        let verdict = verdict(&tree, prepare, None, events_max)?;
        let events = verdict.outcome().map_or(events_max, |outcome| outcome.events);
        Some(Self { prepare, wanted: verdict.failure()?, best: tree, events, runs: 1 })
    }

    /// Minimizes until no change helps. Calls `progress` after every pass.
    pub fn shrink(&mut self, progress: &mut dyn FnMut(&Self)) {
        self.search(progress);
        let is_drain_given = self.best.get(DRAIN).is_some();
        self.set_drain();
        self.list_fates();
        self.search(progress);
        self.list_queues(progress);
        if !is_drain_given {
            let mut tree = self.best.clone();
            tree::leave_out(&mut tree, &format!("/{DRAIN}"));
            self.take_within(tree, EVENTS_MORE_TIME);
        }
    }

    /// Fixes the computed time to drain. Lists get a shorter computed time than the random elements that they replace, which
    /// would turn a late failure into another one.
    fn set_drain(&mut self) {
        let limit_us = self.verdict().and_then(|verdict| Some(verdict.outcome()?.liveness.limit_us));
        if let Some(limit_us) = limit_us.filter(|&us| us > 0 && self.best.get(DRAIN).is_none()) {
            let mut tree = self.best.clone();
            tree[DRAIN] = json!(limit_us.div_ceil(1_000_000) * 1_000);
            self.take(tree);
        }
    }

    /// Repeats all passes until none reduces the scenario.
    fn search(&mut self, progress: &mut dyn FnMut(&Self)) {
        for _ in 0..ROUNDS_MAX {
            let before = self.best.clone();
            for pass in [Self::leave_out, Self::leave_groups_out, Self::thin_lists, Self::shorten] {
                pass(self);
                progress(self);
            }
            if self.best == before {
                break;
            }
        }
        self.switch_off();
        self.shorten();
        progress(self);
    }

    /// The smallest failing scenario so far.
    pub const fn best(&self) -> &Value {
        &self.best
    }

    /// Failure of the scenario.
    pub const fn failure(&self) -> &Failure {
        &self.wanted
    }

    /// Number of events of the best run.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// Number of runs so far.
    pub const fn runs(&self) -> u64 {
        self.runs
    }

    /// The verdict on the smallest scenario so far.
    pub fn verdict(&self) -> Option<Verdict> {
        verdict(&self.best, self.prepare, None, self.events_max())
    }

    /// Paths of elements that are still random, because lists cannot replace them or do not reproduce the failure.
    pub fn random(&self) -> Vec<String> {
        explicit::random(&self.best)
    }

    /// Whether it fails in the same way with this seed of the links.
    pub fn fails_with_links_seed(&self, seed: u64) -> bool {
        let verdict = verdict(&self.best, self.prepare, Some(seed), self.events_max());
        verdict.and_then(|verdict| verdict.failure()).is_some_and(|failure| failure.is_like(&self.wanted))
    }

    fn events_max(&self) -> u64 {
        self.events + MORE_EVENTS
    }

    /// Accepts `tree` if it fails in the same way with its own seed.
    fn take(&mut self, tree: Value) -> bool {
        self.take_within(tree, MORE_EVENTS)
    }

    /// As [`Shrinker::take`], with up to `more_events` additional events.
    fn take_within(&mut self, tree: Value, more_events: u64) -> bool {
        if tree == self.best {
            return false;
        }
        self.runs += 1;
        let events_max = self.events + more_events;
        let Some(verdict) = verdict(&tree, self.prepare, None, events_max) else { return false };
        if !verdict.failure().is_some_and(|failure| failure.is_like(&self.wanted)) {
            return false;
        }
        self.events = verdict.outcome().map_or(self.events, |outcome| outcome.events);
        self.wanted = verdict.failure().unwrap_or_else(|| self.wanted.clone());
        self.best = tree;
        true
    }

    /// As [`Shrinker::take`], with this or another seed.
    fn take_any(&mut self, mut tree: Value) -> bool {
        let own = tree["seed"].clone();
        if self.take(tree.clone()) {
            return true;
        }
        (1..=OTHER_SEEDS).map(|seed| json!(seed)).any(|seed| {
            if seed == own {
                return false;
            }
            tree["seed"] = seed;
            self.take(tree.clone())
        })
    }

    /// Tries to remove every key and item, the largest parts first.
    fn leave_out(&mut self) {
        let mut at = 0;
        while let Some(path) = tree::paths(&self.best).get(at) {
            let mut tree = self.best.clone();
            if !tree::leave_out(&mut tree, path) || !self.take_any(tree) {
                at += 1;
            }
        }
    }

    /// Tries to remove groups of keys that depend on each other.
    fn leave_groups_out(&mut self) {
        for (parents, keys) in tree::groups(&self.best) {
            let mut tree = self.best.clone();
            let mut found = false;
            for parent in &parents {
                for key in &keys {
                    found |= tree::leave_out(&mut tree, &format!("{parent}/{key}"));
                }
            }
            if found {
                self.take_any(tree);
            }
        }
    }

    /// Tries to remove packets from the lists of the links: all, then halves, down to single packets.
    fn thin_lists(&mut self) {
        for place in LINKS.iter().flat_map(|link| tree::LISTS.map(|list| format!("{link}/{list}"))) {
            let mut size = tree::len(&self.best, &place);
            while size > 0 {
                let mut at = 0;
                while at < tree::len(&self.best, &place) {
                    let mut tree = self.best.clone();
                    tree::leave_items_out(&mut tree, &place, at, size);
                    if !self.take(tree) {
                        at += size;
                    }
                }
                size /= 2;
            }
        }
        tree::tidy_lists(&mut self.best);
    }

    /// Tries smaller and rounder times, shares and counts.
    fn shorten(&mut self) {
        for path in tree::numbers(&self.best) {
            while let Some(number) = tree::number(&self.best, &path) {
                let shorter = tree::shorter(number).into_iter().any(|shorter| {
                    let mut tree = self.best.clone();
                    if let Some(place) = tree.pointer_mut(&path) {
                        *place = json!(shorter);
                    }
                    self.take(tree)
                });
                if !shorter {
                    break;
                }
            }
        }
    }

    /// Tries to switch off options on both sides.
    fn switch_off(&mut self) {
        for (key, value) in KEYS_OF_SIDES_OFF {
            let mut tree = self.best.clone();
            for side in ["client", "server"] {
                tree[side][*key] = serde_json::from_str(value).unwrap_or_default();
            }
            self.take_any(tree);
        }
    }
}

/// Plays a scenario; `None` if it cannot be parsed.
fn verdict(tree: &Value, prepare: Prepare<'_>, links_seed: Option<u64>, events_max: u64) -> Option<Verdict> {
    let mut scenario = Scenario::of_json("shrinking", tree.clone()).ok()?;
    scenario.links_seed = links_seed;
    prepare(&mut scenario);
    let seed = scenario.seed;
    Some(Verdict::of(&scenario, seed, events_max))
}
