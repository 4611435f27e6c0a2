//! Reductions of a scenario's JSON. Paths are JSON pointers (RFC 6901).

use serde_json::{Map, Value};

/// Paths of the two links.
pub(super) const LINKS: [&str; 2] = ["/links/up", "/links/down"];

/// Key of a link's list of dropped packets.
pub(super) const DROPPED: &str = "drop_packets";

/// Key of a link's list of delayed packets with their delays.
pub(super) const DELAYED: &str = "delay_packets_us";

/// Keys of both lists.
pub(super) const LISTS: [&str; 2] = [DROPPED, DELAYED];

/// Keys of a link that are removed together.
pub(super) const LINK_GROUPS: &[&[&str]] = &[
    &["loss_pct", "loss_burst_packets"],
    &["reorder_pct", "reorder_delay_ms"],
    &["wander_ms", "wander_correlation_ms"],
    &["codel_target_ms", "codel_interval_ms"],
    &["police_kbit", "police_burst_bytes", "police_penalty_kbit", "police_penalty_ms"],
    &["rate_kbit", "queue_bytes", "queue_packets", "codel_target_ms", "codel_interval_ms"],
];

/// Keys of a side that are removed together.
pub(super) const SIDE_GROUPS: &[&[&str]] =
    &[&["datashard", "parityshard"], &["smuxbuf", "streambuf"], &["qpp", "qpp-count"]];

/// Options to switch off: most failures do not need them, and are easier to explain without them.
pub(super) const KEYS_OF_SIDES_OFF: &[(&str, &str)] = &[
    ("nocomp", "true"),
    ("parityshard", "0"),
    ("crypt", "\"none\""),
    ("smuxver", "1"),
    ("no-announce", "true"),
    ("mux", "\"smux\""),
];

/// Keys whose numbers may be reduced without making a passing scenario fail.
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
    "from_ms",
    "until_ms",
    "hold_ms",
    "after_ms",
    "every_ms",
    "copies",
    "first_packets",
    "ahead_packets",
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
    DROPPED,
    DELAYED,
];

/// Keys that are never removed: they are mandatory, or affect the time to drain.
const KEPT: &[&str] =
    &["/name", "/description", "/seed", "/duration_ms", "/drain_ms", "/links", "/workloads"];

/// Options that must be equal on both sides, which are removed from both or neither.
const COMMON: &[&str] = &["key", "crypt", "nocomp", "smuxver", "qpp", "qpp-count", "no-announce", "mux"];

fn may_be_left_out(path: &str) -> bool {
    let common = |side: &str| path.strip_prefix(side).is_some_and(|key| COMMON.contains(&key));
    !KEPT.contains(&path)
        && !common("/client/")
        && !common("/server/")
        && path != "/client"
        && path != "/server"
        // `thin_lists` reduces lists of packets.
        && !LISTS.iter().any(|list| path.contains(&format!("/{list}/")))
}

/// Paths of all removable keys and items, those with the most descendants first.
pub(super) fn paths(tree: &Value) -> Vec<String> {
    all_paths(tree).into_iter().filter(|path| may_be_left_out(path)).collect()
}

