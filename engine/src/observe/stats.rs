//! Counters of one session, under kcp-go's SNMP names where it has one (kcp-go snmp.go; CLI-7).

use super::{Histogram, Marks};

/// How the counters of several sessions are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterKind {
    /// A total since the start of the session; totals are added.
    Total,
    /// A current value; those of live sessions are added, and an ended session counts as 0.
    Gauge,
    /// A current value of which the largest of all live sessions counts.
    Largest,
}

/// A counter of [`Stats`]: its names, its meaning, and access to it.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    /// Name of the field of [`Stats`].
    pub field: &'static str,
    /// kcp-go's name; `None` if kcp-go has no such counter.
    pub kcp_go: Option<&'static str>,
    /// Name of the Prometheus metric; empty if the value is exported in another unit.
    pub metric: &'static str,
    /// One sentence.
    pub meaning: &'static str,
    /// How several sessions are combined.
    pub kind: CounterKind,
    /// Reads the counter.
    pub of: fn(&Stats) -> u64,
    /// Refers to the counter, to change it.
    pub of_mut: fn(&mut Stats) -> &mut u64,
}

macro_rules! stats {
    ($($field:ident $kcp_go:expr, $metric:literal $kind:ident $meaning:literal)+) => {
        /// Counters of one session, or of several added up.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Stats {
            $(#[doc = $meaning] pub $field: u64,)+
            /// Coverage marks: rare paths that were taken.
            pub marks: Marks,
            /// Samples of the round trip, with the peer's delay of acknowledgements.
            pub round_trips: Histogram,
            /// Times from writing bytes to a stream until they are framed; one byte at a time is followed.
            pub queue_delays: Histogram,
        }

        impl Stats {
            /// Every counter, in the order of kcp-go's `Snmp` structure; then those that kcp-go does not have.
            pub const COUNTERS: &'static [Counter] = &[$(Counter {
                field: stringify!($field),
                kcp_go: $kcp_go,
                metric: $metric,
                meaning: $meaning,
                kind: CounterKind::$kind,
                of: |stats| stats.$field,
                of_mut: |stats| &mut stats.$field,
            },)+];
        }
    };
}

stats! {
    bytes_sent Some("BytesSent"), "karst_bytes_sent_total" Total "Bytes to send, after compression."
    bytes_received Some("BytesReceived"), "karst_bytes_received_total" Total "Bytes received in order, before decompression."
    in_errs Some("InErrs"), "karst_in_errors_total" Total "Datagrams too short or from a foreign source."
    in_csum_errors Some("InCsumErrors"), "karst_in_checksum_errors_total" Total "Datagrams whose checksum or tag is wrong."
    kcp_in_errors Some("KCPInErrors"), "karst_in_kcp_errors_total" Total "Datagrams that KCP refused: wrong conversation, truncated segment, unknown command."
    in_pkts Some("InPkts"), "karst_in_packets_total" Total "Datagrams opened and processed."
    out_pkts Some("OutPkts"), "karst_out_packets_total" Total "Datagrams sent, parity included."
    in_segs Some("InSegs"), "karst_in_segments_total" Total "Segments received."
    out_segs Some("OutSegs"), "karst_out_segments_total" Total "Segments sent."
    in_bytes Some("InBytes"), "karst_in_bytes_total" Total "Bytes of datagrams received, without the cipher's header."
    out_bytes Some("OutBytes"), "karst_out_bytes_total" Total "Bytes of datagrams sent."
    retrans_segs Some("RetransSegs"), "karst_retransmitted_segments_total" Total "Segments retransmitted for any reason."
    fast_retrans_segs Some("FastRetransSegs"), "karst_fast_retransmitted_segments_total" Total "Segments retransmitted because later ones were acknowledged."
    early_retrans_segs Some("EarlyRetransSegs"), "karst_early_retransmitted_segments_total" Total "Segments retransmitted while there was nothing new to send."
    lost_segs Some("LostSegs"), "karst_lost_segments_total" Total "Segments retransmitted by timeout."
    repeat_segs Some("RepeatSegs"), "karst_repeated_segments_total" Total "Duplicate segments received."
    fec_full_shards Some("FECFullShardSet"), "karst_fec_full_groups_total" Total "Shard groups complete without recovery."
    fec_recovered Some("FECRecovered"), "karst_fec_recovered_total" Total "Datagrams rebuilt from parity."
    fec_errs Some("FECErrs"), "karst_fec_errors_total" Total "Shard groups that could not be rebuilt."
    fec_parity_shards Some("FECParityShards"), "karst_fec_parity_packets_total" Total "Parity packets received."
    fec_shard_set Some("FECShardSet"), "karst_fec_groups" Gauge "Shard groups held."
    fec_shard_min Some("FECShardMin"), "karst_fec_newest_group" Largest "Number of the newest shard group."
    ring_buffer_snd_queue Some("RingBufferSndQueue"), "karst_send_queue_segments" Gauge "Segments not yet sent for the first time."
    ring_buffer_rcv_queue Some("RingBufferRcvQueue"), "karst_receive_queue_segments" Gauge "Segments received and not yet read."
    ring_buffer_snd_buffer Some("RingBufferSndBuffer"), "karst_send_buffer_segments" Gauge "Segments in flight: sent and not yet acknowledged."
    oob_packets Some("OOBPackets"), "karst_out_of_band_packets_total" Total "Out-of-band packets received and dropped."
    reflected None, "karst_reflected_packets_total" Total "Datagrams that this process sent and received back."
    migrations None, "karst_migrations_total" Total "Times a session followed its peer to another address."
    streams_cut None, "karst_streams_cut_total" Total "Streams reset because their stalled reader blocked all others."
    queue_delay_us None, "" Largest "Smoothed time from writing bytes to a stream until they are framed, microseconds."
}

