//! Machines that stall, are slow, or whose clocks wrap, and the translator before the client.

use super::{Dice, Frame, weights};
use serde_json::{Map, Value, json};

pub(super) fn hosts(dice: &mut Dice, weights: &weights::Hosts, frame: &Frame) -> Value {
    let wraps = dice.percent(weights.wrap);
    let mut hosts = Map::new();
    for side in ["client", "server"] {
        let mut keys = host(dice, weights, frame);
        keys.insert("clock_offset_ms".into(), if wraps { json!("wrap") } else { json!(0) });
        hosts.insert(side.into(), keys.into());
    }
    hosts.into()
}

fn host(dice: &mut Dice, weights: &weights::Hosts, frame: &Frame) -> Map<String, Value> {
    let mut keys = Map::new();
    let mut set = |key: &str, value: Value| keys.insert(key.into(), value);
    if dice.percent(weights.stalls) {
        let stall = if dice.percent(50) {
            let every_ms = dice.spread(20, 2_000);
            json!({ "every_ms": every_ms, "for_ms": dice.spread(1, every_ms / 2) })
        } else {
            json!({ "at_ms": dice.between(0, frame.duration_ms), "for_ms": dice.spread(10, 45_000) })
        };
        set("stalls", json!([stall]));
    }
    if dice.percent(weights.slack) {
        set("timer_slack_ms", json!(dice.spread(1, 30)));
    }
    if dice.percent(weights.slow) {
        set("cpu_us_per_datagram", json!(dice.spread(1, 1_000)));
    }
    if dice.percent(weights.buffer) {
        set("receive_buffer_bytes", json!(dice.spread(3_000, 100_000)));
    }
    keys
}

/// One that forgets sooner than a client that waits asks (KCP-27) takes away every way back, and no translator is that hasty.
pub(super) fn nat(dice: &mut Dice, weights: &weights::Hosts) -> Value {
    if !dice.percent(weights.nat_timeout) {
        return json!({});
    }
    json!({ "timeout_ms": dice.spread(3_000, 30_000), "inbound_refreshes": dice.percent(50) })
}
