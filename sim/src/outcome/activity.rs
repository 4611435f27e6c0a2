//! Outcome of workloads with many streams or messages.

use super::{PerDirection, Percentiles};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A workload of messages, requests, objects or streams; [`crate::outcome::WorkOutcome`] defines its units and their
/// latency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Activity {
    /// Name of the workload.
    pub name: String,
    /// Units started.
    pub begun: u64,
    /// Units completed.
    pub done: u64,
    /// Units lost because their stream was reset.
    pub lost: u64,
    /// Streams opened by the client.
    pub streams_opened: u64,
    /// Streams whose end was read on both sides.
    pub streams_completed: u64,
    /// Streams reset at the client because their session ended.
    pub streams_reset: u64,
    /// Bytes the server read and verified.
    pub bytes_up: u64,
    /// Bytes the client read and verified.
    pub bytes_down: u64,
    /// Time from the start of a unit to its end.
    pub latency_us: Percentiles,
    /// Time from opening a stream to the last of its ends.
    pub stream_us: Percentiles,
    /// Time from sending a message to reading it at the other side, for messages in both directions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_way_us: Option<PerDirection<Percentiles>>,
    /// Measurements during a stall, for workloads that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall: Option<Stall>,
}

/// Two concurrent downloads while the reader of one of them stalls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Stall {
    /// Bytes the other download read during the stall.
    pub healthy_bytes: u64,
    /// Longest time during the stall in which the other download read nothing.
    pub healthy_gap_us: u64,
    /// Bytes the stalled download read in total.
    pub stalled_bytes: u64,
}
