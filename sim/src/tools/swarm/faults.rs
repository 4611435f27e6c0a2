//! Random faults and their times.

use super::{Dice, Frame, percent, weights};
use serde_json::{Value, json};

/// A process restarts once at most: the second one would start while the first still runs.
///
/// A server that restarts before its first answers arrived takes the client's first data for that of a new conversation,
/// and nobody can tell the answers of its two lives apart: KCP has no number for that. So it lives for a while.
pub(super) fn faults(dice: &mut Dice, weights: &weights::Faults, frame: &Frame, round_trip_ms: u64) -> Value {
    let mut faults = Vec::new();
    for (kind, share) in weights.entries() {
        if !dice.percent(share) || (kind == "corruption" && !frame.checksum) {
            continue;
        }
        let mut at_ms = dice.spread(1, frame.duration_ms) - 1;
        if kind == "server_restart" {
            at_ms = at_ms.max(2 * round_trip_ms + 1_000);
            if at_ms >= frame.duration_ms {
                continue;
            }
        }
        faults.push(json!({ kind: fault(dice, kind, at_ms) }));
        if kind == "nat_rebinding" && dice.percent(50) {
            let again_ms = at_ms + dice.spread(1, 2_000);
            faults.push(json!({ kind: { "at_ms": again_ms.min(frame.duration_ms - 1) } }));
        }
    }
    faults.into()
}

/// Whether one of them makes the server forget the client, or the client's address.
pub(super) fn forget(faults: &Value) -> bool {
    let kinds = ["server_restart", "client_restart", "nat_rebinding", "address_change"];
    faults
        .as_array()
        .is_some_and(|all| all.iter().any(|fault| kinds.iter().any(|kind| fault.get(kind).is_some())))
}

fn fault(dice: &mut Dice, kind: &str, at_ms: u64) -> Value {
    match kind {
        "server_restart" => json!({ "at_ms": at_ms, "down_ms": dice.spread(1, 4_000) }),
        "client_restart" => {
            json!({ "at_ms": at_ms, "down_ms": dice.spread(1, 4_000), "keep_address": dice.percent(50) })
        }
        "blackout" => {
            let direction = dice.pick(&["both", "both", "up", "down"]);
            json!({ "at_ms": at_ms, "for_ms": dice.spread(20, 60_000), "direction": direction })
        }
        "one_way" => {
            json!({ "at_ms": at_ms, "for_ms": dice.spread(20, 30_000), "direction": dice.pick(&["up", "down"]) })
        }
        "clock_step" => {
            let by_ms = if dice.percent(20) { dice.spread(60_000, 3_600_000) } else { dice.spread(1, 5_000) };
            json!({ "side": dice.pick(&["client", "server"]), "at_ms": at_ms, "by_ms": by_ms })
        }
        "stream_reset" => json!({ "side": dice.pick(&["client", "server"]), "at_ms": at_ms }),
        "duplicate_storm" | "corruption" => {
            let most = if kind == "corruption" { 4_000 } else { 10_000 };
            let (for_ms, share) = (dice.spread(20, 5_000), percent(dice.spread(100, most)));
            json!({ "at_ms": at_ms, "for_ms": for_ms, "pct": share })
        }
        _ => json!({ "at_ms": at_ms }),
    }
}
