//! The rules of workloads.

use super::Refusal;
use super::rules::{DAY_US, filled, refuse_if, within};
use crate::plan::{WorkKind, WorkPlan};

const WORKLOADS_MAX: usize = 1_000;

pub(super) fn check(plans: &[WorkPlan], duration_us: u64) -> Result<(), Refusal> {
    refuse_if(
        plans.is_empty() || plans.len() > WORKLOADS_MAX,
        "workloads".into(),
        "must hold between 1 and 1000 workloads",
    )?;
    for (index, plan) in plans.iter().enumerate() {
        let at = format!("workloads[{index}].{}", plan.kind.name());
        check_one(plan).map_err(|(key, reason)| (format!("{at}.{key}"), reason))?;
        let taken = plans[..index].iter().any(|other| other.name == plan.name);
        refuse_if(taken, format!("{at}.name"), "is used by another workload")?;
        let late = plan.start_us >= duration_us;
        refuse_if(late, format!("{at}.start_ms"), "must be before duration_ms")?;
    }
    Ok(())
}

fn check_one(plan: &WorkPlan) -> Result<(), Refusal> {
    match plan.kind {
        WorkKind::Bulk(of) => {
            within("bytes", of.bytes.unwrap_or(1), 1, 1 << 40, "between 1 and 1099511627776")?;
        }
        WorkKind::Echo(of) => {
            within("message_bytes", u64::from(of.message_bytes), 1, 65_536, "between 1 and 65536")?;
            interval("interval_ms", of.interval_us)?;
        }
        WorkKind::RequestResponse(of) => {
            message("request_bytes", of.request_bytes)?;
            message("response_bytes", of.response_bytes)?;
            wait("think_ms", of.think_us)?;
            number("count", of.count.unwrap_or(1))?;
        }
        WorkKind::ShortStreams(of) => {
            interval("interval_ms", of.interval_us)?;
            number("count", of.count.unwrap_or(1))?;
            message("request_bytes", of.request_bytes)?;
            message("response_bytes", of.response_bytes)?;
        }
        WorkKind::Page(of) => {
            within("objects", of.objects, 1, 10_000, "between 1 and 10000")?;
            message("request_bytes", of.request_bytes)?;
            message("object_bytes_min", of.object_bytes_min)?;
            let rule = "at least object_bytes_min and at most 1073741824";
            within("object_bytes_max", of.object_bytes_max, of.object_bytes_min, 1 << 30, rule)?;
            number("pages", of.pages)?;
            wait("think_ms", of.think_us)?;
        }
        WorkKind::GameTicks(of) => {
            interval("interval_ms", of.interval_us)?;
            message("up_bytes", of.up_bytes)?;
            message("down_bytes", of.down_bytes)?;
        }
        WorkKind::Typing(of) => {
            interval("interval_ms", of.interval_us)?;
            message("key_bytes", of.key_bytes)?;
            message("echo_bytes", of.echo_bytes)?;
        }
        WorkKind::StalledReader(of) => {
            wait("stall_after_ms", of.stall_after_us)?;
            of.stall_for_us.map_or(Ok(()), |for_us| interval("stall_for_ms", for_us))?;
        }
        WorkKind::HalfClose(of) => {
            message("request_bytes", of.request_bytes)?;
            message("response_bytes", of.response_bytes)?;
            wait("response_after_ms", of.response_after_us)?;
            number("count", of.count)?;
        }
        WorkKind::Storm(of) => {
            interval("interval_ms", of.interval_us)?;
            number("count", of.count)?;
            within("bytes", of.bytes, 0, 65_536, "at most 65536")?;
            within("open_max", of.open_max, 0, 10_000, "at most 10000")?;
        }
        WorkKind::IdleThenBurst(of) => {
            interval("idle_ms", of.idle_us)?;
            message("burst_bytes", of.burst_bytes)?;
            number("count", of.count)?;
        }
    }
    filled("name", &plan.name)?;
    within("start_ms", plan.start_us, 0, DAY_US, "at most a day")
}

fn message(key: &str, bytes: u64) -> Result<(), Refusal> {
    within(key, bytes, 1, 1 << 30, "between 1 and 1073741824")
}

fn interval(key: &str, us: u64) -> Result<(), Refusal> {
    within(key, us, 100, DAY_US, "between 0.1 ms and a day")
}

fn wait(key: &str, us: u64) -> Result<(), Refusal> {
    within(key, us, 0, DAY_US, "at most a day")
}

fn number(key: &str, count: u64) -> Result<(), Refusal> {
    within(key, count, 1, 1_000_000, "between 1 and 1000000")
}
