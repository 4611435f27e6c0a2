//! The events around a moment.

use super::Only;
use super::index::Index;
use super::lines::{Lines, ms};
use crate::plan::FaultName;
use crate::record::words::{brief, frames, ranges, span, why};
use crate::record::{At, Event, EventKind, Path, Span, State};
use crate::{Direction, Side};
use std::collections::BTreeMap;

/// Maximum number of lines printed.
const LISTED_MAX: usize = 400;

/// The state at `at_us`, and all events within `around_us` of it; `None` if the run had ended.
pub(super) fn explain(index: &Index<'_>, at_us: u64, around_us: u64, only: Only) -> Option<String> {
    let events = &index.recording.events;
    if events.last().is_none_or(|last| last.t < at_us) {
        return None;
    }
    let (from, until) = (at_us.saturating_sub(around_us), at_us.saturating_add(around_us));
    let mut lines = Lines::default();
    let mut left_out = 0;
    for event in events.iter().filter(|event| (from..=until).contains(&event.t)) {
        let Some((place, text)) = words(index, &event.kind, only) else { continue };
        if lines.len() == LISTED_MAX {
            left_out += 1;
        } else {
            lines.add(event.t, place, text);
        }
    }
    let more = if left_out == 0 {
        String::new()
    } else {
        format!("  and {left_out} more; reduce --around to shorten the list\n")
    };
    let within = ms(around_us);
    Some(format!(
        "at {} ms\n\n{}\nwithin {within} ms\n\n{}{more}",
        ms(at_us),
        state(events, at_us, only),
        lines.render()
    ))
}

/// The last recorded state before the moment.
fn state(events: &[Event], at_us: u64, only: Only) -> String {
    let mut tunnels: BTreeMap<(u32, Side), State> = BTreeMap::new();
    let mut paths: BTreeMap<(u32, Side), &Path> = BTreeMap::new();
    let mut queues: BTreeMap<Direction, u64> = BTreeMap::new();
    let mut faults: Vec<FaultName> = Vec::new();
    for event in events.iter().take_while(|event| event.t <= at_us) {
        match &event.kind {
            EventKind::State(state) if only.admits(state.side, state.session) => {
                tunnels.insert((state.session, state.side), *state);
            }
            EventKind::Path(path) if only.admits(path.side, path.session) => {
                paths.insert((path.session, path.side), path);
            }
            EventKind::Queued { dir, queue, .. } | EventKind::Left { dir, queue, .. } => {
                queues.insert(*dir, *queue);
            }
            EventKind::Fault { kind, healed: false } => faults.push(*kind),
            EventKind::Fault { kind, healed: true } => faults.retain(|fault| fault != kind),
            _ => {}
        }
    }
    let mut out: String = tunnels.values().map(tunnel).collect();
    paths.values().for_each(|path| out.push_str(&controller(path)));
    for (direction, queue) in queues {
        out.push_str(&format!("  queue {}: {:.1} kB\n", direction.name(), queue as f64 / 1e3));
    }
    if !faults.is_empty() {
        let names: Vec<&str> = faults.iter().map(|fault| fault.name()).collect();
        out.push_str(&format!("  faults: {}\n", names.join(", ")));
    }
    out
}

fn tunnel(state: &State) -> String {
    let State { side, session, srtt_ms, rto_ms, cwnd, rmt_wnd, snd_una, snd_nxt, rcv_nxt, .. } = state;
    let (in_flight, queued) = (snd_nxt.wrapping_sub(*snd_una), state.snd_queue);
    let (unread, gaps) = (state.rcv_queue, state.rcv_buf);
    format!(
        "  session {session} {}: round trip {srtt_ms} ms, timeout {rto_ms} ms, cwnd {cwnd}, peer's window {rmt_wnd}; \
         una {snd_una}, {in_flight} in flight, {queued} to be sent; expects {rcv_nxt}, {unread} unread, {gaps} beyond a gap\n",
        side.name()
    )
}

