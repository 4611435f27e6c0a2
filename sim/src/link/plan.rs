use super::{LossPlan, PolicerPlan, QueuePlan, ReorderPlan, WanderPlan};
use crate::timeline::Timeline;

/// What a link does to packets, over time. The default is a perfect link: nothing lost, no delay, any rate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkPlan {
    /// Larger IP packets are dropped, bytes.
    pub mtu_bytes: Option<Timeline<u32>>,
    /// Everything handed to the link is dropped; what is inside still arrives.
    pub blackout: Timeline<bool>,
    /// Numbers of packets that are dropped; the first one handed to the link is 1.
    pub drop_packets: Vec<u64>,
    /// Random loss before the queue.
    pub loss: Timeline<LossPlan>,
    /// Token bucket before the queue.
    pub policer: Option<Timeline<PolicerPlan>>,
    /// Transmitter and the queue before it; `None` is infinitely fast.
    pub queue: Option<Timeline<QueuePlan>>,
    /// Propagation delay, microseconds.
    pub delay_us: Timeline<u64>,
    /// Extra delay that drifts; packets stay in order.
    pub wander: Option<Timeline<WanderPlan>>,
    /// Largest extra delay, uniform from zero, microseconds; packets stay in order.
    pub jitter_us: Timeline<u64>,
    /// Packets held back so that later ones overtake them.
    pub reorder: Option<Timeline<ReorderPlan>>,
    /// Numbers of packets that arrive later than they would, and by how much, microseconds; later ones may overtake them.
    /// The first one handed to the link is 1.
    pub delay_packets: Vec<(u64, u64)>,
    /// Packets that arrive twice, parts per million.
    pub duplicate_ppm: Timeline<u32>,
    /// Datagrams with flipped bits, parts per million.
    pub corrupt_ppm: Timeline<u32>,
}

impl LinkPlan {
    /// Most time a packet spends in the link after its last bit was sent, microseconds.
    pub fn delay_us_max(&self) -> u64 {
        let delay_us = self.delay_us.values().max().unwrap_or(0);
        let jitter_us = self.jitter_us.values().max().unwrap_or(0);
        let wander = self.wander.iter().flat_map(Timeline::values).map(|wander| wander.amplitude_us);
        let reorder = self.reorder.iter().flat_map(Timeline::values).map(|reorder| reorder.extra_us);
        let listed_us = self.delay_packets.iter().map(|(_, us)| *us).max().unwrap_or(0);
        delay_us + jitter_us + wander.max().unwrap_or(0) + reorder.max().unwrap_or(0) + listed_us
    }
}
