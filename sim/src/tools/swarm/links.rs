//! Links that are bad until the sources stop, and healed then.

use super::{Dice, Frame, percent, weights};
use serde_json::{Map, Value, json};

pub(super) type Keys = Map<String, Value>;

/// Both directions.
pub(super) fn links(dice: &mut Dice, weights: &weights::Links, frame: &Frame) -> [Keys; 2] {
    let base = path(dice, weights, frame);
    let other = if dice.percent(weights.asymmetric) { path(dice, weights, frame) } else { base.clone() };
    [base, other].map(|mut keys| {
        spoil(dice, weights, frame, &mut keys);
        keys
    })
}

/// Rate, queue and delay.
fn path(dice: &mut Dice, weights: &weights::Links, frame: &Frame) -> Keys {
    let mut keys = Keys::new();
    if frame.endless || dice.percent(weights.rate) {
        let kbit = dice.spread(300, if frame.endless { 2_000 } else { 50_000 });
        let queue_ms = dice.spread(10, 500);
        keys.insert("rate_kbit".into(), json!(kbit));
        keys.insert("queue_bytes".into(), json!((kbit * queue_ms / 8).max(4_000)));
        if dice.percent(weights.codel) {
            keys.insert("codel_target_ms".into(), json!(5));
            keys.insert("codel_interval_ms".into(), json!(100));
        }
    }
    let delay_ms = dice.spread(1, 300) - 1;
    let delay = if dice.percent(weights.steps) {
        let at_ms = dice.between(1, frame.duration_ms - 1);
        json!([[0, delay_ms], [at_ms, dice.spread(1, 300)]])
    } else {
        json!(delay_ms)
    };
    keys.insert("delay_ms".into(), delay);
    keys
}

fn spoil(dice: &mut Dice, weights: &weights::Links, frame: &Frame, keys: &mut Keys) {
    let until_healed = |value: Value| json!([[0, value], [frame.duration_ms, 0]]);
    let mut set = |key: &str, value: Value| keys.insert(key.into(), value);
    if dice.percent(weights.loss) {
        let hundredths = dice.spread(20, 3_000);
        set("loss_pct", until_healed(percent(hundredths)));
        if dice.percent(weights.bursts) {
            set("loss_burst_packets", json!(dice.between(2, 8)));
        }
    }
    if dice.percent(weights.jitter) {
        set("jitter_ms", json!(dice.spread(1, 100)));
    }
    if dice.percent(weights.wander) {
        set("wander_ms", json!(dice.spread(1, 100)));
        set("wander_correlation_ms", json!(dice.spread(16, 2_000)));
    }
    if dice.percent(weights.reorder) {
        set("reorder_pct", until_healed(percent(dice.spread(20, 4_000))));
        set("reorder_delay_ms", json!(dice.spread(1, 2_000)));
    }
    if dice.percent(weights.duplicate) {
        set("duplicate_pct", until_healed(percent(dice.spread(20, 5_000))));
    }
    if dice.percent(weights.corrupt) && frame.checksum {
        set("corrupt_pct", until_healed(percent(dice.spread(20, 2_000))));
    }
    if dice.percent(weights.police) {
        set("police_kbit", json!([[0, dice.spread(200, 5_000)], [frame.duration_ms, 1_000_000]]));
        set("police_burst_bytes", json!(dice.spread(3_000, 100_000)));
    }
    if dice.percent(weights.first_lost) {
        let last = dice.between(1, 6);
        let lost: Vec<u64> = (1..=last).filter(|_| dice.percent(60)).collect();
        set("drop_packets", json!(lost));
    }
}