fn all_paths(tree: &Value) -> Vec<String> {
    let mut level = vec![(String::new(), tree)];
    let mut all = Vec::new();
    while !level.is_empty() {
        let below: Vec<_> = level.into_iter().flat_map(|(path, value)| children(&path, value)).collect();
        all.extend(below.iter().map(|(path, _)| path.clone()));
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

/// Removes a key or item, or reduces a schedule to its first value; returns whether the tree changed.
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

/// Length of the array at a path; 0 if absent.
pub(super) fn len(tree: &Value, path: &str) -> usize {
    tree.pointer(path).and_then(Value::as_array).map_or(0, Vec::len)
}

/// Removes up to `count` items of an array from `at` on.
pub(super) fn leave_items_out(tree: &mut Value, path: &str, at: usize, count: usize) {
    if let Some(items) = tree.pointer_mut(path).and_then(Value::as_array_mut) {
        items.drain(at..(at + count).min(items.len()));
    }
}

/// Sorts the lists of packets, whose order is irrelevant, and removes empty ones.
pub(super) fn tidy_lists(tree: &mut Value) {
    for (link, list) in LINKS.iter().flat_map(|link| LISTS.map(|list| (link, list))) {
        let Some(Value::Object(keys)) = tree.pointer_mut(link) else { continue };
        let Some(Value::Array(items)) = keys.get_mut(list) else { continue };
        items.sort_by_key(|item| item.get(0).unwrap_or(item).as_u64());
        if items.is_empty() {
            keys.remove(list);
        }
    }
}

/// Groups of paths, and the keys to remove together at all of them.
pub(super) fn groups(tree: &Value) -> Vec<(Vec<String>, Vec<String>)> {
    let sides = ["/client", "/server"];
    let mut groups = Vec::new();
    for (paths, of_kind) in [(LINKS, LINK_GROUPS), (sides, SIDE_GROUPS)] {
        for keys in of_kind {
            let keys: Vec<String> = keys.iter().map(|key| (*key).into()).collect();
            groups.push((paths.map(String::from).to_vec(), keys.clone()));
            groups.extend(paths.iter().map(|path| (vec![(*path).into()], keys.clone())));
        }
        let none = Map::new();
        let objects = paths.map(|path| tree.pointer(path).and_then(Value::as_object).unwrap_or(&none));
        for key in objects[0].keys().filter(|key| objects[1].contains_key(*key)) {
            groups.push((paths.map(String::from).to_vec(), vec![key.clone()]));
        }
    }
    groups
}

/// Paths of the numbers that may be reduced, also inside schedules.
pub(super) fn numbers(tree: &Value) -> Vec<String> {
    let may = |path: &String| {
        let key = path.rsplit('/').find(|step| step.parse::<usize>().is_err());
        key.is_some_and(|key| NUMBERS.contains(&key)) && number(tree, path).is_some()
    };
    all_paths(tree).into_iter().filter(may).collect()
}

/// The number at a path without its decimals; None for zero and for zeros of schedules.
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

/// Replacement values to try, the smallest first.
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
    fn all_keys_except_mandatory_ones_can_be_removed() {
        let tree = json!({ "name": "a", "faults": [{ "blackout": { "at_ms": 5 } }], "client": { "mtu": 9, "crypt": "none" } });
        let paths = paths(&tree);
        assert_eq!(paths.len(), 5, "{paths:?}");
        assert!(paths.contains(&"/faults/0/blackout/at_ms".into()) && !paths.contains(&"/name".into()));
        let mut less = tree.clone();
        assert!(leave_out(&mut less, "/faults/0") && leave_out(&mut less, "/client/mtu"));
        assert_eq!(less, json!({ "name": "a", "faults": [], "client": { "crypt": "none" } }));
        assert!(!leave_out(&mut less, "/faults/0") && !leave_out(&mut less, "/server/mtu"));
    }

    #[test]
    fn lists_of_packets_are_thinned_and_sorted() {
        let mut tree = json!({ "links": { "up": { "drop_packets": [9, 3, 5], "delay_packets_us": [[8, 1], [2, 70]] } } });
        assert_eq!(paths(&tree), ["/links/up", "/links/up/delay_packets_us", "/links/up/drop_packets"]);
        assert_eq!(numbers(&tree).len(), 7);
        tidy_lists(&mut tree);
        assert_eq!(
            tree["links"]["up"],
            json!({ "drop_packets": [3, 5, 9], "delay_packets_us": [[2, 70], [8, 1]] })
        );
        leave_items_out(&mut tree, "/links/up/drop_packets", 1, 5);
        assert_eq!(tree["links"]["up"]["drop_packets"], json!([3]));
        leave_items_out(&mut tree, "/links/up/drop_packets", 0, 1);
        tidy_lists(&mut tree);
        assert_eq!(tree["links"]["up"], json!({ "delay_packets_us": [[2, 70], [8, 1]] }));
        assert_eq!((len(&tree, "/links/up/delay_packets_us"), len(&tree, "/links/down/x")), (2, 0));
    }

    #[test]
    fn numbers_become_smaller_and_rounder_until_none_is_left() {
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
