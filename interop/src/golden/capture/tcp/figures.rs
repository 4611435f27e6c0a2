//! The recorded figures of one direction of a connection, counted again.

use super::super::{Checked, broken, differs, hex};
use super::{Captured, count, groups, numbers};
use engine::forged::Checksum;
use engine::time::diff;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Figures of the segments that one side sent.
pub(super) fn direction(segments: &[Captured<'_>], up: bool, start_us: u64) -> Checked<Value> {
    let (Some(isn), Some(peer_isn)) = (isn(segments, up), isn(segments, !up)) else {
        return broken("no SYN");
    };
    let own: Vec<&Captured<'_>> = segments.iter().filter(|captured| captured.up == up).collect();
    let with = |flag: u8| own.iter().copied().filter(move |captured| captured.segment.flags.0 & flag != 0);
    let exactly = |flags: u8| own.iter().filter(move |captured| captured.segment.flags.0 == flags);
    let data: Vec<_> = own.iter().copied().filter(|captured| captured.is_data()).collect();
    let bare: Vec<_> =
        exactly(0x10).copied().filter(|captured| captured.segment.payload.is_empty()).collect();
    let failures = |checksum| own.iter().filter(|captured| captured.segment.checksum == checksum).count();
    let unfinished = failures(Checksum::Unfinished);
    let by_flags = own.iter().map(|captured| {
        let letters = groups::letters(captured.segment.flags.0);
        "SFRPA".chars().filter(|letter| letters.contains(*letter)).collect::<String>()
    });
    let mut figures = json!({
        "segments": own.len(), "syn": exactly(0x02).count(), "syn_ack": exactly(0x12).count(),
        "ack_without_data": bare.len(), "psh_ack_data": data.len(),
        "other_data": own.iter().filter(|c| !c.segment.payload.is_empty() && !c.is_data()).count(),
        "rst": with(0x04).count(), "fin": with(0x01).count(), "by_flags": groups::counts(by_flags),
        "urg_or_reserved_bits": with(0xe0).count() + own.iter().filter(|c| c.segment.urgent != 0).count(),
        "tcp_checksum_failures": unfinished + failures(Checksum::Wrong),
        "tcp_checksum_unfinished": unfinished,
        // The engine would have refused them.
    "ip_checksum_failures": 0,
        "padded_frames": own.iter().filter(|captured| captured.padded).count(), "isn": isn,
    });
    let mut set = |name: &str, value: Option<Value>| value.map(|value| figures[name] = value);
    // Relative to the connection, all other times to the file.
    let connected_us = segments.first().map_or(start_us, |first| first.at_us);
    set("syn_segment", groups::handshake(&with(0x02).collect::<Vec<_>>(), connected_us));
    for (name, group) in
        [("bare_acks", bare), ("fin_segments", with(0x01).collect()), ("rst_segments", with(0x04).collect())]
    {
        set(name, (!group.is_empty()).then(|| groups::without_data(&group, start_us, isn, peer_isn)));
    }
    set("data", (!data.is_empty()).then(|| of_data(segments, &own, &data, start_us, [isn, peer_isn])));
    Ok(figures)
}

/// Sequence number of the first SYN of one side.
fn isn(segments: &[Captured<'_>], up: bool) -> Option<u32> {
    segments
        .iter()
        .find(|captured| captured.up == up && captured.segment.flags.0 & 0x02 != 0)
        .map(|c| c.segment.seq)
}

fn of_data(
    segments: &[Captured<'_>],
    own: &[&Captured<'_>],
    data: &[&Captured<'_>],
    start_us: u64,
    [isn, peer_isn]: [u32; 2],
) -> Value {
    let up = data.first().is_some_and(|captured| captured.up);
    let mut figures = groups::headers(data, start_us);
    let lens = || data.iter().map(|captured| captured.segment.payload.len());
    let payload = json!({ "min": lens().min(), "max": lens().max(), "total": lens().sum::<usize>() });
    let (seq, ack, breaks) = numbers::numbers(segments, up, isn, peer_isn);
    let mut set = |name: &str, value| figures.insert(name.to_owned(), value);
    set("payload", payload);
    set("ip_packet_max", json!(data.iter().map(|captured| captured.ip_len).max()));
    set("seq", seq);
    set("ack", ack);
    set("rule", json!(breaks));
    if data.iter().any(|captured| captured.segment.from.is_ipv4()) {
        set("ip_id", numbers::ids(data, own));
    }
    for (name, value) in timestamps(segments, data, up) {
        set(&name, value);
    }
    figures.into()
}

/// tcpraw's timestamp of length 12: value, echo, and the two bytes behind.
fn timestamp(captured: &Captured<'_>) -> Option<(u32, u32, [u8; 2])> {
    let [1, 1, 8, 12, v0, v1, v2, v3, e0, e1, e2, e3, a, b, ..] = *captured.segment.options else {
        return None;
    };
    Some((u32::from_be_bytes([v0, v1, v2, v3]), u32::from_be_bytes([e0, e1, e2, e3]), [a, b]))
}

fn timestamps(segments: &[Captured<'_>], data: &[&Captured<'_>], up: bool) -> Map<String, Value> {
    let mut figures = Map::new();
    let stamps: Vec<_> =
        data.iter().filter_map(|captured| Some((captured.at_us, timestamp(captured)?))).collect();
    let clock = |(at_us, (value, ..)): &(u64, (u32, u32, [u8; 2]))| diff(*value, (at_us / 1000) as u32);
    let (Some(least), Some(most)) = (stamps.iter().map(clock).min(), stamps.iter().map(clock).max()) else {
        return figures;
    };
    let mut seen = BTreeSet::new();
    let (mut known, mut unknown, mut zero) = (0, 0, 0);
    for captured in segments.iter().filter(|captured| captured.is_data()) {
        match timestamp(captured) {
            Some((value, ..)) if captured.up != up => drop(seen.insert(value)),
            Some((_, 0, _)) if captured.up == up => zero += 1,
            Some((_, echo, _)) if seen.contains(&echo) => known += 1,
            Some(_) => unknown += 1,
            None => {}
        }
    }
    let behind: BTreeSet<String> = stamps.iter().map(|(_, (_, _, bytes))| hex(bytes)).collect();
    let mut set = |name: &str, value| figures.insert(name.to_owned(), value);
    set("timestamp_value_minus_unix_ms_of_frame", json!({ "min": least, "max": most }));
    set("timestamp_bytes_after_echo", json!(behind));
    set("timestamp_echo_zero", count(zero));
    set("timestamp_echo_of_a_peer_value", count(known));
    set("timestamp_echo_unknown", count(unknown));
    figures
}

/// Compares every recorded figure with the one found; returns their number.
pub(super) fn compare(place: &str, recorded: &Value, found: &Value) -> Checked<usize> {
    if let (Value::Object(recorded), Value::Object(found)) = (recorded, found) {
        let mut compared = 0;
        for (name, recorded) in recorded {
            let place = format!("{place}.{name}");
            compared += match (name.as_str(), found.get(name)) {
                ("rule", Some(breaks)) => rule(&place, recorded, breaks)?,
                (_, Some(found)) => compare(&place, recorded, found)?,
                (_, None) => return differs(format!("figure {place}: recorded {recorded}, found none")),
            };
        }
        return Ok(compared);
    }
    match recorded == found {
        true => Ok(1),
        false => differs(format!("figure {place}: recorded {recorded}, found {found}")),
    }
}

/// The rule is text; its exceptions are counted for both implementations.
fn rule(place: &str, recorded: &Value, breaks: &Value) -> Checked<usize> {
    for (at, name) in ["seq", "ack"].into_iter().enumerate() {
        let text = recorded[name].as_str().unwrap_or_default();
        let kcptun_tcp =
            text.starts_with("grows by") || text.starts_with("sequence number of a data segment");
        let found = &breaks[usize::from(kcptun_tcp)][at];
        let exceptions = &recorded[format!("{name}_exceptions")];
        if exceptions != found {
            return differs(format!(
                "figure {place}.{name}_exceptions: recorded {exceptions}, found {found}"
            ));
        }
    }
    Ok(2)
}