impl Stats {
    /// Every counter with the name of its field.
    pub fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Self::COUNTERS.iter().map(|counter| (counter.field, (counter.of)(self)))
    }

    /// What remains of an ended session: totals, without current values.
    #[must_use]
    pub fn ended(mut self) -> Self {
        for counter in Self::COUNTERS.iter().filter(|counter| counter.kind != CounterKind::Total) {
            *(counter.of_mut)(&mut self) = 0;
        }
        self
    }
}

impl core::ops::AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        for Counter { kind, of, of_mut, .. } in Self::COUNTERS {
            let (sum, value) = (of_mut(self), of(&other));
            *sum = match kind {
                CounterKind::Total | CounterKind::Gauge => *sum + value,
                CounterKind::Largest => value.max(*sum),
            };
        }
        self.marks = self.marks.or(other.marks);
        self.round_trips += other.round_trips;
        self.queue_delays += other.queue_delays;
    }
}

impl core::iter::Sum for Stats {
    fn sum<I: Iterator<Item = Self>>(sessions: I) -> Self {
        sessions.fold(Self::default(), |mut sum, stats| {
            sum += stats;
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mark;

    fn of_ones() -> Stats {
        let mut stats = Stats::default();
        Stats::COUNTERS.iter().for_each(|counter| *(counter.of_mut)(&mut stats) = 1);
        stats.marks.hit(Mark::Probe);
        stats.round_trips.add(1);
        stats.queue_delays.add(1);
        stats
    }

    #[test]
    fn totals_and_gauges_are_added_and_of_others_the_largest_counts() {
        let mut other = of_ones();
        other.queue_delay_us = 5;
        let sum: Stats = [of_ones(), other].into_iter().sum();
        assert_eq!((sum.bytes_sent, sum.fec_shard_set), (2, 2));
        assert_eq!((sum.fec_shard_min, sum.queue_delay_us), (1, 5));
        assert!(sum.marks.has(Mark::Probe));
        assert_eq!((sum.round_trips.count(), sum.queue_delays.count()), (2, 2));
    }

    #[test]
    fn an_ended_session_keeps_its_totals_only() {
        let ended = of_ones().ended();
        for Counter { field, kind, of, .. } in Stats::COUNTERS {
            assert_eq!(of(&ended) == 1, *kind == CounterKind::Total, "{field}");
        }
    }
}
