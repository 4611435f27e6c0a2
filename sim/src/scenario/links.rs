//! The keys of a link, and the plan made of them. Every value may be a schedule; see [`Timeline`].

use super::Refusal;
use super::rules::{MINUTE_US, each_within, refuse_if, within};
use crate::plan::{
    CodelPlan, LinkPlan, LossPlan, Penalty, PolicerPlan, QueuePlan, ReorderPlan, Timeline, WANDER_STEPS,
    WanderPlan,
};
use crate::units::{Milli, Millis, Percent};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

const LISTED_PACKETS_MAX: usize = 10_000;
const KBIT_MAX: u64 = 1_000_000_000;
const BURST_BYTES_MAX: u64 = 1 << 40;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Links {
    /// From the client to the server.
    pub(super) up: LinkKeys,
    /// From the server to the client.
    pub(super) down: LinkKeys,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkKeys {
    /// Largest IP packet, bytes; larger ones are dropped.
    mtu_bytes: Option<Timeline<u32>>,
    /// `true` while nothing enters the link; what is inside still arrives.
    #[serde(default)]
    blackout: Timeline<bool>,
    /// Numbers of packets that are dropped, counted from 1 over all that are handed to the link. No schedule.
    #[serde(default)]
    drop_packets: Vec<u64>,
    /// Packets that arrive later than they would, so that others may overtake them: `[number, microseconds]`. No schedule.
    #[serde(default)]
    delay_packets_us: Vec<(u64, u64)>,
    /// Share of packets lost at random, percent.
    loss_pct: Option<Timeline<Percent>>,
    /// Random loss comes in runs of that mean length, packets (Gilbert-Elliott); needs `loss_pct`.
    loss_burst_packets: Option<Timeline<Milli>>,
    /// Random loss comes after the transmitter, so that a lost packet costs bandwidth; otherwise before the queue. No schedule.
    #[serde(default)]
    loss_after_queue: bool,
    /// Rate of a token bucket that drops what exceeds it, kbit/s; needs `police_burst_bytes`.
    police_kbit: Option<Timeline<u64>>,
    /// Size of that bucket, bytes.
    police_burst_bytes: Option<Timeline<u64>>,
    /// Rate of the bucket after an overrun, kbit/s; needs `police_penalty_ms`.
    police_penalty_kbit: Option<Timeline<u64>>,
    /// How long that lasts.
    police_penalty_ms: Option<Timeline<Millis>>,
    /// The policer lets everything else pass, as forged TCP and the baseline.
    police_only: Option<Protocol>,
    /// Rate of the transmitter including IP and UDP headers, kbit/s; needs `queue_bytes` or `queue_packets`. 0 in a schedule is an outage that keeps the queue.
    rate_kbit: Option<Timeline<u64>>,
    /// Room of the queue, bytes; what finds none is dropped.
    queue_bytes: Option<Timeline<u64>>,
    /// Room of the queue, packets.
    queue_packets: Option<Timeline<u64>>,
    /// CoDel (RFC 8289) at the head of the queue: standing delay that is accepted, usually 5; needs `codel_interval_ms`.
    codel_target_ms: Option<Timeline<Millis>>,
    /// Time after which a standing queue is seen as one, usually 100.
    codel_interval_ms: Option<Timeline<Millis>>,
    /// Propagation delay.
    #[serde(default)]
    delay_ms: Timeline<Millis>,
    /// Extra delay that drifts between zero and this; needs `wander_correlation_ms`.
    wander_ms: Option<Timeline<Millis>>,
    /// Time after which that delay has forgotten itself.
    wander_correlation_ms: Option<Timeline<Millis>>,
    /// Largest extra delay, uniform from zero. Packets stay in order, so that a late one holds up those behind it, unless `unordered`.
    #[serde(default)]
    jitter_ms: Timeline<Millis>,
    /// Packets arrive by their own delays and overtake each other: jitter keeps its distribution at any rate, and a falling delay (a handover) reorders. No schedule.
    #[serde(default)]
    unordered: bool,
    /// Share of packets held back, percent; needs `reorder_delay_ms`.
    reorder_pct: Option<Timeline<Percent>>,
    /// How long they are held back.
    reorder_delay_ms: Option<Timeline<Millis>>,
    /// Share of packets that arrive twice, percent.
    #[serde(default)]
    duplicate_pct: Timeline<Percent>,
    /// Copies take room in the queue and bandwidth. No schedule.
    #[serde(default)]
    duplicate_before_queue: bool,
    /// Share of datagrams that arrive with one to four flipped bits, percent; not with `crypt` null, which has no checksum.
    #[serde(default)]
    corrupt_pct: Timeline<Percent>,
}

/// What a policer concerns.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Protocol {
    Udp,
}

