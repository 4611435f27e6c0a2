//! Workloads of a size that the line and the windows can move while the run lasts.

use super::links::Keys;
use super::{Dice, Frame, Weights};
use serde_json::{Value, json};

/// Most bytes of one transfer, and of one that is large.
const BYTES_MAX: u64 = 150_000;
const BYTES_LARGE: u64 = 600_000;

/// One to three random workloads.
pub(super) fn kinds(dice: &mut Dice, weights: &Weights) -> Vec<&'static str> {
    let count = dice.pick(&[1, 1, 2, 2, 3]);
    (0..count).map(|_| dice.weighted(&weights.workloads.entries())).collect()
}

/// Bytes that the link carries in a few seconds.
pub(super) struct Pace {
    bytes: u64,
}

impl Pace {
    /// Of the slower one of both sides and links.
    pub(super) fn new(sides: [&Keys; 2], links: [&Keys; 2]) -> Self {
        let number =
            |keys: &Keys, key: &str, default| keys.get(key).and_then(Value::as_u64).unwrap_or(default);
        let [up, down] = links;
        let interval_ms: u64 = sides.map(|keys| number(keys, "interval", 40)).into_iter().sum();
        let turn_ms = delay_ms(up) + delay_ms(down) + interval_ms + 10;
        let turns = 8_000 / turn_ms + 1;
        let of_side = |keys: &Keys| {
            let payload = number(keys, "mtu", 1_350) - 80;
            let window = number(keys, "sndwnd", 128).min(number(keys, "rcvwnd", 512));
            // Under congestion control every loss makes the window one segment.
            let window = if number(keys, "nc", 1) == 0 { window.min(2) } else { window };
            let of_window = payload * window * turns;
            let of_stream = number(keys, "streambuf", 2_097_152) / 2 * turns;
            of_window.min(of_stream).min(5 * number(keys, "ratelimit", u64::MAX / 5))
        };
        let [client, server] = sides.map(of_side);
        Self { bytes: client.min(server) }
    }

    /// A size, small ones as likely as large ones.
    fn bytes(&self, dice: &mut Dice, most: u64) -> u64 {
        let large = most == BYTES_MAX && dice.percent(8);
        dice.spread(1, self.bytes.min(if large { BYTES_LARGE } else { most }))
    }
}

/// The largest delay of a link.
pub(super) fn delay_ms(link: &Keys) -> u64 {
    link.get("delay_ms").map_or(0, largest)
}

/// The largest value of a number or a schedule.
fn largest(value: &Value) -> u64 {
    let steps = value.as_array().map(|steps| steps.iter().filter_map(|step| step[1].as_u64()));
    value.as_u64().or_else(|| steps?.max()).unwrap_or(0)
}

pub(super) fn workloads(dice: &mut Dice, kinds: &[&'static str], frame: &Frame, pace: &Pace) -> Value {
    let work = kinds.iter().enumerate().map(|(n, kind)| {
        let mut keys = workload(dice, kind, frame, pace);
        keys["name"] = json!(format!("{kind}-{n}"));
        if dice.percent(40) {
            keys["start_ms"] = json!(dice.between(0, frame.duration_ms / 2));
        }
        json!({ *kind: keys })
    });
    work.collect()
}

fn workload(dice: &mut Dice, kind: &str, frame: &Frame, pace: &Pace) -> Value {
    // Two hundred messages in a run at most, which together are no more than a transfer.
    let interval_ms = |dice: &mut Dice| dice.spread(frame.duration_ms.div_ceil(200), frame.duration_ms);
    let small = |dice: &mut Dice, share: u64| pace.bytes(dice, BYTES_MAX / share).min(65_536);
    match kind {
        "bulk" => json!({
            "direction": dice.pick(&["up", "down"]), "bytes": pace.bytes(dice, BYTES_MAX),
            "content": dice.pick(&["random", "text"]),
        }),
        "echo" => json!({ "message_bytes": small(dice, 200), "interval_ms": interval_ms(dice) }),
        "request_response" => json!({
            "request_bytes": small(dice, 100), "response_bytes": small(dice, 20), "count": dice.spread(1, 20),
            "think_ms": dice.spread(1, 1_000) - 1,
        }),
        "short_streams" => json!({
            "request_bytes": small(dice, 100), "response_bytes": small(dice, 20), "count": dice.spread(1, 30),
            "interval_ms": interval_ms(dice), "proxy": dice.pick(&["none", "none", "socks5", "socks5_over_raw"]),
        }),
        "page" => {
            let least = small(dice, 100);
            json!({
                "objects": dice.spread(1, 40), "request_bytes": small(dice, 200), "object_bytes_min": least,
                "object_bytes_max": least + small(dice, 40), "pages": dice.spread(1, 3),
            })
        }
        "game_ticks" => json!({
            "interval_ms": interval_ms(dice), "up_bytes": small(dice, 400), "down_bytes": small(dice, 200),
        }),
        "typing" => json!({ "interval_ms": interval_ms(dice) }),
        "stalled_reader" => json!({
            "stall_after_ms": dice.spread(1, frame.duration_ms), "stall_for_ms": dice.spread(50, 25_000),
        }),
        "half_close" => json!({
            "request_bytes": small(dice, 40), "response_bytes": small(dice, 10),
            "response_after_ms": dice.spread(1, 3_000) - 1, "count": dice.spread(1, 8),
        }),
        "storm" => json!({
            "interval_ms": interval_ms(dice), "count": dice.spread(1, 150), "bytes": small(dice, 200) - 1,
            "open_max": dice.spread(1, 30) - 1,
        }),
        _ => json!({
            "idle_ms": dice.spread(10, 20_000), "burst_bytes": small(dice, 4), "count": dice.spread(1, 4),
        }),
    }
}