fn controller(path: &Path) -> String {
    let kbit = |bytes_s: u64| bytes_s / 125;
    format!(
        "  session {} {}: controller in {}: bottleneck {} kbit/s, round trip {:.1} ms; sends {} kbit/s, {} of {} bytes in flight, \
         {:.1} % lost\n",
        path.session,
        path.side.name(),
        path.phase,
        kbit(path.bandwidth_bytes_s),
        path.min_rtt_us as f64 / 1e3,
        kbit(path.pacing_bytes_s),
        path.in_flight_bytes,
        path.window_bytes,
        f64::from(path.loss_ppm) / 1e4
    )
}

/// Place and text of an event; `None` for events that `only` excludes.
fn words(index: &Index<'_>, kind: &EventKind, only: Only) -> Option<(&'static str, String)> {
    let of = |n: &u64| index.datagrams.get(n).is_some_and(|d| only.admits(d.sent.side, d.sent.session));
    let list = |sns: &[u32]| ranges(sns.iter().map(|&sn| sn.into()));
    let app = |at: &At, does: &str| (at.side.name(), format!("the application {does} stream {}", at.stream));
    let bytes = |at: &Span, does: &str| {
        (at.side.name(), format!("the application {does} {}", span(at.stream, at.at, at.len.into())))
    };
    Some(match kind {
        EventKind::Sent(sent) if of(&sent.n) => {
            let again = sent
                .segments
                .iter()
                .filter_map(|s| Some(format!("\n{:29}{} is its {}", "", s.sn, why(s.again.as_ref()?))));
            (sent.side.name(), format!("sends {}{}", brief(sent), again.collect::<String>()))
        }
        EventKind::Dropped { n, dir, by } if of(n) => (dir.name(), format!("#{n} lost: {}", by.reason())),
        EventKind::Left { n, dir, due, held_back, damaged, .. } if of(n) && (*held_back || *damaged) => {
            let how = if *damaged { "corrupted" } else { "reordered" };
            (dir.name(), format!("#{n} is {how}, due at {} ms", ms(*due)))
        }
        EventKind::Injected { n, act, of: observed, .. } if of(n) => {
            ("", format!("#{n} from the adversary: {act}, at #{observed}"))
        }
        EventKind::Copied { n, copy, .. } if of(n) => ("", format!("#{n} doubled: #{copy}")),
        EventKind::Received { n, side } if of(n) => {
            (side.name(), format!("gets {}", brief(index.datagrams.get(n)?.sent)))
        }
        EventKind::Refused { n, side, why } => (side.name(), format!("refuses #{n}: {why}")),
        EventKind::Rebuilt { side, session, seqids, parity, .. } if only.admits(*side, *session) => {
            (side.name(), format!("rebuilds shards {} from parity {}", list(seqids), list(parity)))
        }
        EventKind::Got { side, again, .. } if !again.is_empty() => {
            (side.name(), format!("{} is a duplicate", list(again)))
        }
        EventKind::Carries { side, session, first, last, frames: of } if only.admits(*side, *session) => {
            let sns = ranges([u64::from(*first), u64::from(*last)].into_iter().take(if first == last {
                1
            } else {
                2
            }));
            (side.name(), format!("{sns}: {}", frames(of.iter())))
        }
        EventKind::Acked { side, session, sns, una, .. } if only.admits(*side, *session) => {
            (side.name(), format!("has {} acknowledged", list(&[sns.as_slice(), una].concat())))
        }
        EventKind::Rtt { side, ms, .. } => (side.name(), format!("round trip {ms} ms")),
        EventKind::Opened { side, stream, .. } => (side.name(), format!("stream {stream} opens")),
        EventKind::Finished(at) => app(at, "ends its direction of"),
        EventKind::Ended(at) => app(at, "reads the end of"),
        EventKind::Closed(at) => app(at, "closes"),
        EventKind::Reset(at) => app(at, "loses"),
        EventKind::Wrote(at) => bytes(at, "writes"),
        EventKind::Read(at) => bytes(at, "reads"),
        EventKind::Session { side, session, closed, peer, .. } => (
            side.name(),
            match closed {
                None => format!("session {session} begins, with {peer}"),
                Some(why) => format!("session {session} ends: {why}"),
            },
        ),
        EventKind::Fault { kind, healed } => {
            ("fault", format!("{kind} {}", if *healed { "heals" } else { "begins" }))
        }
        EventKind::Violation { rule, detail } => ("FAILED", format!("{rule}: {detail}")),
        _ => return None,
    })
}
