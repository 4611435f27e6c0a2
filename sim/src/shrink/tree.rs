//! The JSON of a scenario as something to make smaller. Places are JSON pointers (RFC 6901).

use serde_json::{Map, Value};

/// Keys of a link that go together.
pub(super) const LINK_GROUPS: &[&[&str]] = &[
    &["loss_pct", "loss_burst_packets"],
    &["reorder_pct", "reorder_delay_ms"],
    &["wander_ms", "wander_correlation_ms"],
    &["codel_target_ms", "codel_interval_ms"],
    &["police_kbit", "police_burst_bytes", "police_penalty_kbit", "police_penalty_ms"],
    &["rate_kbit", "queue_bytes", "queue_packets", "codel_target_ms", "codel_interval_ms"],
];

/// Keys of a side that go together.
pub(super) const SIDE_GROUPS: &[&[&str]] =
    &[&["datashard", "parityshard"], &["smuxbuf", "streambuf"], &["qpp", "qpp-count"]];

/// What most failures need not have: the failing run has less to explain without it.
pub(super) const KEYS_OF_SIDES_OFF: &[(&str, &str)] = &[
    ("nocomp", "true"),
    ("parityshard", "0"),
    ("crypt", "\"none\""),
    ("smuxver", "1"),
    ("no-announce", "true"),
];

/// Keys whose numbers may become smaller without turning a healthy scenario into one that cannot be healthy.
pub(super) const NUMBERS: &[&str] = &[
    "at_ms",
    "for_ms",
    "down_ms",
    "by_ms",
    "duration_ms",
    "delay_ms",
    "jitter_ms",
    "wander_ms",
    "reorder_delay_ms",
    "loss_pct",
    "reorder_pct",
    "duplicate_pct",
    "corrupt_pct",
    "pct",
    "start_ms",
    "think_ms",
    "idle_ms",
    "stall_after_ms",
    "stall_for_ms",
    "response_after_ms",
    "timer_slack_ms",
    "cpu_us_per_datagram",
    "segments",
    "shards",
    "bytes",
    "request_bytes",
    "response_bytes",
    "object_bytes_min",
    "object_bytes_max",
    "burst_bytes",
    "message_bytes",
    "up_bytes",
    "down_bytes",
    "count",
    "objects",
    "pages",
    "open_max",
    "seed",
];

/// What is not left out: without it there is no scenario, or another time to drain.
const KEPT: &[&str] =
    &["/name", "/description", "/seed", "/duration_ms", "/drain_ms", "/links", "/workloads"];

/// What both sides must agree on is left out on both or on neither.
const COMMON: &[&str] = &["key", "crypt", "nocomp", "smuxver", "qpp", "qpp-count", "no-announce"];

fn may_be_left_out(path: &str) -> bool {
    let common = |side: &str| path.strip_prefix(side).is_some_and(|key| COMMON.contains(&key));
    !KEPT.contains(&path)
        && !common("/client/")
        && !common("/server/")
        && path != "/client"
        && path != "/server"
}

/// Every key and every item, those with the most below them first.
pub(super) fn places(tree: &Value) -> Vec<String> {
    let mut level = vec![(String::new(), tree)];
    let mut all = Vec::new();
    while !level.is_empty() {
        let below: Vec<_> = level.into_iter().flat_map(|(path, value)| children(&path, value)).collect();
        all.extend(below.iter().map(|(path, _)| path.clone()).filter(|path| may_be_left_out(path)));
        level = below;
    }
    all
}

