//! A seeded discrete-event simulator over the engine.
//!
//! [`World::run`] takes a [`Scenario`] and a seed and plays it to the end on the calling thread: one client tunnel and
//! one server endpoint joined by two [`link::Link`]s, with applications on both sides. Virtual time only moves from one
//! event to the next; events are ordered by `(at_us, seq)`, and every consumer of randomness has its own stream, derived
//! from the seed and the consumer's name. Decisions use integers, so the same seed gives the same trace hash in every
//! build and on every platform, and switching one fault off does not disturb the dice of the others.
//!
//! Checks are always on: what an application reads is compared byte for byte with what its peer wrote, packets are
//! conserved on the links, the engine's contract holds (drain, then a deadline that is not in the past, no spinning
//! timer), and everything written arrives in a bounded time after the sources stopped. A run that breaks one stops
//! there and says so in [`Outcome::violations`].

pub mod activity;
pub mod baseline;
pub mod checks;
pub mod expect;
pub mod explain;
pub mod faults;
pub mod gate;
pub mod host;
pub mod link;
pub mod liveness;
pub mod net;
pub mod outcome;
pub mod pcapng;
pub mod record;
pub mod report;
pub mod rng;
mod run;
pub mod scenario;
pub mod schema;
pub mod shrink;
pub mod swarm;
pub mod timeline;
pub mod trace;
pub mod units;
pub mod work;
mod world;

pub use outcome::Outcome;
pub use run::{Run, play};
pub use scenario::{Scenario, ScenarioError, ScenarioFile};
pub use world::{World, useful_bytes};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The tunnel's client; it opens the streams.
    Client,
    /// The tunnel's server.
    Server,
}

impl Side {
    /// The direction this side receives in.
    pub const fn receives(self) -> Direction {
        self.sends().opposite()
    }

    /// The direction this side sends in.
    pub const fn sends(self) -> Direction {
        match self {
            Self::Client => Direction::Up,
            Self::Server => Direction::Down,
        }
    }

    /// `client` or `server`, as in scenario files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// One of the two links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Client to server.
    Up,
    /// Server to client.
    Down,
}

impl Direction {
    /// The other one.
    pub const fn opposite(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }

    /// The side that receives in this direction.
    pub const fn receiver(self) -> Side {
        match self {
            Self::Up => Side::Server,
            Self::Down => Side::Client,
        }
    }

    /// The side that sends in this direction.
    pub const fn sender(self) -> Side {
        match self {
            Self::Up => Side::Client,
            Self::Down => Side::Server,
        }
    }

    /// `up` or `down`, as in scenario files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}
