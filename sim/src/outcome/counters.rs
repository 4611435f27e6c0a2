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
    /// Packets injected by the adversary.
    #[serde(skip_serializing_if = "is_zero")]
    pub injected_packets: u64,
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
        let entered = self.sent_packets + self.duplicated_packets + self.injected_packets;
        entered.checked_sub(self.delivered_packets + self.dropped())
    }

    /// The totals of a finished run.
    pub fn at_end(self) -> Self {
        Self { in_flight_packets: self.in_flight().unwrap_or(0), ..self }
    }

    /// Counts of drops and impairments by reason, without those that are zero.
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
            ("injected", self.injected_packets),
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

/// Totals of the adversary. Bytes include IP and UDP headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AdversaryCounters {
    /// Datagrams observed, both directions.
    pub observed_packets: u64,
    /// Originals delayed.
    pub delayed_packets: u64,
    /// Copies sent to the receiver.
    pub replayed_packets: u64,
    /// Copies of datagrams of earlier sessions sent to the receiver.
    pub replayed_earlier_packets: u64,
    /// Copies sent back to the sender.
    pub reflected_packets: u64,
    /// Copies with flipped bits sent to the receiver.
    pub tampered_packets: u64,
    /// Datagrams of random bytes sent.
    pub garbage_packets: u64,
    /// Datagrams received at its own addresses and forwarded to the client.
    pub relayed_packets: u64,
    /// Bytes sent to the server from its own addresses.
    pub foreign_bytes: u64,
    /// Datagrams that the server sent to its own addresses.
    pub diverted_packets: u64,
    /// Bytes of these datagrams.
    pub diverted_bytes: u64,
}

impl AdversaryCounters {
    /// Whether there was no adversary, or nothing to observe.
    pub fn is_idle(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
const fn is_zero(value: &u64) -> bool {
    *value == 0
}
