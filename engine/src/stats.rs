//! Counters of one session under kcp-go's SNMP names (kcp-go snmp.go; CLI-7). The caller sums sessions.

use crate::marks::Marks;

/// Counters of one session. All are totals since its start unless marked as a gauge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes written to the ARQ, after compression.
    pub bytes_sent: u64,
    /// Bytes read from the ARQ, before decompression.
    pub bytes_received: u64,
    /// Datagrams too short to carry anything, or from a foreign source.
    pub in_errs: u64,
    /// Datagrams whose CRC or tag was wrong.
    pub in_csum_errors: u64,
    /// Datagrams the ARQ refused (wrong conv, truncated segment, unknown command).
    pub kcp_in_errors: u64,
    /// Opened datagrams fed in.
    pub in_pkts: u64,
    /// Datagrams sent, parity included.
    pub out_pkts: u64,
    /// Segments in error-free inputs.
    pub in_segs: u64,
    /// Segments encoded.
    pub out_segs: u64,
    /// Bytes fed in, without the crypt header.
    pub in_bytes: u64,
    /// Bytes of the datagrams sent, whole length.
    pub out_bytes: u64,
    /// Sum of the three kinds of retransmission below.
    pub retrans_segs: u64,
    /// Retransmissions by duplicate acknowledgements.
    pub fast_retrans_segs: u64,
    /// Retransmissions by an acknowledgement with nothing new to send.
    pub early_retrans_segs: u64,
    /// Retransmissions by timeout.
    pub lost_segs: u64,
    /// PUSH segments that were not new.
    pub repeat_segs: u64,
    /// Shard groups complete without recovery.
    pub fec_full_shards: u64,
    /// Parity packets stored.
    pub fec_parity_shards: u64,
    /// Shard groups that could not be rebuilt.
    pub fec_errs: u64,
    /// Data shards rebuilt.
    pub fec_recovered: u64,
    /// Gauge: groups held.
    pub fec_shard_set: u64,
    /// Gauge: number of the newest group.
    pub fec_shard_min: u64,
    /// Gauge: segments not yet numbered.
    pub ring_buffer_snd_queue: u64,
    /// Gauge: segments received and not yet read.
    pub ring_buffer_rcv_queue: u64,
    /// Gauge: segments sent and not yet covered by una.
    pub ring_buffer_snd_buffer: u64,
    /// Out-of-band packets, counted and dropped.
    pub oob_packets: u64,
    /// Times the session followed its peer to another address (not a kcp-go counter).
    pub migrations: u64,
    /// Streams given up because their reader held up all others (not a kcp-go counter).
    pub streams_cut: u64,
    /// Gauge: how long bytes wait between being written to a stream and being framed, smoothed, microseconds (not a
    /// kcp-go counter).
    pub queue_delay_us: u64,
    /// Rare paths that were taken (not a kcp-go counter).
    pub marks: Marks,
}
