//! The keys of a link, and the plan made of them.

use super::Refusal;
use super::rules::{MINUTE_US, refuse_if, within};
use crate::link::{LinkPlan, LossPlan, QueuePlan, ReorderPlan};
use crate::units::{Milli, Millis, Percent};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Links {
    pub(super) up: LinkKeys,
    pub(super) down: LinkKeys,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkKeys {
    pub(super) mtu_bytes: Option<u32>,
    pub(super) loss_pct: Option<Percent>,
    pub(super) loss_burst_packets: Option<Milli>,
    pub(super) rate_kbit: Option<u64>,
    pub(super) queue_bytes: Option<u64>,
    pub(super) queue_packets: Option<u64>,
    #[serde(default)]
    pub(super) delay_ms: Millis,
    #[serde(default)]
    pub(super) jitter_ms: Millis,
    pub(super) reorder_pct: Option<Percent>,
    pub(super) reorder_delay_ms: Option<Millis>,
    #[serde(default)]
    pub(super) duplicate_pct: Percent,
    #[serde(default)]
    pub(super) corrupt_pct: Percent,
}

pub(super) fn plan(at: &str, keys: &LinkKeys) -> Result<LinkPlan, Refusal> {
    let key = |name: &str| format!("{at}.{name}");
    within(
        &key("mtu_bytes"),
        u64::from(keys.mtu_bytes.unwrap_or(1_500)),
        68,
        65_535,
        "between 68 and 65535",
    )?;
    within(&key("delay_ms"), keys.delay_ms.us, 0, MINUTE_US, "at most a minute")?;
    within(&key("jitter_ms"), keys.jitter_ms.us, 0, MINUTE_US, "at most a minute")?;
    Ok(LinkPlan {
        mtu_bytes: keys.mtu_bytes,
        loss: loss(at, keys)?,
        queue: queue(at, keys)?,
        delay_us: keys.delay_ms.us,
        jitter_us: keys.jitter_ms.us,
        reorder: reorder(at, keys)?,
        duplicate_ppm: keys.duplicate_pct.ppm,
        corrupt_ppm: keys.corrupt_pct.ppm,
    })
}

fn loss(at: &str, keys: &LinkKeys) -> Result<LossPlan, Refusal> {
    let Some(share) = keys.loss_pct else {
        let burst = keys.loss_burst_packets.is_some();
        return refuse_if(burst, format!("{at}.loss_burst_packets"), "needs loss_pct")
            .map(|()| LossPlan::None);
    };
    let Some(burst) = keys.loss_burst_packets else { return Ok(LossPlan::Bernoulli { ppm: share.ppm }) };
    let path = || format!("{at}.loss_burst_packets");
    within(&path(), burst.thousandths, 1_000, 1_000_000_000, "between 1 and 1000000 packets")?;
    let (lost, kept) = (u64::from(share.ppm), u64::from(1_000_000 - share.ppm));
    let impossible = lost * 1_000 > kept * burst.thousandths;
    refuse_if(
        impossible,
        path(),
        "too short for that loss_pct: runs must be at least loss / (1 - loss) packets long",
    )?;
    Ok(LossPlan::Burst { ppm: share.ppm, burst_thousandths: burst.thousandths })
}

fn queue(at: &str, keys: &LinkKeys) -> Result<Option<QueuePlan>, Refusal> {
    let room = keys.queue_bytes.or(keys.queue_packets);
    let Some(rate_kbit) = keys.rate_kbit else {
        let name = if keys.queue_bytes.is_some() { "queue_bytes" } else { "queue_packets" };
        return refuse_if(room.is_some(), format!("{at}.{name}"), "needs rate_kbit").map(|()| None);
    };
    within(&format!("{at}.rate_kbit"), rate_kbit, 1, 1_000_000_000, "between 1 and 1000000000")?;
    refuse_if(room.is_none(), format!("{at}.rate_kbit"), "needs queue_bytes or queue_packets")?;
    within(&format!("{at}.queue_packets"), keys.queue_packets.unwrap_or(1), 1, u64::MAX, "at least 1")?;
    within(
        &format!("{at}.queue_bytes"),
        keys.queue_bytes.unwrap_or(1_500),
        1_500,
        u64::MAX,
        "at least 1500",
    )?;
    Ok(Some(QueuePlan {
        bits_per_s: rate_kbit * 1_000,
        bytes_max: keys.queue_bytes.unwrap_or(u64::MAX),
        packets_max: keys.queue_packets.unwrap_or(u64::MAX),
    }))
}

fn reorder(at: &str, keys: &LinkKeys) -> Result<Option<ReorderPlan>, Refusal> {
    match (keys.reorder_pct, keys.reorder_delay_ms) {
        (None, None) => Ok(None),
        (Some(_), None) => Err((format!("{at}.reorder_pct"), "needs reorder_delay_ms".into())),
        (None, Some(_)) => Err((format!("{at}.reorder_delay_ms"), "needs reorder_pct".into())),
        (Some(share), Some(extra)) => {
            within(
                &format!("{at}.reorder_delay_ms"),
                extra.us,
                1,
                MINUTE_US,
                "above 0 and at most a minute",
            )?;
            Ok(Some(ReorderPlan { ppm: share.ppm, extra_us: extra.us }))
        }
    }
}
