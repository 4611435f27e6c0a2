//! A seeded discrete-event simulator over the engine.
//!
//! [`play`] takes a [`Scenario`] and a seed and plays it to the end on the calling thread: one client tunnel and
//! one server endpoint joined by two [`link::Link`]s, with applications on both sides. Virtual time only moves from one
//! event to the next; events are ordered by `(at_us, seq)`, and every consumer of randomness has its own stream, derived
//! from the seed and the consumer's name. Decisions use integers, so the same seed gives the same trace hash in every
//! build and on every platform, and switching one fault off does not disturb the dice of the others.
//!
//! Checks are always on: what an application reads is compared byte for byte with what its peer wrote, packets are
//! conserved on the links, the engine's contract holds (drain, then a deadline that is not in the past, no spinning
//! timer), and everything written arrives in a bounded time after the sources stopped. A run that breaks one stops
//! there and reports it in [`Outcome::violations`].

pub mod check;
pub mod host;
pub mod ids;
pub mod link;
pub mod net;
pub mod outcome;
pub mod pcapng;
pub mod plan;
pub mod record;
pub mod report;
pub mod rng;
pub mod scenario;
pub mod schema;
mod side;
pub mod stats;
pub mod tcp;
pub mod term;
pub mod tools;
pub mod trace;
pub mod transport;
pub mod units;
pub mod work;
mod world;

pub use outcome::{Outcome, useful_bytes};
pub use plan::Scenario;
pub use scenario::{ScenarioError, ScenarioFile};
pub use side::{Direction, Side};
pub use world::{World, play};
