//! The two sides of a run and the two directions between them.

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
