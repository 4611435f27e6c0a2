use super::Timeline;

/// Bytes an IPv4 and a UDP header add to a datagram on the wire; rate, queue, mtu and byte counts include them.
pub const HEADERS_BYTES: u32 = 28;

/// The same of IPv4 and of forged TCP.
pub const FORGED_HEADERS_BYTES: u32 = 40;

/// What a link does to packets, over time. The default is a perfect link: nothing lost, no delay, any rate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkPlan {
    /// Larger IP packets are dropped, bytes.
    pub mtu_bytes: Option<Timeline<u32>>,
    /// Everything handed to the link is dropped; what is inside still arrives.
    pub blackout: Timeline<bool>,
    /// Numbers of packets that are dropped; the first one handed to the link is 1.
    pub drop_packets: Vec<u64>,
    /// Random loss.
    pub loss: Timeline<LossPlan>,
    /// Whether random loss comes after the transmitter, so that a lost packet takes room in the queue and time on the wire;
    /// otherwise it comes before the queue, and costs the link nothing.
    pub loss_after_queue: bool,
    /// Token bucket before the queue.
    pub policer: Option<Timeline<PolicerPlan>>,
    /// The policer lets everything but UDP pass.
    pub policer_only_udp: bool,
    /// Datagrams of the tunnel are segments of forged TCP.
    pub forged_tcp: bool,
    /// Transmitter and the queue before it; `None` is infinitely fast.
    pub queue: Option<Timeline<QueuePlan>>,
    /// Propagation delay, microseconds.
    pub delay_us: Timeline<u64>,
    /// Extra delay that drifts; packets stay in order.
    pub wander: Option<Timeline<WanderPlan>>,
    /// Largest extra delay, uniform from zero, microseconds.
    pub jitter_us: Timeline<u64>,
    /// Packets arrive by their own delays, and overtake each other: jitter keeps its distribution at any rate, and a delay
    /// that falls lets later packets arrive first. Otherwise a late packet holds up those behind it.
    pub unordered: bool,
    /// Packets held back so that later ones overtake them.
    pub reorder: Option<Timeline<ReorderPlan>>,
    /// Numbers of packets that arrive later than they would, and by how much, microseconds; later ones may overtake them.
    /// The first one handed to the link is 1.
    pub delay_packets: Vec<(u64, u64)>,
    /// Packets that are doubled, parts per million.
    pub duplicate_ppm: Timeline<u32>,
    /// Whether packets are doubled before the queue, so that copies take bandwidth; otherwise they arrive together.
    pub duplicate_before_queue: bool,
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

impl LinkPlan {
    /// When nothing leaves the link: its blackouts, and a transmitter with rate 0, whose queue is kept.
    pub fn dead(&self) -> Timeline<bool> {
        match &self.queue {
            None => self.blackout.clone(),
            Some(queue) => self.blackout.zip(queue).map(|(dark, queue)| dark || queue.bits_per_s == 0),
        }
    }
}

/// Random loss of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LossPlan {
    /// Nothing is lost.
    #[default]
    None,
    /// Every packet is lost with the same probability.
    Bernoulli {
        /// Share of packets lost, parts per million.
        ppm: u32,
    },
    /// Gilbert-Elliott: packets are lost in runs of geometric length.
    Burst {
        /// Share of packets lost in the long run, parts per million, below a million.
        ppm: u32,
        /// Mean length of a run, thousandths of a packet, at least 1000.
        burst_thousandths: u64,
    },
}

/// A token bucket that drops what exceeds it and does not queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicerPlan {
    /// Rate at which the bucket fills, bits per second.
    pub bits_per_s: u64,
    /// Size of the bucket, bytes.
    pub burst_bytes: u64,
    /// What an overrun brings besides the drop.
    pub penalty: Option<Penalty>,
}

/// After an overrun the bucket fills more slowly for some time, as with providers that punish bursts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Penalty {
    /// Rate during the penalty, bits per second.
    pub bits_per_s: u64,
    /// How long it lasts, microseconds. Overruns during a penalty do not prolong it.
    pub for_us: u64,
}

/// A transmitter and the queue before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuePlan {
    /// Rate of the transmitter, bits per second. A packet is sent at the rate it was started at; at rate 0 it waits until the
    /// schedule has another.
    pub bits_per_s: u64,
    /// Most bytes that may wait; the packet being transmitted does not count.
    pub bytes_max: u64,
    /// Most packets that may wait.
    pub packets_max: u64,
    /// Drops at the head of a queue that stands; without it only what finds no room is dropped.
    pub codel: Option<CodelPlan>,
}

/// Parameters of CoDel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodelPlan {
    /// Standing delay that is accepted, microseconds; the RFC recommends 5 ms.
    pub target_us: u64,
    /// Time after which a standing queue is seen as one, microseconds; the RFC recommends 100 ms.
    pub interval_us: u64,
}

/// How a delay drifts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WanderPlan {
    /// The extra delay moves between zero and this, microseconds: half of it on average, a sixth of it as its standard
    /// deviation.
    pub amplitude_us: u64,
    /// Time over which the correlation of the delay with itself falls to 1/e, microseconds, at least [`WANDER_STEPS`].
    pub correlation_us: u64,
}

/// Steps of the process per correlation time.
pub const WANDER_STEPS: u64 = 16;

/// Which packets are held back, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReorderPlan {
    /// Share of packets held back, parts per million.
    pub ppm: u32,
    /// Time they are held back for, microseconds.
    pub extra_us: u64,
}