pub(super) fn plan(at: &str, keys: &LinkKeys, forged_tcp: bool) -> Result<LinkPlan, Refusal> {
    let at = At(at);
    let mtu_bytes = keys.mtu_bytes.clone();
    let mtu = mtu_bytes.as_ref().map(|mtu| mtu.map(u64::from));
    each_within(&at.key("mtu_bytes"), mtu.as_ref(), 68, 65_535, "between 68 and 65535")?;
    at.at_most_a_minute("delay_ms", &keys.delay_ms)?;
    at.at_most_a_minute("jitter_ms", &keys.jitter_ms)?;
    listed_once(at, keys)?;
    Ok(LinkPlan {
        mtu_bytes,
        blackout: keys.blackout.clone(),
        drop_packets: keys.drop_packets.clone(),
        loss: loss(at, keys)?,
        loss_after_queue: keys.loss_after_queue,
        policer: policer(at, keys)?,
        policer_only_udp: keys.police_only.is_some(),
        forged_tcp,
        queue: queue(at, keys)?,
        delay_us: keys.delay_ms.map(|delay| delay.us),
        wander: wander(at, keys)?,
        jitter_us: keys.jitter_ms.map(|jitter| jitter.us),
        unordered: keys.unordered,
        reorder: reorder(at, keys)?,
        delay_packets: keys.delay_packets_us.clone(),
        duplicate_ppm: keys.duplicate_pct.map(|share| share.ppm),
        duplicate_before_queue: keys.duplicate_before_queue,
        corrupt_ppm: keys.corrupt_pct.map(|share| share.ppm),
    })
}

/// A packet has one fate at most: it is dropped, or delayed by something.
fn listed_once(at: At<'_>, keys: &LinkKeys) -> Result<(), Refusal> {
    let dropped = keys.drop_packets.iter().map(|&number| ("drop_packets", number));
    let delayed = keys.delay_packets_us.iter().map(|&(number, _)| ("delay_packets_us", number));
    let mut seen = BTreeMap::new();
    for (index, (key, number)) in dropped.enumerate().chain(delayed.enumerate()) {
        let place = format!("{}[{index}]", at.key(key));
        refuse_if(index >= LISTED_PACKETS_MAX, at.key(key), "must hold at most 10000 packets")?;
        refuse_if(number == 0, place.clone(), "packets count from 1")?;
        if let Some(before) = seen.insert(number, place.clone()) {
            return Err((place, format!("packet {number} is listed already, at {before}")));
        }
    }
    keys.delay_packets_us.iter().enumerate().try_for_each(|(index, (_, us))| {
        let place = format!("{}[{index}][1]", at.key("delay_packets_us"));
        within(&place, *us, 1, 60 * MINUTE_US, "above 0 and at most an hour")
    })
}

