//! Random attacks, which end when the sources stop.

use super::{Dice, Frame, percent, weights};
use serde_json::{Value, json};

pub(super) fn attacks(dice: &mut Dice, weights: &weights::Adversary, frame: &Frame) -> Value {
    let mut attacks = Vec::new();
    for (kind, share) in weights.entries() {
        let is_noticed = frame.checksum || !matches!(kind, "reflect" | "tamper" | "garbage");
        if dice.percent(share) && is_noticed {
            attacks.extend(attack(dice, kind, frame));
        }
    }
    attacks.into()
}

/// An attack, with the one that it needs.
fn attack(dice: &mut Dice, kind: &str, frame: &Frame) -> Vec<Value> {
    let share = percent(dice.spread(50, 10_000));
    let direction = dice.pick(&["both", "up", "down"]);
    let source = dice.pick(&["peer", "own", "many"]);
    let after_ms = dice.spread(1, frame.duration_ms) - 1;
    let (name, mut keys) = match kind {
        "delay" => (kind, json!({ "pct": share, "direction": direction, "hold_ms": dice.spread(1, 500) })),
        "replay" => (
            kind,
            json!({
                "pct": share, "direction": direction, "source": source, "after_ms": after_ms,
                "copies": dice.spread(1, 4), "every_ms": dice.spread(1, 500) - 1,
            }),
        ),
        "replay-first" => (
            "replay",
            json!({
                "direction": "up", "first_packets": dice.spread(1, 8), "source": dice.pick(&["many", "own", "peer"]),
                "after_ms": after_ms, "copies": dice.spread(1, 200), "every_ms": dice.spread(1, 200) - 1,
            }),
        ),
        "replay_earlier" => (
            kind,
            json!({
                "pct": share, "direction": direction, "source": dice.pick(&["peer", "peer", "own"]),
                "ahead_packets": dice.spread(1, 16) - 1,
            }),
        ),
        "race" => (
            "replay",
            json!({
                "pct": share, "direction": direction, "source": dice.pick(&["own", "many"]),
                "hold_ms": dice.spread(1, 200),
            }),
        ),
        "relay" => {
            ("replay", json!({ "direction": "up", "source": "own", "hold_ms": dice.spread(1, 200) - 1 }))
        }
        _ => (kind, json!({ "pct": share, "direction": direction, "source": source })),
    };
    if dice.percent(50) {
        keys["from_ms"] = json!(dice.spread(1, frame.duration_ms) - 1);
    }
    let relays = (kind == "relay").then(|| json!({ "relay": keys.get("from_ms").map_or_else(|| json!({}), |from| json!({ "from_ms": from })) }));
    std::iter::once(json!({ name: keys })).chain(relays).collect()
}
