//! What links are like over time, as far as their plan says.

use super::event::LinkState;
use crate::Direction;
use crate::plan::{LinkPlan, LossPlan, Scenario, Timeline};
use engine::Instant;
use std::collections::BTreeSet;

/// Most changes of a link in a header; later ones are left out.
const CHANGES_MAX: usize = 1_000;

/// The states of both links, ascending in time.
pub(super) fn states(scenario: &Scenario) -> Vec<LinkState> {
    let mut states =
        [of_link(&scenario.up, Direction::Up), of_link(&scenario.down, Direction::Down)].concat();
    states.sort_by_key(|state| state.t);
    states
}

fn of_link(plan: &LinkPlan, dir: Direction) -> Vec<LinkState> {
    let mut before = Vec::new();
    let times = times(plan).into_iter().take(CHANGES_MAX);
    let state = times.map(|t| {
        let now = Instant::from_micros(t);
        let values = values(plan, now);
        let changed = values.iter().filter(|value| !before.contains(*value));
        let sets = changed.map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ");
        before = values;
        LinkState { t, dir, bits_per_s: rate(plan, now), dead: plan.blackout.at(now), sets }
    });
    state.collect()
}

/// The lower one of transmitter and policer; 0 for any rate.
fn rate(plan: &LinkPlan, now: Instant) -> u64 {
    let transmitter = plan.queue.as_ref().map(|queue| queue.at(now).bits_per_s);
    let policer = plan.policer.as_ref().map(|policer| policer.at(now).bits_per_s);
    transmitter.into_iter().chain(policer).min().unwrap_or(0)
}

fn times(plan: &LinkPlan) -> BTreeSet<u64> {
    fn of<T: Copy>(timeline: Option<&Timeline<T>>) -> Vec<u64> {
        timeline.map_or_else(Vec::new, |timeline| timeline.times().collect())
    }
    let always = vec![
        of(Some(&plan.blackout)),
        of(Some(&plan.loss)),
        of(Some(&plan.delay_us)),
        of(Some(&plan.jitter_us)),
    ];
    let shares = vec![of(Some(&plan.duplicate_ppm)), of(Some(&plan.corrupt_ppm))];
    let some = vec![
        of(plan.mtu_bytes.as_ref()),
        of(plan.policer.as_ref()),
        of(plan.queue.as_ref()),
        of(plan.wander.as_ref()),
        of(plan.reorder.as_ref()),
    ];
    [always, shares, some].concat().concat().into_iter().collect()
}

/// The values that differ from those of a perfect link, or may change, under the keys of a scenario file.
fn values(plan: &LinkPlan, now: Instant) -> Vec<(&'static str, String)> {
    let mut values: Vec<(&'static str, String)> = Vec::new();
    if let Some(mtu) = &plan.mtu_bytes {
        values.push(("mtu_bytes", mtu.at(now).to_string()));
    }
    values.push(("blackout", plan.blackout.at(now).to_string()));
    match plan.loss.at(now) {
        LossPlan::None => values.push(("loss_pct", "0".into())),
        LossPlan::Bernoulli { ppm } => values.push(("loss_pct", percent(ppm))),
        LossPlan::Burst { ppm, burst_thousandths } => {
            values.push(("loss_pct", percent(ppm)));
            values.push(("loss_burst_packets", decimal(burst_thousandths, 1_000)));
        }
    }
    if let Some(policer) = plan.policer.as_ref().map(|policer| policer.at(now)) {
        values.push(("police_kbit", decimal(policer.bits_per_s, 1_000)));
        values.push(("police_burst_bytes", policer.burst_bytes.to_string()));
    }
    if let Some(queue) = plan.queue.as_ref().map(|queue| queue.at(now)) {
        values.push(("rate_kbit", decimal(queue.bits_per_s, 1_000)));
        if queue.packets_max < u64::MAX {
            values.push(("queue_packets", queue.packets_max.to_string()));
        }
        if queue.bytes_max < u64::MAX {
            values.push(("queue_bytes", queue.bytes_max.to_string()));
        }
    }
    values.push(("delay_ms", decimal(plan.delay_us.at(now), 1_000)));
    if let Some(wander) = plan.wander.as_ref().map(|wander| wander.at(now)) {
        values.push(("wander_ms", decimal(wander.amplitude_us, 1_000)));
    }
    values.push(("jitter_ms", decimal(plan.jitter_us.at(now), 1_000)));
    if let Some(reorder) = plan.reorder.as_ref().map(|reorder| reorder.at(now)) {
        values.push(("reorder_pct", percent(reorder.ppm)));
        values.push(("reorder_delay_ms", decimal(reorder.extra_us, 1_000)));
    }
    values.push(("duplicate_pct", percent(plan.duplicate_ppm.at(now))));
    values.push(("corrupt_pct", percent(plan.corrupt_ppm.at(now))));
    values
}

fn percent(ppm: u32) -> String {
    decimal(ppm.into(), 10_000)
}

/// `value / unit`, exactly; `unit` is a power of ten.
fn decimal(value: u64, unit: u64) -> String {
    let digits = unit.ilog10() as usize;
    let text = format!("{}.{:0digits$}", value / unit, value % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_told_change_by_change() {
        let plan = LinkPlan {
            delay_us: Timeline::from(20_500).then(2_000_000, 80_000),
            blackout: Timeline::from(false).then(1_000_000, true).then(2_000_000, false),
            ..LinkPlan::default()
        };
        let states = of_link(&plan, Direction::Down);
        let seen: Vec<_> = states.iter().map(|state| (state.t, state.dead, state.sets.as_str())).collect();
        assert_eq!(
            seen[0],
            (
                0,
                false,
                "blackout false, loss_pct 0, delay_ms 20.5, jitter_ms 0, duplicate_pct 0, corrupt_pct 0"
            )
        );
        assert_eq!(
            seen[1..],
            [(1_000_000, true, "blackout true"), (2_000_000, false, "blackout false, delay_ms 80")]
        );
        assert!(states.iter().all(|state| state.bits_per_s == 0));
    }
}
