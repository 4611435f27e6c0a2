//! The keys of workloads, and the plans made of them.

use super::Refusal;
use super::rules::{DAY_US, filled, refuse_if, within};
use crate::Direction;
use crate::units::Millis;
use crate::work::{BulkPlan, Content, EchoPlan, WorkKind, WorkPlan};
use serde::Deserialize;

const WORKLOADS_MAX: usize = 1_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Workload {
    Bulk(BulkKeys),
    Echo(EchoKeys),
}

#[derive(Debug, Deserialize)]
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EchoKeys {
    pub(super) name: String,
    pub(super) message_bytes: u32,
    pub(super) interval_ms: Millis,
    #[serde(default)]
    pub(super) start_ms: Millis,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DirectionKey {
    Up,
    Down,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ContentKey {
    #[default]
    Random,
    Text,
}

pub(super) fn plan(list: Vec<Workload>) -> Result<Vec<WorkPlan>, Refusal> {
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
