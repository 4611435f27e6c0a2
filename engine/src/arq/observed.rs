//! What a conversation reports of itself: counters, notes, coverage marks.

use crate::observe::{Histogram, Marks, Notes};

/// Totals counted by the ARQ, under the names of kcp-go's SNMP counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Segments written into datagrams.
    pub out_segs: u64,
    /// Segments in error-free inputs.
    pub in_segs: u64,
    /// Retransmissions after timeouts.
    pub lost_segs: u64,
    /// Retransmissions after acknowledgements of later segments.
    pub fast_retrans_segs: u64,
    /// Retransmissions after an acknowledgement while nothing new could be sent.
    pub early_retrans_segs: u64,
    /// Data segments that were not new.
    pub repeat_segs: u64,
}

/// What a conversation reports of itself.
#[derive(Debug, Default)]
pub(super) struct Observed {
    pub(super) counters: Counters,
    pub(super) notes: Notes,
    pub(super) marks: Marks,
    pub(super) round_trips: Histogram,
    /// Payload bytes of the largest segment delivered since this was read (KCP-40).
    pub(super) delivered_bytes_max: usize,
    /// Windows announced by the peer.
    pub(super) window_answers: u32,
}

impl Observed {
    /// A segment was acknowledged for the first time.
    #[inline]
    pub(super) fn note_delivered(&mut self, bytes: usize) {
        self.delivered_bytes_max = self.delivered_bytes_max.max(bytes);
    }
}
