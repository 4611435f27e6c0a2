//! From the keys of a file to a plan that can be run; impossible values are refused here.

use super::file::{BulkKeys, ContentKey, DirectionKey, EchoKeys, File, LinkKeys, Options, Workload};
use super::{Refusal, Scenario, SidePlan};
use crate::Direction;
use crate::link::{LinkPlan, LossPlan, QueuePlan, ReorderPlan};
use crate::work::{BulkPlan, Content, EchoPlan, WorkKind, WorkPlan};
use engine::Settings;
use engine::crypt::Cipher;
use engine::settings::Mode;
use std::sync::Arc;

const DAY_US: u64 = 24 * 3_600 * 1_000_000;
const MINUTE_US: u64 = 60 * 1_000_000;
const WORKLOADS_MAX: usize = 1_000;

pub(super) fn build(file: File) -> Result<Scenario, Refusal> {
    filled("name", &file.name)?;
    filled("description", &file.description)?;
    within("duration_ms", file.duration_ms.us, 1_000, DAY_US, "between 1 ms and a day")?;
    within("drain_ms", file.drain_ms.us, 1_000, DAY_US, "between 1 ms and a day")?;
    Ok(Scenario {
        name: file.name,
        description: file.description,
        seed: file.seed,
        duration_us: file.duration_ms.us,
        drain_us: file.drain_ms.us,
        up: link("links.up", &file.links.up)?,
        down: link("links.down", &file.links.down)?,
        client: side("client", file.client, Settings::client())?,
        server: side("server", file.server, Settings::server())?,
        work: workloads(file.workloads)?,
    })
}

fn link(at: &str, keys: &LinkKeys) -> Result<LinkPlan, Refusal> {
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

fn side(at: &str, options: Options, defaults: Settings) -> Result<SidePlan, Refusal> {
    let settings = settings(at, options, defaults)?;
    let config = settings.tunnel_config().map_err(|e| (format!("{at}.{}", e.flag), e.reason))?;
    Ok(SidePlan { settings, config: Arc::new(config) })
}

fn settings(at: &str, options: Options, defaults: Settings) -> Result<Settings, Refusal> {
    let crypt = options.crypt.map(|name| cipher(at, &name)).transpose()?;
    let mode = options.mode.map(|name| mode(at, &name)).transpose()?;
    Ok(Settings {
        key: options.key.unwrap_or(defaults.key),
        crypt: crypt.unwrap_or(defaults.crypt),
        mode: mode.unwrap_or(defaults.mode),
        nodelay: options.nodelay.unwrap_or(defaults.nodelay),
        interval: options.interval.unwrap_or(defaults.interval),
        resend: options.resend.unwrap_or(defaults.resend),
        nc: options.nc.unwrap_or(defaults.nc),
        mtu: options.mtu.unwrap_or(defaults.mtu),
        sndwnd: options.sndwnd.unwrap_or(defaults.sndwnd),
        rcvwnd: options.rcvwnd.unwrap_or(defaults.rcvwnd),
        datashard: options.datashard.unwrap_or(defaults.datashard),
        parityshard: options.parityshard.unwrap_or(defaults.parityshard),
        nocomp: options.nocomp.unwrap_or(defaults.nocomp),
        acknodelay: options.acknodelay.unwrap_or(defaults.acknodelay),
        smuxver: options.smuxver.unwrap_or(defaults.smuxver),
        smuxbuf: options.smuxbuf.unwrap_or(defaults.smuxbuf),
        framesize: options.framesize.unwrap_or(defaults.framesize),
        streambuf: options.streambuf.unwrap_or(defaults.streambuf),
        keepalive: options.keepalive.unwrap_or(defaults.keepalive),
        qpp: options.qpp.unwrap_or(defaults.qpp),
        qpp_count: options.qpp_count.unwrap_or(defaults.qpp_count),
        ..defaults
    })
}

/// kcptun takes unknown ciphers for aes; a scenario that says one thing and runs another is refused instead.
fn cipher(at: &str, name: &str) -> Result<Cipher, Refusal> {
    Cipher::from_name(name).ok_or_else(|| (format!("{at}.crypt"), format!("unknown cipher `{name}`")))
}

/// kcptun takes unknown modes for manual; a scenario must say so.
fn mode(at: &str, name: &str) -> Result<Mode, Refusal> {
    let mode = Mode::from_name(name);
    let unknown = mode == Mode::Manual && name != "manual";
    refuse_if(unknown, format!("{at}.mode"), "must be normal, fast, fast2, fast3 or manual")?;
    Ok(mode)
}

fn workloads(list: Vec<Workload>) -> Result<Vec<WorkPlan>, Refusal> {
    let count = list.len();
    refuse_if(
        count == 0 || count > WORKLOADS_MAX,
        "workloads".into(),
        "must hold between 1 and 1000 workloads",
    )?;
    let mut plans: Vec<WorkPlan> = Vec::with_capacity(count);
    for (index, workload) in list.into_iter().enumerate() {
        let (at, plan) = match workload {
            Workload::Bulk(keys) => (format!("workloads[{index}].bulk"), bulk(keys)),
            Workload::Echo(keys) => (format!("workloads[{index}].echo"), echo(keys)),
        };
        let plan = plan.map_err(|(key, reason)| (format!("{at}.{key}"), reason))?;
        let taken = plans.iter().any(|other| other.name == plan.name);
        refuse_if(taken, format!("{at}.name"), "is used by another workload")?;
        plans.push(plan);
    }
    Ok(plans)
}

fn bulk(keys: BulkKeys) -> Result<WorkPlan, Refusal> {
    filled("name", &keys.name)?;
    within("bytes", keys.bytes.unwrap_or(1), 1, 1 << 40, "between 1 and 1099511627776")?;
    within("start_ms", keys.start_ms.us, 0, DAY_US, "at most a day")?;
    let direction = match keys.direction {
        DirectionKey::Up => Direction::Up,
        DirectionKey::Down => Direction::Down,
    };
    let content = match keys.content {
        ContentKey::Random => Content::Random,
        ContentKey::Text => Content::Text,
    };
    let plan = BulkPlan { direction, bytes: keys.bytes, content, tampered_at: None };
    Ok(WorkPlan { name: keys.name, start_us: keys.start_ms.us, kind: WorkKind::Bulk(plan) })
}

fn echo(keys: EchoKeys) -> Result<WorkPlan, Refusal> {
    filled("name", &keys.name)?;
    within("message_bytes", u64::from(keys.message_bytes), 1, 65_536, "between 1 and 65536")?;
    within("interval_ms", keys.interval_ms.us, 100, DAY_US, "between 0.1 ms and a day")?;
    within("start_ms", keys.start_ms.us, 0, DAY_US, "at most a day")?;
    let plan = EchoPlan { message_bytes: keys.message_bytes, interval_us: keys.interval_ms.us };
    Ok(WorkPlan { name: keys.name, start_us: keys.start_ms.us, kind: WorkKind::Echo(plan) })
}

fn filled(path: &str, text: &str) -> Result<(), Refusal> {
    refuse_if(text.trim().is_empty(), path.into(), "must not be empty")
}

fn within(path: &str, value: u64, min: u64, max: u64, rule: &str) -> Result<(), Refusal> {
    refuse_if(!(min..=max).contains(&value), path.into(), &format!("must be {rule}"))
}

fn refuse_if(refused: bool, path: String, reason: &str) -> Result<(), Refusal> {
    if refused { Err((path, reason.into())) } else { Ok(()) }
}
