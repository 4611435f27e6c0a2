//! The JSON of a scenario as something to make smaller. Places are JSON pointers (RFC 6901).

use serde_json::{Map, Value};

/// The places of the two links.
pub(super) const LINKS: [&str; 2] = ["/links/up", "/links/down"];

/// A link's key that lists the packets it drops.
pub(super) const DROPPED: &str = "drop_packets";

/// And the one that lists those it delays, with their delays.
pub(super) const DELAYED: &str = "delay_packets_us";

/// Both.
pub(super) const LISTS: [&str; 2] = [DROPPED, DELAYED];

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

/// Parts that most failures do not need; the failing run is easier to explain without them.
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

/// Keys that are never removed: without them there is no scenario, or its time to drain changes.
const KEPT: &[&str] =
    &["/name", "/description", "/seed", "/duration_ms", "/drain_ms", "/links", "/workloads"];

/// Options that both sides must agree on are removed from both or from neither.
const COMMON: &[&str] = &["key", "crypt", "nocomp", "smuxver", "qpp", "qpp-count", "no-announce"];

fn may_be_left_out(path: &str) -> bool {
    let common = |side: &str| path.strip_prefix(side).is_some_and(|key| COMMON.contains(&key));
    !KEPT.contains(&path)
        && !common("/client/")
        && !common("/server/")
        && path != "/client"
        && path != "/server"
        // Lists of packets are thinned in another way.
        && !LISTS.iter().any(|list| path.contains(&format!("/{list}/")))
}

/// Every key and every item that may be left out, those with the most below them first.
pub(super) fn places(tree: &Value) -> Vec<String> {
    all_places(tree).into_iter().filter(|path| may_be_left_out(path)).collect()
}

fn all_places(tree: &Value) -> Vec<String> {
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

/// Items of the array at a place; 0 where there is none.
pub(super) fn len(tree: &Value, path: &str) -> usize {
    tree.pointer(path).and_then(Value::as_array).map_or(0, Vec::len)
}

/// Leaves `count` items out of an array, or as many as there are, from `at` on.
pub(super) fn leave_items_out(tree: &mut Value, path: &str, at: usize, count: usize) {
    if let Some(items) = tree.pointer_mut(path).and_then(Value::as_array_mut) {
        items.drain(at..(at + count).min(items.len()));
    }
}

/// Sorts the lists of packets, whose order means nothing, and leaves empty ones out.
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

/// Places and the keys to leave out at all of them together.
pub(super) fn groups(tree: &Value) -> Vec<(Vec<String>, Vec<String>)> {
    let sides = ["/client", "/server"];
    let mut groups = Vec::new();
    for (places, of_kind) in [(LINKS, LINK_GROUPS), (sides, SIDE_GROUPS)] {
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
    all_places(tree).into_iter().filter(may).collect()
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
    fn lists_of_packets_are_thinned_and_sorted_and_not_taken_apart() {
        let mut tree = json!({ "links": { "up": { "drop_packets": [9, 3, 5], "delay_packets_us": [[8, 1], [2, 70]] } } });
        assert_eq!(places(&tree), ["/links/up", "/links/up/delay_packets_us", "/links/up/drop_packets"]);
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