fn loss(at: At<'_>, keys: &LinkKeys) -> Result<Timeline<LossPlan>, Refusal> {
    let Some(share) = &keys.loss_pct else {
        at.refuse_alone("loss_burst_packets", keys.loss_burst_packets.as_ref(), "loss_pct")?;
        return Ok(LossPlan::None.into());
    };
    let Some(burst) = &keys.loss_burst_packets else {
        return Ok(share.map(|share| LossPlan::Bernoulli { ppm: share.ppm }));
    };
    let path = at.key("loss_burst_packets");
    let lengths = burst.map(|burst| burst.thousandths);
    each_within(&path, Some(&lengths), 1_000, 1_000_000_000, "between 1 and 1000000 packets")?;
    let both = share.zip(&lengths);
    let impossible = both.values().any(|(share, burst)| {
        let (lost, kept) = (u64::from(share.ppm), u64::from(1_000_000 - share.ppm));
        lost * 1_000 > kept * burst
    });
    refuse_if(
        impossible,
        path,
        "too short for that loss_pct: runs must be at least loss / (1 - loss) packets long",
    )?;
    Ok(both.map(|(share, burst_thousandths)| LossPlan::Burst { ppm: share.ppm, burst_thousandths }))
}

fn policer(at: At<'_>, keys: &LinkKeys) -> Result<Option<Timeline<PolicerPlan>>, Refusal> {
    let (penalty_kbit, penalty_ms) = (&keys.police_penalty_kbit, &keys.police_penalty_ms);
    let Some(kbit) = &keys.police_kbit else {
        at.refuse_alone("police_burst_bytes", keys.police_burst_bytes.as_ref(), "police_kbit")?;
        at.refuse_alone("police_penalty_kbit", penalty_kbit.as_ref(), "police_kbit")?;
        at.refuse_alone("police_penalty_ms", penalty_ms.as_ref(), "police_kbit")?;
        at.refuse_alone("police_only", keys.police_only.as_ref(), "police_kbit")?;
        return Ok(None);
    };
    let Some(burst) = &keys.police_burst_bytes else {
        return Err((at.key("police_kbit"), "needs police_burst_bytes".into()));
    };
    at.rate("police_kbit", Some(kbit))?;
    at.rate("police_penalty_kbit", penalty_kbit.as_ref())?;
    let rule = "between 1500 and 1099511627776";
    each_within(&at.key("police_burst_bytes"), Some(burst), 1_500, BURST_BYTES_MAX, rule)?;
    let penalty = at.pair(("police_penalty_kbit", penalty_kbit), ("police_penalty_ms", penalty_ms))?;
    let penalty = penalty.map_or_else(
        || None.into(),
        |both| both.map(|(kbit, time)| Some(Penalty { bits_per_s: kbit * 1_000, for_us: time.us })),
    );
    Ok(Some(kbit.zip(burst).zip(&penalty).map(|((kbit, burst_bytes), penalty)| PolicerPlan {
        bits_per_s: kbit * 1_000,
        burst_bytes,
        penalty,
    })))
}

fn queue(at: At<'_>, keys: &LinkKeys) -> Result<Option<Timeline<QueuePlan>>, Refusal> {
    let Some(rate) = &keys.rate_kbit else {
        at.refuse_alone("queue_bytes", keys.queue_bytes.as_ref(), "rate_kbit")?;
        at.refuse_alone("queue_packets", keys.queue_packets.as_ref(), "rate_kbit")?;
        at.refuse_alone("codel_target_ms", keys.codel_target_ms.as_ref(), "rate_kbit")?;
        at.refuse_alone("codel_interval_ms", keys.codel_interval_ms.as_ref(), "rate_kbit")?;
        return Ok(None);
    };
    each_within(&at.key("rate_kbit"), Some(rate), 0, KBIT_MAX, "at most 1000000000")?;
    let ends_at_0 = rate.values().last() == Some(0);
    refuse_if(ends_at_0, at.key("rate_kbit"), "must end above 0: what waits would never be sent")?;
    let room = keys.queue_bytes.as_ref().or(keys.queue_packets.as_ref());
    refuse_if(room.is_none(), at.key("rate_kbit"), "needs queue_bytes or queue_packets")?;
    each_within(&at.key("queue_packets"), keys.queue_packets.as_ref(), 1, u64::MAX, "at least 1")?;
    each_within(&at.key("queue_bytes"), keys.queue_bytes.as_ref(), 1_500, u64::MAX, "at least 1500")?;
    let unlimited = || Timeline::from(u64::MAX);
    let bytes = keys.queue_bytes.clone().unwrap_or_else(unlimited);
    let packets = keys.queue_packets.clone().unwrap_or_else(unlimited);
    let room = bytes.zip(&packets);
    Ok(Some(rate.zip(&room).zip(&codel(at, keys)?).map(|((kbit, (bytes_max, packets_max)), codel)| {
        QueuePlan { bits_per_s: kbit * 1_000, bytes_max, packets_max, codel }
    })))
}

