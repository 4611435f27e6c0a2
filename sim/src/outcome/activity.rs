//! What workloads of many streams or messages report.

use super::{PerDirection, Percentiles};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A workload of messages, requests, objects or streams; what is counted and timed is said at each
/// [`crate::outcome::WorkOutcome`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Activity {
    /// Name of the workload.
    pub name: String,
    /// Units begun.
    pub begun: u64,
    /// Units that ended well.
    pub done: u64,
    /// Units given up because their stream was reset.
    pub lost: u64,
    /// Streams opened by the client.
    pub streams_opened: u64,
    /// Streams whose end was read on both sides.
    pub streams_completed: u64,
    /// Streams that the client lost with the session that carried them.
    pub streams_reset: u64,
    /// Bytes the server read and found equal.
    pub bytes_up: u64,
    /// Bytes the client read and found equal.
    pub bytes_down: u64,
    /// Time from the beginning of a unit to its end.
    pub latency_us: Percentiles,
    /// Time from opening a stream to the last of its ends.
    pub stream_us: Percentiles,
    /// Time from making a message to reading it on the other side, where both sides make them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_way_us: Option<PerDirection<Percentiles>>,
    /// What happened while a reader did not read, where one stalls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall: Option<Stall>,
}

/// Two downloads side by side while the reader of one of them stalls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Stall {
    /// Bytes the healthy one read during the stall.
    pub healthy_bytes: u64,
    /// Longest time during the stall in which the healthy one read nothing.
    pub healthy_gap_us: u64,
    /// Bytes the stalled one read in all.
    pub stalled_bytes: u64,
}
