//! Seeded bugs: the swarm finds each within a stated number of seeds, and the committed, minimized example of each fails with
//! the bug only. Runs with `--features planted` only.
#![cfg(feature = "planted")]
use engine::planted::Planted;
use sim::Scenario;
use sim::tools::shrink::Shrinker;
use sim::tools::swarm::{self, Verdict, Weights};
use std::ops::RangeInclusive;

const EVENTS_MAX: u64 = 5_000_000;

/// Each bug, a range of seeds that finds it, and the rule that it breaks.
const BUGS: &[(Planted, RangeInclusive<u64>, &str)] = &[
    (Planted::WrapCompare, 1..=1_000, "closed"),
    (Planted::WindowOffByOne, 1..=20, "window"),
    (Planted::LostFin, 1..=20, "liveness"),
    (Planted::AckOfGap, 1..=20, "closed"),
    (Planted::UnprovenShape, 1..=100, "closed"),
];

fn verdict(tree: &serde_json::Value, bug: Option<Planted>) -> Verdict {
    let mut scenario = Scenario::of_json("test", tree.clone()).unwrap();
    bug.into_iter().for_each(|bug| scenario.plant(bug));
    let seed = scenario.seed;
    Verdict::of(&scenario, seed, EVENTS_MAX)
}

fn rule(tree: &serde_json::Value, bug: Option<Planted>) -> Option<String> {
    verdict(tree, bug).failure().map(|failure| failure.kind)
}

fn example(bug: Planted) -> serde_json::Value {
    regression(&format!("planted-{}", bug.name()))
}

fn regression(name: &str) -> serde_json::Value {
    let path = format!("{}/../scenarios/regressions/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn every_bug_has_a_number_of_seeds() {
    assert!(Planted::ALL.iter().all(|bug| BUGS.iter().any(|(known, ..)| known == bug)));
}

#[test]
fn the_swarm_finds_every_bug() {
    let weights = Weights::default();
    for (bug, seeds, kind) in BUGS {
        let found = seeds.clone().find(|&seed| {
            let tree = swarm::scenario(&weights, seed);
            rule(&tree, Some(*bug)).as_deref() == Some(kind) && rule(&tree, None).is_none()
        });
        assert!(found.is_some(), "{} among the seeds {seeds:?}", bug.name());
    }
}

#[test]
fn the_examples_fail_with_their_bug_only() {
    for &(bug, _, kind) in BUGS {
        assert_eq!(rule(&example(bug), Some(bug)).as_deref(), Some(kind), "{}", bug.name());
        assert_eq!(rule(&example(bug), None), None, "{}", bug.name());
    }
}

/// Their links have no random element, so the failure does not depend on the link seed.
#[test]
fn the_examples_fail_with_any_link_seed() {
    for &(bug, _, kind) in BUGS {
        let mut scenario = Scenario::of_json("test", example(bug)).unwrap();
        scenario.plant(bug);
        for links_seed in 1..=8 {
            scenario.links_seed = Some(links_seed);
            let failure = Verdict::of(&scenario, scenario.seed, EVENTS_MAX).failure().unwrap();
            assert_eq!(failure.kind, kind, "{} with {links_seed}", bug.name());
        }
    }
}

/// Two ends with different group shapes: FEC-22 prevents the use of shards rebuilt from them.
#[test]
fn groups_that_differ_need_their_proof() {
    let tree = regression("fec-shapes-differ");
    assert_eq!(rule(&tree, Some(Planted::UnprovenShape)).as_deref(), Some("bytes"));
    assert_eq!(rule(&tree, None), None);
}

/// A scenario with many parts that are unrelated to the bug.
#[test]
fn shrinking_keeps_the_parts_that_the_bug_needs() {
    let bug = Planted::WindowOffByOne;
    let tree = (1..=20).map(|seed| swarm::scenario(&Weights::default(), seed));
    let tree = tree.into_iter().find(|tree| rule(tree, Some(bug)).as_deref() == Some("window")).unwrap();
    let plant = move |scenario: &mut Scenario| scenario.plant(bug);
    let mut shrinker = Shrinker::new(tree.clone(), EVENTS_MAX, &plant).unwrap();
    shrinker.shrink(&mut |_| {});
    let best = shrinker.best();
    assert_eq!(shrinker.failure().kind, "window");
    assert!(best.get("faults").is_none_or(|faults| faults.as_array().unwrap().is_empty()), "{best}");
    assert_eq!(best["workloads"].as_array().unwrap().len(), 1, "{best}");
    assert!(best.to_string().len() < tree.to_string().len(), "{best}");
    assert_eq!(rule(best, None), None);
}
