//! Counters of a decoder.

/// Totals of a decoder, under the meaning of kcp-go's SNMP counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Groups whose data packets all arrived (FECFullShardSet).
    pub full_shards: u64,
    /// Parity packets stored (FECParityShards).
    pub parity_shards: u64,
    /// Rebuilt shards with an impossible size field, or of a group with foreign parity (FECErrs).
    pub errs: u64,
    /// Groups that were not rebuilt because some parity in them was of another conversation (FEC-23).
    pub foreign: u64,
    /// Data shards rebuilt (FECRecovered).
    pub recovered: u64,
    /// Gauge: groups held (FECShardSet); packets held in the 2021 generation.
    pub shard_set: u64,
    /// Gauge: number of the newest group (FECShardMin).
    pub shard_min: u64,
}
