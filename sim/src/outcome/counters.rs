//! Counters of links and hosts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Totals of one link. Bytes include IP and UDP headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Counters {
    /// Packets handed to the link.
    pub sent_packets: u64,
    /// Bytes of these packets.
    pub sent_bytes: u64,
    /// Packets handed to the receiver.
    pub delivered_packets: u64,
    /// Bytes of these packets.
    pub delivered_bytes: u64,
    /// Copies made by duplication.
    pub duplicated_packets: u64,
    /// Packets delayed so that later ones may overtake them, at random or by number.
    pub reordered_packets: u64,
    /// Packets with flipped bits; copies of one packet count once.
    pub corrupted_packets: u64,
    /// Penalties of the policer.
    pub penalties: u64,
    /// Dropped: larger than the MTU.
    pub dropped_mtu: u64,
    /// Dropped: the link was down.
    pub dropped_blackout: u64,
    /// Dropped: on the list of packets to drop.
    pub dropped_list: u64,
    /// Dropped: random loss.
    pub dropped_loss: u64,
    /// Dropped by the policer.
    pub dropped_policer: u64,
    /// Dropped: the queue was full.
    pub dropped_queue: u64,
    /// Dropped by CoDel at the head of the queue.
    pub dropped_codel: u64,
    /// Packets inside the link at the end of the run; 0 until then, see [`Counters::at_end`].
    pub in_flight_packets: u64,
    /// Peak queue length, bytes.
    pub queue_peak_bytes: u64,
}

impl Counters {
    /// Packets dropped by any element.
    pub const fn dropped(&self) -> u64 {
        let before_queue = self.dropped_mtu + self.dropped_blackout + self.dropped_list + self.dropped_loss;
        before_queue + self.dropped_policer + self.dropped_queue + self.dropped_codel
    }

    /// Packets inside the link: sent - delivered - dropped. `None` if more packets left the link than
    /// entered it.
    pub const fn in_flight(&self) -> Option<u64> {
        (self.sent_packets + self.duplicated_packets).checked_sub(self.delivered_packets + self.dropped())
    }

    /// The totals of a finished run.
    pub fn at_end(self) -> Self {
        Self { in_flight_packets: self.in_flight().unwrap_or(0), ..self }
    }

    /// What was dropped, delayed or changed, by reason; reasons that never applied are left out.
    pub fn impairments(&self) -> Vec<(&'static str, u64)> {
        let all = [
            ("lost", self.dropped_loss),
            ("queue full", self.dropped_queue),
            ("codel", self.dropped_codel),
            ("policed", self.dropped_policer),
            ("too large", self.dropped_mtu),
            ("blackout", self.dropped_blackout),
            ("listed", self.dropped_list),
            ("reordered", self.reordered_packets),
            ("duplicated", self.duplicated_packets),
            ("corrupted", self.corrupted_packets),
            ("penalties", self.penalties),
        ];
        all.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}

/// Totals of one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HostCounters {
    /// Datagrams dropped because the socket buffer was full.
    pub dropped_socket: u64,
    /// Peak length of the socket buffer, bytes.
    pub socket_peak_bytes: u64,
    /// Processor time, microseconds.
    pub cpu_busy_us: u64,
    /// The clock's offset at the start, plus its steps, microseconds.
    pub clock_offset_us: u64,
}
