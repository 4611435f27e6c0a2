//! Figures over the outcomes of several workloads, real or simulated.

use sim::outcome::{Percentiles, WorkOutcome};
use sim::{Direction, useful_bytes};

/// Goodput of all transfers in `direction`, kbit/s; None when there is none.
pub fn goodput_kbit(work: &[WorkOutcome], direction: Direction) -> Option<u64> {
    let of = |work: &WorkOutcome| match work {
        WorkOutcome::Bulk(bulk) if bulk.direction == direction => Some(bulk.goodput_kbit),
        _ => None,
    };
    work.iter().filter_map(of).fold(None, |sum, goodput| Some(sum.unwrap_or(0) + goodput))
}

/// Latencies of the first workload that has any.
pub fn latency_us(work: &[WorkOutcome]) -> Option<&Percentiles> {
    work.iter().filter_map(WorkOutcome::latency).find(|latency| latency.count > 0)
}

/// Whether the workload received all data that it started to send.
pub fn is_complete(work: &WorkOutcome) -> bool {
    match work {
        WorkOutcome::Bulk(bulk) => bulk.complete,
        WorkOutcome::Echo(echo) => echo.sent == echo.received,
        WorkOutcome::StalledReader(reader) => {
            reader.streams_opened == reader.streams_completed + reader.streams_reset
        }
        other => other.activity().is_none_or(|(_, activity)| activity.begun == activity.done),
    }
}

/// Connections of the workload that were cut.
pub fn streams_reset(work: &WorkOutcome) -> u64 {
    match work {
        WorkOutcome::Bulk(bulk) => bulk.streams_reset,
        WorkOutcome::Echo(echo) => echo.streams_reset,
        other => other.activity().map_or(0, |(_, activity)| activity.streams_reset),
    }
}

/// The direction that moved more payload.
pub fn data_path(work: &[WorkOutcome]) -> Direction {
    let useful = useful_bytes(work);
    if useful.up > useful.down { Direction::Up } else { Direction::Down }
}
