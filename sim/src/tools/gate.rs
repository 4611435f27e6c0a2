//! The proof that a run depends on nothing but its scenario and its seed: the same run twice, side by side.

use crate::outcome::Outcome;
use crate::plan::Scenario;
use crate::trace::Entry;
use crate::world::World;
use std::fmt::{self, Display, Formatter};

/// Two runs of one scenario and seed that were not the same: the first entry of the trace that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// How many entries of the trace were equal.
    pub index: u64,
    /// The next entry of the first run; `None` when it had ended.
    pub first: Option<Entry>,
    /// The next entry of the second run; `None` when it had ended.
    pub second: Option<Entry>,
}

/// Plays `scenario` twice, side by side, and compares everything that enters the trace as it happens.
///
/// # Errors
/// The first entry that differs.
pub fn play_twice(scenario: &Scenario, seed: u64) -> Result<Outcome, Divergence> {
    let mut runs = [Recorded::new(scenario, seed), Recorded::new(scenario, seed)];
    let mut index = 0;
    loop {
        let [first, second] = runs.each_mut().map(Recorded::next_entry);
        if first != second {
            return Err(Divergence { index, first, second });
        }
        if first.is_none() {
            break;
        }
        index += 1;
    }
    let [first, second] = runs.map(|run| run.run.finish());
    if first == second { Ok(first) } else { Err(Divergence { index, first: None, second: None }) }
}

/// A run whose trace can be read entry by entry.
struct Recorded<'s> {
    run: World<'s>,
    running: bool,
    pending: std::vec::IntoIter<Entry>,
}

impl<'s> Recorded<'s> {
    fn new(scenario: &'s Scenario, seed: u64) -> Self {
        let run = World::recording(scenario, seed);
        Self { run, running: true, pending: Vec::new().into_iter() }
    }

    /// The next entry; `None` at the end of the run.
    fn next_entry(&mut self) -> Option<Entry> {
        loop {
            let next = self.pending.next();
            if next.is_some() || !self.running {
                return next;
            }
            self.running = self.run.step();
            self.pending = self.run.take_record().into_iter();
        }
    }
}

impl std::error::Error for Divergence {}

impl Display for Divergence {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self { index, first, second } = self;
        let number = index + 1;
        let shown =
            |entry: &Option<Entry>| entry.map_or_else(|| "the end".into(), |entry| format!("`{entry}`"));
        if first == second {
            return write!(out, "all {index} events of the trace are equal, but not what was measured");
        }
        write!(out, "event {number} of the trace differs: {} and {}", shown(first), shown(second))
    }
}