fn children<'t>(path: &str, value: &'t Value) -> Vec<(String, &'t Value)> {
    match value {
        Value::Object(entries) => {
            entries.iter().map(|(key, value)| (format!("{path}/{key}"), value)).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().map(|(n, value)| (format!("{path}/{n}"), value)).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether there was something to leave out. A schedule becomes its first value.
pub(super) fn leave_out(tree: &mut Value, path: &str) -> bool {
    let Some((parent, last)) = path.rsplit_once('/') else { return false };
    match tree.pointer_mut(parent) {
        Some(Value::Object(entries)) => entries.remove(last).is_some(),
        Some(Value::Array(items)) => match last.parse::<usize>() {
            Ok(index) if index < items.len() => {
                items.remove(index);
                true
            }
            _ => false,
        },
        _ => false,
    }
}

/// Places and the keys to leave out at all of them together.
pub(super) fn groups(tree: &Value) -> Vec<(Vec<String>, Vec<String>)> {
    let links = ["/links/up", "/links/down"];
    let sides = ["/client", "/server"];
    let mut groups = Vec::new();
    for (places, of_kind) in [(links, LINK_GROUPS), (sides, SIDE_GROUPS)] {
        for keys in of_kind {
            let keys: Vec<String> = keys.iter().map(|key| (*key).into()).collect();
            groups.push((places.map(String::from).to_vec(), keys.clone()));
            groups.extend(places.iter().map(|place| (vec![(*place).into()], keys.clone())));
        }
        let none = Map::new();
        let objects = places.map(|place| tree.pointer(place).and_then(Value::as_object).unwrap_or(&none));
        for key in objects[0].keys().filter(|key| objects[1].contains_key(*key)) {
            groups.push((places.map(String::from).to_vec(), vec![key.clone()]));
        }
    }
    groups
}

/// The numbers that may become smaller, also inside of schedules.
pub(super) fn numbers(tree: &Value) -> Vec<String> {
    let may = |path: &String| {
        let key = path.rsplit('/').find(|step| step.parse::<usize>().is_err());
        key.is_some_and(|key| NUMBERS.contains(&key)) && number(tree, path).is_some()
    };
    places(tree).into_iter().chain(["/duration_ms".into(), "/seed".into()]).filter(may).collect()
}

/// The number at a place, without its decimals; none for zero and schedules' zeros.
pub(super) fn number(tree: &Value, path: &str) -> Option<Decimal> {
    let value = tree.pointer(path)?;
    match value {
        Value::Number(number) => {
            number.as_u64().filter(|&whole| whole > 0).map(|whole| Decimal { whole, has_rest: false })
        }
        Value::String(text) => {
            let (whole, rest) = text.split_once('.')?;
            let whole = whole.parse().ok()?;
            let has_rest = rest.bytes().any(|digit| digit != b'0');
            (whole > 0 || has_rest).then_some(Decimal { whole, has_rest })
        }
        _ => None,
    }
}

/// A number of a scenario file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    whole: u64,
    has_rest: bool,
}

/// What to try instead, the smallest first.
pub(super) fn shorter(number: Decimal) -> Vec<u64> {
    let Decimal { whole, has_rest } = number;
    let digit = 10_u64.pow(whole.checked_ilog10().unwrap_or(0));
    let rounded = |unit: u64| whole / unit.max(1) * unit.max(1);
    let mut all = vec![0, 1, whole / 8, whole / 2, whole - whole / 4, rounded(digit), rounded(digit / 10)];
    all.push(whole);
    all.retain(|&shorter| shorter < whole || (shorter == whole && has_rest));
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn everything_but_the_frame_is_a_place_and_can_be_left_out() {
        let tree = json!({ "name": "a", "faults": [{ "blackout": { "at_ms": 5 } }], "client": { "mtu": 9, "crypt": "none" } });
        let places = places(&tree);
        assert_eq!(places.len(), 5, "{places:?}");
        assert!(places.contains(&"/faults/0/blackout/at_ms".into()) && !places.contains(&"/name".into()));
        let mut less = tree.clone();
        assert!(leave_out(&mut less, "/faults/0") && leave_out(&mut less, "/client/mtu"));
        assert_eq!(less, json!({ "name": "a", "faults": [], "client": { "crypt": "none" } }));
        assert!(!leave_out(&mut less, "/faults/0") && !leave_out(&mut less, "/server/mtu"));
    }

    #[test]
    fn numbers_become_smaller_and_rounder_and_come_to_an_end() {
        let tree = json!({ "seed": 3, "faults": [{ "blackout": { "at_ms": 5 } }], "client": { "mtu": 9 },
            "links": { "up": { "loss_pct": [[0, "12.50"], [700, 0]] } } });
        let found = numbers(&tree);
        assert!(!found.contains(&"/client/mtu".into()));
        for path in ["/seed", "/faults/0/blackout/at_ms", "/links/up/loss_pct/0/1"] {
            assert!(found.contains(&path.into()), "{path} {found:?}");
        }
        let whole = |whole| Decimal { whole, has_rest: false };
        assert_eq!(shorter(whole(777)), [0, 1, 97, 388, 583, 700, 770]);
        assert_eq!(shorter(number(&tree, "/links/up/loss_pct/0/1").unwrap()), [0, 1, 6, 9, 10, 12]);
        assert_eq!(shorter(whole(1)), [0]);
    }
}
