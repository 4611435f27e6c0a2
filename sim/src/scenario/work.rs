//! The keys of workloads, and the plans made of them.

use super::Refusal;
use super::rules::{DAY_US, filled, refuse_if, within};
use crate::Direction;
use crate::plan::{
    BulkPlan, Content, EchoPlan, GameTicksPlan, HalfClosePlan, IdleThenBurstPlan, PagePlan,
    RequestResponsePlan, ShortStreamsPlan, StalledReaderPlan, StormPlan, TypingPlan, WorkKind, WorkPlan,
};
use crate::units::Millis;
use schemars::JsonSchema;
use serde::Deserialize;

const WORKLOADS_MAX: usize = 1_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Workload {
    Bulk(BulkKeys),
    Echo(EchoKeys),
    RequestResponse(RequestResponseKeys),
    ShortStreams(ShortStreamsKeys),
    Page(PageKeys),
    GameTicks(GameTicksKeys),
    Typing(TypingKeys),
    StalledReader(StalledReaderKeys),
    HalfClose(HalfCloseKeys),
    Storm(StormKeys),
    IdleThenBurst(IdleThenBurstKeys),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BulkKeys {
    pub(super) name: String,
    pub(super) direction: DirectionKey,
    pub(super) bytes: Option<u64>,
    #[serde(default)]
    pub(super) content: ContentKey,
    #[serde(default)]
    pub(super) start_ms: Millis,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EchoKeys {
    pub(super) name: String,
    pub(super) message_bytes: u32,
    pub(super) interval_ms: Millis,
    #[serde(default)]
    pub(super) start_ms: Millis,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestResponseKeys {
    pub(super) name: String,
    #[serde(default = "request_default")]
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    #[serde(default)]
    pub(super) think_ms: Millis,
    pub(super) count: Option<u64>,
    #[serde(default)]
    pub(super) start_ms: Millis,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ShortStreamsKeys {
    pub(super) name: String,
    pub(super) interval_ms: Millis,
    pub(super) count: Option<u64>,
    #[serde(default = "request_default")]
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    #[serde(default)]
    pub(super) start_ms: Millis,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PageKeys {
    pub(super) name: String,
    #[serde(default = "objects_default")]
    pub(super) objects: u64,
    #[serde(default = "page_request_default")]
    pub(super) request_bytes: u64,
    pub(super) object_bytes_min: u64,
    pub(super) object_bytes_max: u64,
    #[serde(default = "one")]
    pub(super) pages: u64,
    #[serde(default)]
    pub(super) think_ms: Millis,
    #[serde(default)]
    pub(super) start_ms: Millis,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GameTicksKeys {
    pub(super) name: String,
    pub(super) interval_ms: Millis,
    pub(super) up_bytes: u64,
    pub(super) down_bytes: u64,
    #[serde(default)]
    pub(super) start_ms: Millis,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TypingKeys {
    pub(super) name: String,
    pub(super) interval_ms: Millis,
    #[serde(default = "key_default")]
    pub(super) key_bytes: u64,
    #[serde(default = "key_echo_default")]
    pub(super) echo_bytes: u64,
    #[serde(default)]
    pub(super) start_ms: Millis,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StalledReaderKeys {
    pub(super) name: String,
    pub(super) stall_after_ms: Millis,
    pub(super) stall_for_ms: Millis,
    #[serde(default)]
    pub(super) start_ms: Millis,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HalfCloseKeys {
    pub(super) name: String,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    #[serde(default)]
    pub(super) response_after_ms: Millis,
    #[serde(default = "one")]
    pub(super) count: u64,
    #[serde(default)]
    pub(super) start_ms: Millis,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StormKeys {
    pub(super) name: String,
    pub(super) interval_ms: Millis,
    pub(super) count: u64,
    #[serde(default)]
    pub(super) bytes: u64,
    #[serde(default)]
    pub(super) open_max: u64,
    #[serde(default)]
    pub(super) start_ms: Millis,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IdleThenBurstKeys {
    pub(super) name: String,
    pub(super) idle_ms: Millis,
    pub(super) burst_bytes: u64,
    pub(super) count: u64,
    #[serde(default)]
    pub(super) start_ms: Millis,
}

const fn request_default() -> u64 {
    200
}

const fn page_request_default() -> u64 {
    400
}

const fn objects_default() -> u64 {
    60
}

const fn one() -> u64 {
    1
}

/// A keystroke and its echo as ssh encrypts them.
const fn key_default() -> u64 {
    36
}

const fn key_echo_default() -> u64 {
    52
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum DirectionKey {
    Up,
    Down,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ContentKey {
    #[default]
    Random,
    Text,
}

pub(super) fn plan(list: Vec<Workload>, duration_us: u64) -> Result<Vec<WorkPlan>, Refusal> {
    let count = list.len();
    refuse_if(
        count == 0 || count > WORKLOADS_MAX,
        "workloads".into(),
        "must hold between 1 and 1000 workloads",
    )?;
    let mut plans: Vec<WorkPlan> = Vec::with_capacity(count);
    for (index, workload) in list.into_iter().enumerate() {
        let (kind, plan) = one_plan(workload);
        let at = format!("workloads[{index}].{kind}");
        let plan = plan.map_err(|(key, reason)| (format!("{at}.{key}"), reason))?;
        let taken = plans.iter().any(|other| other.name == plan.name);
        refuse_if(taken, format!("{at}.name"), "is used by another workload")?;
        let late = plan.start_us >= duration_us;
        refuse_if(late, format!("{at}.start_ms"), "must be before duration_ms")?;
        plans.push(plan);
    }
    Ok(plans)
}

/// The kind's name in files, and the plan.
fn one_plan(workload: Workload) -> (&'static str, Result<WorkPlan, Refusal>) {
    match workload {
        Workload::Bulk(keys) => ("bulk", bulk(keys)),
        Workload::Echo(keys) => ("echo", echo(keys)),
        Workload::RequestResponse(keys) => ("request_response", request_response(keys)),
        Workload::ShortStreams(keys) => ("short_streams", short_streams(keys)),
        Workload::Page(keys) => ("page", page(keys)),
        Workload::GameTicks(keys) => ("game_ticks", game_ticks(keys)),
        Workload::Typing(keys) => ("typing", typing(keys)),
        Workload::StalledReader(keys) => ("stalled_reader", stalled_reader(keys)),
        Workload::HalfClose(keys) => ("half_close", half_close(keys)),
        Workload::Storm(keys) => ("storm", storm(keys)),
        Workload::IdleThenBurst(keys) => ("idle_then_burst", idle_then_burst(keys)),
    }
}

/// Name and start, which every workload has.
fn common(name: String, start: Millis, kind: WorkKind) -> Result<WorkPlan, Refusal> {
    filled("name", &name)?;
    within("start_ms", start.us, 0, DAY_US, "at most a day")?;
    Ok(WorkPlan { name, start_us: start.us, kind })
}

fn message(key: &str, bytes: u64) -> Result<(), Refusal> {
    within(key, bytes, 1, 1 << 30, "between 1 and 1073741824")
}

fn interval(key: &str, interval: Millis) -> Result<(), Refusal> {
    within(key, interval.us, 100, DAY_US, "between 0.1 ms and a day")
}

fn wait(key: &str, wait: Millis) -> Result<(), Refusal> {
    within(key, wait.us, 0, DAY_US, "at most a day")
}

fn number(key: &str, count: u64) -> Result<(), Refusal> {
    within(key, count, 1, 1_000_000, "between 1 and 1000000")
}

fn bulk(keys: BulkKeys) -> Result<WorkPlan, Refusal> {
    within("bytes", keys.bytes.unwrap_or(1), 1, 1 << 40, "between 1 and 1099511627776")?;
    let direction = match keys.direction {
        DirectionKey::Up => Direction::Up,
        DirectionKey::Down => Direction::Down,
    };
    let content = match keys.content {
        ContentKey::Random => Content::Random,
        ContentKey::Text => Content::Text,
    };
    let plan = BulkPlan { direction, bytes: keys.bytes, content, tampered_at: None };
    common(keys.name, keys.start_ms, WorkKind::Bulk(plan))
}

fn echo(keys: EchoKeys) -> Result<WorkPlan, Refusal> {
    within("message_bytes", u64::from(keys.message_bytes), 1, 65_536, "between 1 and 65536")?;
    within("interval_ms", keys.interval_ms.us, 100, DAY_US, "between 0.1 ms and a day")?;
    let plan = EchoPlan { message_bytes: keys.message_bytes, interval_us: keys.interval_ms.us };
    common(keys.name, keys.start_ms, WorkKind::Echo(plan))
}

fn request_response(keys: RequestResponseKeys) -> Result<WorkPlan, Refusal> {
    message("request_bytes", keys.request_bytes)?;
    message("response_bytes", keys.response_bytes)?;
    wait("think_ms", keys.think_ms)?;
    number("count", keys.count.unwrap_or(1))?;
    let plan = RequestResponsePlan {
        request_bytes: keys.request_bytes,
        response_bytes: keys.response_bytes,
        think_us: keys.think_ms.us,
        count: keys.count,
    };
    common(keys.name, keys.start_ms, WorkKind::RequestResponse(plan))
}

fn short_streams(keys: ShortStreamsKeys) -> Result<WorkPlan, Refusal> {
    interval("interval_ms", keys.interval_ms)?;
    number("count", keys.count.unwrap_or(1))?;
    message("request_bytes", keys.request_bytes)?;
    message("response_bytes", keys.response_bytes)?;
    let plan = ShortStreamsPlan {
        interval_us: keys.interval_ms.us,
        count: keys.count,
        request_bytes: keys.request_bytes,
        reply_bytes: keys.response_bytes,
    };
    common(keys.name, keys.start_ms, WorkKind::ShortStreams(plan))
}

fn page(keys: PageKeys) -> Result<WorkPlan, Refusal> {
    within("objects", keys.objects, 1, 10_000, "between 1 and 10000")?;
    message("request_bytes", keys.request_bytes)?;
    message("object_bytes_min", keys.object_bytes_min)?;
    within(
        "object_bytes_max",
        keys.object_bytes_max,
        keys.object_bytes_min,
        1 << 30,
        "at least object_bytes_min and at most 1073741824",
    )?;
    number("pages", keys.pages)?;
    wait("think_ms", keys.think_ms)?;
    let plan = PagePlan {
        objects: keys.objects,
        request_bytes: keys.request_bytes,
        object_bytes_min: keys.object_bytes_min,
        object_bytes_max: keys.object_bytes_max,
        pages: keys.pages,
        think_us: keys.think_ms.us,
    };
    common(keys.name, keys.start_ms, WorkKind::Page(plan))
}

fn game_ticks(keys: GameTicksKeys) -> Result<WorkPlan, Refusal> {
    interval("interval_ms", keys.interval_ms)?;
    message("up_bytes", keys.up_bytes)?;
    message("down_bytes", keys.down_bytes)?;
    let plan = GameTicksPlan {
        interval_us: keys.interval_ms.us,
        up_bytes: keys.up_bytes,
        down_bytes: keys.down_bytes,
    };
    common(keys.name, keys.start_ms, WorkKind::GameTicks(plan))
}

fn typing(keys: TypingKeys) -> Result<WorkPlan, Refusal> {
    interval("interval_ms", keys.interval_ms)?;
    message("key_bytes", keys.key_bytes)?;
    message("echo_bytes", keys.echo_bytes)?;
    let plan = TypingPlan {
        interval_us: keys.interval_ms.us,
        key_bytes: keys.key_bytes,
        echo_bytes: keys.echo_bytes,
    };
    common(keys.name, keys.start_ms, WorkKind::Typing(plan))
}

fn stalled_reader(keys: StalledReaderKeys) -> Result<WorkPlan, Refusal> {
    wait("stall_after_ms", keys.stall_after_ms)?;
    interval("stall_for_ms", keys.stall_for_ms)?;
    let plan = StalledReaderPlan {
        stall_after_us: keys.stall_after_ms.us,
        stall_for_us: Some(keys.stall_for_ms.us),
    };
    common(keys.name, keys.start_ms, WorkKind::StalledReader(plan))
}

fn half_close(keys: HalfCloseKeys) -> Result<WorkPlan, Refusal> {
    message("request_bytes", keys.request_bytes)?;
    message("response_bytes", keys.response_bytes)?;
    wait("response_after_ms", keys.response_after_ms)?;
    number("count", keys.count)?;
    let plan = HalfClosePlan {
        request_bytes: keys.request_bytes,
        reply_bytes: keys.response_bytes,
        reply_after_us: keys.response_after_ms.us,
        count: keys.count,
    };
    common(keys.name, keys.start_ms, WorkKind::HalfClose(plan))
}

fn storm(keys: StormKeys) -> Result<WorkPlan, Refusal> {
    interval("interval_ms", keys.interval_ms)?;
    number("count", keys.count)?;
    within("bytes", keys.bytes, 0, 65_536, "at most 65536")?;
    within("open_max", keys.open_max, 0, 10_000, "at most 10000")?;
    let plan = StormPlan {
        interval_us: keys.interval_ms.us,
        count: keys.count,
        bytes: keys.bytes,
        open_max: keys.open_max,
    };
    common(keys.name, keys.start_ms, WorkKind::Storm(plan))
}

fn idle_then_burst(keys: IdleThenBurstKeys) -> Result<WorkPlan, Refusal> {
    interval("idle_ms", keys.idle_ms)?;
    message("burst_bytes", keys.burst_bytes)?;
    number("count", keys.count)?;
    let plan =
        IdleThenBurstPlan { idle_us: keys.idle_ms.us, burst_bytes: keys.burst_bytes, count: keys.count };
    common(keys.name, keys.start_ms, WorkKind::IdleThenBurst(plan))
}
