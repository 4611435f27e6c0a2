/// Totals of one link. Bytes include [`super::HEADERS_BYTES`] per packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets handed to the link.
    pub sent_packets: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Packets handed to the receiver.
    pub delivered_packets: u64,
    /// Their bytes.
    pub delivered_bytes: u64,
    /// Extra copies made.
    pub duplicated_packets: u64,
    /// Packets held back so that later ones may overtake them: at random, or because their numbers were listed.
    pub reordered_packets: u64,
    /// Packets whose bits were flipped; copies of one count once.
    pub corrupted_packets: u64,
    /// Penalties of the policer.
    pub penalties: u64,
    /// Dropped because they were larger than the mtu.
    pub dropped_mtu: u64,
    /// Dropped because the link was dead.
    pub dropped_blackout: u64,
    /// Dropped because their numbers were listed.
    pub dropped_list: u64,
    /// Dropped by the loss element.
    pub dropped_loss: u64,
    /// Dropped by the policer.
    pub dropped_policer: u64,
    /// Dropped because the queue was full.
    pub dropped_queue: u64,
    /// Dropped by CoDel at the head of the queue.
    pub dropped_codel: u64,
    /// Most bytes that ever waited in the queue.
    pub queue_peak_bytes: u64,
}

impl Counters {
    /// Packets dropped by any element.
    pub const fn dropped(&self) -> u64 {
        let before_queue = self.dropped_mtu + self.dropped_blackout + self.dropped_list + self.dropped_loss;
        before_queue + self.dropped_policer + self.dropped_queue + self.dropped_codel
    }

    /// Packets that must still be inside the link: in = delivered + dropped + in flight. `None` when more came out
    /// than went in.
    pub const fn in_flight(&self) -> Option<u64> {
        (self.sent_packets + self.duplicated_packets).checked_sub(self.delivered_packets + self.dropped())
    }
}
