//! Observation: counters, coverage marks and notes. Reading them changes nothing, and the engine never logs.

mod histogram;
mod marks;
mod notes;
mod stats;
mod term;

pub use histogram::Histogram;
pub use marks::{Mark, Marks};
pub(crate) use notes::Notes;
pub use notes::{Cause, Note};
pub use stats::{Counter, CounterKind, Stats};
pub use term::Term;
