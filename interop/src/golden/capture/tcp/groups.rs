//! Figures of segments of one kind: headers, options, times.

use super::{Captured, count, rounded_ms};
use engine::forged::Options;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Values of a field that are listed; beyond them only their range is.
const LISTED_MAX: usize = 4;

/// Counts by value.
pub(super) fn counts<T: ToString>(values: impl Iterator<Item = T>) -> Value {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    values.for_each(|value| *counts.entry(value.to_string()).or_default() += 1);
    json!(counts)
}

/// Flags by their letters.
pub(super) fn letters(flags: u8) -> String {
    let all = [(0x02, 'S'), (0x01, 'F'), (0x04, 'R'), (0x08, 'P'), (0x10, 'A')];
    all.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, letter)| letter).collect()
}

/// Names of options in order.
pub(super) fn names(mut options: &[u8], lengths: bool) -> Vec<String> {
    let mut names = Vec::new();
    while let [kind, rest @ ..] = options {
        if *kind == 0 {
            names.push(if rest.is_empty() { "eol".to_owned() } else { format!("eol*{}", options.len()) });
            break;
        }
        let len = if *kind == 1 { 1 } else { rest.first().map_or(1, |len| usize::from(*len).max(1)) };
        names.push(match kind {
            1 => "nop".to_owned(),
            2 => "mss".to_owned(),
            3 => "wscale".to_owned(),
            4 => "sackok".to_owned(),
            5 => format!("sack(length {len})"),
            8 if lengths => format!("timestamp(length {len})"),
            8 => "timestamp".to_owned(),
            kind => format!("option {kind}"),
        });
        options = options.get(len..).unwrap_or_default();
    }
    names
}

/// The headers of `segments`, of which there is one at least.
pub(super) fn headers(segments: &[&Captured<'_>], start_us: u64) -> Map<String, Value> {
    let at_ms = |captured: Option<&&Captured<'_>>| {
        rounded_ms(captured.map_or(0, |captured| captured.at_us).saturating_sub(start_us))
    };
    let of = || segments.iter().map(|captured| &captured.segment);
    let windows: BTreeSet<u16> = of().map(|s| s.window).collect();
    let window = match windows.len() {
        0..=LISTED_MAX => counts(of().map(|s| s.window)),
        distinct => json!({ "min": windows.first(), "max": windows.last(), "distinct": distinct }),
    };
    let options = of().map(|s| match names(s.options, true) {
        names if names.is_empty() => "none".to_owned(),
        names => names.join(","),
    });
    let mut group = Map::new();
    let mut set = |name: &str, value| group.insert(name.to_owned(), value);
    set("first_ms", at_ms(segments.first()).into());
    set("last_ms", at_ms(segments.last()).into());
    set("ttl", counts(of().map(|s| s.hop_limit)));
    set("tos", counts(of().map(|s| s.traffic_class)));
    set("window", window);
    set("tcp_header", counts(of().map(|s| 20 + s.options.len())));
    set("options", counts(options));
    if of().any(|s| s.from.is_ipv4()) {
        set("df", counts(of().map(|s| s.dont_fragment)));
    } else {
        let labels: BTreeSet<u32> = of().map(|s| s.flow_label).collect();
        set("flow_labels", count(labels.len()));
        set("flow_label_zero", count(of().filter(|s| s.flow_label == 0).count()));
    }
    group
}

/// Headers and numbers of segments without data.
pub(super) fn without_data(segments: &[&Captured<'_>], start_us: u64, isn: u32, peer_isn: u32) -> Value {
    let mut group = headers(segments, start_us);
    let of = || segments.iter().map(|captured| &captured.segment);
    let few = |mut all: Vec<Value>| {
        if all.len() > 3 {
            all.truncate(3);
            all.push("...".into());
        }
        Value::from(all)
    };
    let acks = of().map(|s| match s.flags.0 & 0x10 {
        0 => Value::Null,
        _ => s.ack.wrapping_sub(peer_isn).into(),
    });
    group.insert("flags".to_owned(), counts(of().map(|s| letters(s.flags.0))));
    group.insert("seq_minus_isn".to_owned(), few(of().map(|s| s.seq.wrapping_sub(isn).into()).collect()));
    group.insert("ack_minus_peer_isn".to_owned(), few(acks.collect()));
    group.into()
}

/// The SYN or SYN|ACK, and its repetitions.
pub(super) fn handshake(syns: &[&Captured<'_>], start_us: u64) -> Option<Value> {
    let first = &syns.first()?.segment;
    let Options { mss, window_scale, sack_permitted, timestamp } = Options::parse(first.options);
    let times: Vec<u64> = syns.iter().map(|syn| rounded_ms(syn.at_us.saturating_sub(start_us))).collect();
    let mut group = json!({
        "flags": letters(first.flags.0), "window": first.window, "ack": first.ack,
        "tcp_header": 20 + first.options.len(), "ttl": first.hop_limit, "tos": first.traffic_class,
        "times_ms": times,
        "same_seq_every_time": syns.iter().all(|syn| syn.segment.seq == first.seq),
        "options_hex": super::super::hex(first.options), "options_order": names(first.options, false),
    });
    let group_map = group.as_object_mut()?;
    let mut set =
        |name: &str, value: Option<Value>| value.map(|value| group_map.insert(name.to_owned(), value));
    set("mss", mss.map(Value::from));
    set("window_scale", window_scale.map(Value::from));
    set("sack_permitted", sack_permitted.then(|| true.into()));
    set("timestamp_value", timestamp.map(|(value, _)| value.into()));
    set("timestamp_echo", timestamp.map(|(_, echo)| echo.into()));
    if first.from.is_ipv4() {
        set("df", Some(first.dont_fragment.into()));
        set("ip_id", Some(first.id.into()));
    }
    Some(group)
}
