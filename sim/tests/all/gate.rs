//! The determinism gate: passes for equal runs, fails if a run depends on external state.

use crate::common::{rough, scenario};
use sim::play;
use sim::tools::gate::{Divergence, play_twice};

fn planted(planted: fn() -> u64) -> Result<sim::Outcome, Divergence> {
    let mut scenario = scenario(&rough());
    scenario.planted = Some(planted);
    play_twice(&scenario, 5)
}

/// The difference between two runs with a planted fault. Two starts within one tick of the engine differ in what is measured,
/// but not in the trace, and two values may be equal: a few attempts make that improbable.
fn divergence(fault: fn() -> u64) -> Divergence {
    let mut attempts = (0..6).filter_map(|_| planted(fault).err());
    attempts
        .find(|divergence| divergence.first.is_some())
        .expect("two runs that depend on external state differ")
}

#[test]
fn equal_runs_pass_with_the_hash_of_a_plain_run() {
    let scenario = scenario(&rough());
    assert_eq!(play_twice(&scenario, 5), Ok(play(&scenario, 5)));
    assert!(planted(|| 1_234).is_ok());
}

#[test]
fn a_clock_read_is_detected_with_the_first_different_event() {
    #[expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "the planted fault")]
    fn clock() -> u64 {
        let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        (elapsed.as_nanos() % 1_000_003) as u64
    }
    names_the_first_difference(&divergence(clock));
}

#[test]
fn an_unordered_iteration_is_detected_with_the_first_different_event() {
    #[expect(clippy::disallowed_types, reason = "the planted fault")]
    fn unordered() -> u64 {
        let numbers: std::collections::HashSet<u64> = (0..1_000).collect();
        numbers.iter().enumerate().map(|(place, number)| place as u64 * number).sum::<u64>() % 1_000_003
    }
    names_the_first_difference(&divergence(unordered));
}

fn names_the_first_difference(divergence: &Divergence) {
    let (first, second) = divergence.first.zip(divergence.second).expect("neither run has ended");
    assert_ne!(first, second);
    let line = format!("event {} of the trace differs: `{first}` and `{second}`", divergence.index + 1);
    assert_eq!(divergence.to_string(), line);
    assert!(first.to_string().contains(" us "), "{first}");
}
