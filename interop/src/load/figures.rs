//! What a workload found, in real time or in the simulator.

use serde::Serialize;
use sim::Direction;
use sim::outcome::{Percentiles, WorkOutcome};

/// A workload's result; `kind` says which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Figure {
    /// A transfer.
    Bulk {
        /// Name of the workload.
        name: String,
        /// `up` or `down`.
        direction: &'static str,
        /// Bytes that arrived and were found equal.
        bytes: u64,
        /// Everything arrived, and as much as the scenario asked for.
        complete: bool,
        /// Bytes over the time from opening the connection to the last byte, kbit/s.
        goodput_kbit: u64,
    },
    /// Messages sent back.
    Echo {
        /// Name of the workload.
        name: String,
        /// Bytes that came back and were found equal.
        bytes: u64,
        /// Messages made.
        sent: u64,
        /// Messages that came back.
        received: u64,
        /// From the time a message was due to its last byte coming back, microseconds.
        latency_us: Percentiles,
    },
}

impl Figure {
    /// The same figure of a simulated run; None for workloads that have no real-time twin.
    pub fn of(outcome: &WorkOutcome) -> Option<Self> {
        if let WorkOutcome::Bulk(bulk) = outcome {
            return Some(Self::Bulk {
                name: bulk.name.clone(),
                direction: if bulk.direction == "up" { "up" } else { "down" },
                bytes: bulk.bytes_read,
                complete: bulk.complete,
                goodput_kbit: bulk.goodput_kbit,
            });
        }
        let WorkOutcome::Echo(echo) = outcome else { return None };
        Some(Self::Echo {
            name: echo.name.clone(),
            bytes: echo.bytes_read,
            sent: echo.sent,
            received: echo.received,
            latency_us: echo.latency_us,
        })
    }

    /// Payload that arrived in `direction`; an echo's in both.
    pub fn useful_bytes(&self, direction: Direction) -> u64 {
        match self {
            Self::Bulk { direction: own, bytes, .. } if *own == direction.name() => *bytes,
            Self::Bulk { .. } => 0,
            Self::Echo { bytes, .. } => *bytes,
        }
    }

    /// Goodput of a transfer in `direction`, kbit/s.
    pub fn goodput_kbit(&self, direction: Direction) -> Option<u64> {
        match self {
            Self::Bulk { direction: own, goodput_kbit, .. } if *own == direction.name() => {
                Some(*goodput_kbit)
            }
            _ => None,
        }
    }

    /// Latencies of an echo.
    pub const fn latency_us(&self) -> Option<&Percentiles> {
        match self {
            Self::Echo { latency_us, .. } => Some(latency_us),
            Self::Bulk { .. } => None,
        }
    }

    /// Whether everything arrived.
    pub const fn is_complete(&self) -> bool {
        match self {
            Self::Bulk { complete, .. } => *complete,
            Self::Echo { sent, received, .. } => *sent == *received,
        }
    }
}

/// Payload that arrived in `direction` in all workloads.
pub fn useful_bytes(figures: &[Figure], direction: Direction) -> u64 {
    figures.iter().map(|figure| figure.useful_bytes(direction)).sum()
}

/// The direction that moved more payload.
pub fn data_path(figures: &[Figure]) -> Direction {
    let up = useful_bytes(figures, Direction::Up) > useful_bytes(figures, Direction::Down);
    if up { Direction::Up } else { Direction::Down }
}
