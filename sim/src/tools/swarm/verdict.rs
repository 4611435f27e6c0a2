use crate::outcome::Outcome;
use crate::plan::Scenario;
use crate::world::World;
use std::fmt::{self, Display, Formatter};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The result of a run that may have panicked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It went through to its end, whatever that was.
    Ran(Box<Outcome>),
    /// An assertion failed, with this message.
    Panicked(String),
    /// It has more events than it may have, and was given up.
    GivenUp,
}

/// How a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The broken rule's name, `panic`, `expectation` or `endless`: minimizing a scenario preserves it.
    pub kind: String,
    /// In words.
    pub detail: String,
}

impl Verdict {
    /// Plays `scenario` to its end, or for that many events. A panic of the engine is part of the answer.
    pub fn of(scenario: &Scenario, seed: u64, events_max: u64) -> Self {
        let play = || {
            let mut run = World::new(scenario, seed);
            for _ in 0..events_max {
                if !run.step() {
                    return Self::Ran(Box::new(run.finish()));
                }
            }
            Self::GivenUp
        };
        catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            Self::Panicked(text.or(panic.downcast_ref().copied()).unwrap_or("without a word").into())
        })
    }

    /// The failure, if there is one.
    pub fn failure(&self) -> Option<Failure> {
        let failure = |kind: &str, detail: &str| Some(Failure { kind: kind.into(), detail: detail.into() });
        match self {
            Self::Panicked(text) => failure("panic", text),
            Self::GivenUp => failure("endless", "more events than a run of the swarm may have"),
            Self::Ran(outcome) => match outcome.violations.first() {
                Some(violation) => failure(violation.rule.name(), &violation.detail),
                None => outcome
                    .expectations
                    .iter()
                    .find(|one| !one.ok)
                    .and_then(|one| failure("expectation", &one.quantity)),
            },
        }
    }

    /// The outcome, if the run came to its end.
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Ran(outcome) => Some(outcome),
            _ => None,
        }
    }
}

impl Failure {
    /// Whether both are the same, as far as can be told: the same rule, and the same words where a rule has many ways to
    /// be broken. Numbers do not count.
    pub fn is_like(&self, other: &Self) -> bool {
        let words =
            |failure: &Self| -> String { failure.detail.chars().filter(|c| !c.is_ascii_digit()).collect() };
        let tells = matches!(self.kind.as_str(), "closed" | "panic" | "memory" | "window");
        self.kind == other.kind && (!tells || words(self) == words(other))
    }
}

impl Display for Failure {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.kind, self.detail)
    }
}