fn codel(at: At<'_>, keys: &LinkKeys) -> Result<Timeline<Option<CodelPlan>>, Refusal> {
    let (target, interval) = (&keys.codel_target_ms, &keys.codel_interval_ms);
    let both = at.pair(("codel_target_ms", target), ("codel_interval_ms", interval))?;
    let Some(both) = both else { return Ok(None.into()) };
    Ok(both.map(|(target, interval)| Some(CodelPlan { target_us: target.us, interval_us: interval.us })))
}

fn wander(at: At<'_>, keys: &LinkKeys) -> Result<Option<Timeline<WanderPlan>>, Refusal> {
    let (amplitude, correlation) = (&keys.wander_ms, &keys.wander_correlation_ms);
    let both = at.pair(("wander_ms", amplitude), ("wander_correlation_ms", correlation))?;
    let Some(both) = both else { return Ok(None) };
    let times = both.map(|(_, correlation)| correlation.us);
    let (min, max) = (1_000 * WANDER_STEPS, 60 * MINUTE_US);
    each_within(&at.key("wander_correlation_ms"), Some(&times), min, max, "between 16 ms and an hour")?;
    Ok(Some(both.map(|(amplitude, correlation)| WanderPlan {
        amplitude_us: amplitude.us,
        correlation_us: correlation.us,
    })))
}

fn reorder(at: At<'_>, keys: &LinkKeys) -> Result<Option<Timeline<ReorderPlan>>, Refusal> {
    let both = at.pair(("reorder_pct", &keys.reorder_pct), ("reorder_delay_ms", &keys.reorder_delay_ms))?;
    Ok(both.map(|both| both.map(|(share, extra)| ReorderPlan { ppm: share.ppm, extra_us: extra.us })))
}

/// Where a link stands in the file.
#[derive(Clone, Copy)]
struct At<'p>(&'p str);

impl At<'_> {
    fn key(self, name: &str) -> String {
        format!("{}.{name}", self.0)
    }

    fn refuse_alone<T>(self, name: &str, key: Option<&T>, needed: &str) -> Result<(), Refusal> {
        refuse_if(key.is_some(), self.key(name), &format!("needs {needed}"))
    }

    fn rate(self, name: &str, kbit: Option<&Timeline<u64>>) -> Result<(), Refusal> {
        each_within(&self.key(name), kbit, 1, KBIT_MAX, "between 1 and 1000000000")
    }

    fn at_most_a_minute(self, name: &str, time: &Timeline<Millis>) -> Result<(), Refusal> {
        each_within(&self.key(name), Some(&time.map(|time| time.us)), 0, MINUTE_US, "at most a minute")
    }

    /// Two keys of which each needs the other, the second one a time that is above zero.
    fn pair<T: Copy>(
        self,
        (a, first): (&str, &Option<Timeline<T>>),
        (b, second): (&str, &Option<Timeline<Millis>>),
    ) -> Result<Option<Timeline<(T, Millis)>>, Refusal> {
        match (first, second) {
            (None, None) => Ok(None),
            (Some(_), None) => Err((self.key(a), format!("needs {b}"))),
            (None, Some(_)) => Err((self.key(b), format!("needs {a}"))),
            (Some(first), Some(second)) => {
                let times = second.map(|time| time.us);
                each_within(&self.key(b), Some(&times), 1, 60 * MINUTE_US, "above 0 and at most an hour")?;
                Ok(Some(first.zip(second)))
            }
        }
    }
}
