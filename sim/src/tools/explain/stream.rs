//! Explains one stream: its milestones, and the delivery of its segments in each direction.

use super::Only;
use super::index::{Datagram, Index};
use super::lines::{Lines, ms};
use crate::Side;
use crate::record::words::{grouped, ranges, why};
use crate::record::{At, Element, EventKind, Span};
use crate::stats::quantile_rounded;
use engine::Cause;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of listed delayed segments; those with the highest delays come first.
const LISTED_MAX: usize = 12;

/// Every stream with that number, one per session.
pub(super) fn explain(index: &Index<'_>, stream: u32, only: Only) -> Option<String> {
    let sessions: BTreeSet<u32> = index
        .recording
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Opened { session, stream: opened, .. } if *opened == stream => Some(*session),
            _ => None,
        })
        .filter(|session| only.session.is_none_or(|only| only == *session))
        .collect();
    let directions = index.segments_of(stream);
    let attempts = |session: u32| {
        let mut out = format!("stream {stream}, session {session}\n\n{}", milestones(index, session, stream));
        for (&(side, of), segments) in &directions {
            if of == session && only.admits(side, of) {
                out.push_str(&format!("\n{}", Direction::new(index, side, session, segments).render()));
            }
        }
        out
    };
    let explanations: Vec<String> = sessions.into_iter().map(attempts).collect();
    (!explanations.is_empty()).then(|| explanations.join("\n"))
}

/// Actions of the applications; of repeated ones the first and the last.
fn milestones(index: &Index<'_>, session: u32, stream: u32) -> String {
    let mut lines = Lines::default();
    let mut spans: BTreeMap<(Side, bool), [(u64, Span); 2]> = BTreeMap::new();
    for event in &index.recording.events {
        let is_it = |at: &At| (at.session, at.stream) == (session, stream);
        let text = match &event.kind {
            EventKind::Opened { side, session: of, stream: opened, work }
                if (*of, *opened) == (session, stream) =>
            {
                let work = work.as_ref().map_or_else(String::new, |name| format!(", for {name}"));
                lines.at(event.t, *side, format!("opened{work}"));
                continue;
            }
            EventKind::Finished(at) if is_it(at) => (at.side, "the application ends its direction"),
            EventKind::Ended(at) if is_it(at) => (at.side, "the application reads the end"),
            EventKind::Closed(at) if is_it(at) => (at.side, "the application closes it"),
            EventKind::Reset(at) if is_it(at) => (at.side, "reset: its session ended"),
            EventKind::Wrote(span) | EventKind::Read(span) => {
                if (span.session, span.stream) == (session, stream) {
                    let wrote = matches!(event.kind, EventKind::Wrote(_));
                    let both = spans.entry((span.side, wrote)).or_insert([(event.t, *span); 2]);
                    both[1] = (event.t, *span);
                }
                continue;
            }
            _ => continue,
        };
        lines.at(event.t, text.0, text.1.into());
    }
    for ((side, wrote), [first, last]) in spans {
        let (verb, noun) = if wrote { ("writes", "write") } else { ("reads", "read") };
        let bytes = grouped(last.1.at + u64::from(last.1.len));
        if first.0 == last.0 {
            lines.at(first.0, side, format!("the application {verb} {bytes} bytes"));
        } else {
            lines.at(first.0, side, format!("first {noun} of the application"));
            lines.at(last.0, side, format!("last {noun} of the application: {bytes} bytes in total"));
        }
    }
    lines.render()
}

/// Delivery of the segments of one direction.
struct Direction<'i, 'r> {
    index: &'i Index<'r>,
    side: Side,
    session: u32,
    deliveries: BTreeMap<u32, Delivery>,
}

/// Delivery of one segment.
#[derive(Default)]
struct Delivery {
    first_sent: u64,
    sent: usize,
    in_order: Option<u64>,
    rebuilt: Option<u64>,
    got: Option<u64>,
    causes: Vec<Cause>,
}

impl Delivery {
    fn took(&self) -> Option<u64> {
        Some(self.in_order? - self.first_sent)
    }

    /// Whether the segment was retransmitted, rebuilt, or not delivered in order.
    fn is_delayed(&self) -> bool {
        self.sent > 1 || self.rebuilt.is_some() || self.in_order.is_none()
    }
}

impl<'i, 'r> Direction<'i, 'r> {
    fn new(index: &'i Index<'r>, side: Side, session: u32, segments: &BTreeSet<u32>) -> Self {
        let mut deliveries: BTreeMap<u32, Delivery> =
            segments.iter().map(|&sn| (sn, delivery(index, side, session, sn))).collect();
        let receiver = side.sends().receiver();
        for event in &index.recording.events {
            match &event.kind {
                EventKind::Got { side, session: of, sns, rebuilt, .. }
                    if (*side, *of) == (receiver, session) =>
                {
                    for sn in sns {
                        deliveries
                            .entry(*sn)
                            .and_modify(|delivery| delivery.got = delivery.got.or(Some(event.t)));
                    }
                    for sn in rebuilt {
                        deliveries.entry(*sn).and_modify(|delivery| delivery.rebuilt = Some(event.t));
                    }
                }
                EventKind::InOrder { side, session: of, first, last }
                    if (*side, *of) == (receiver, session) =>
                {
                    for sn in (0..=last.wrapping_sub(*first)).map(|offset| first.wrapping_add(offset)) {
                        deliveries.entry(sn).and_modify(|delivery| delivery.in_order = Some(event.t));
                    }
                }
                _ => {}
            }
        }
        Self { index, side, session, deliveries }
    }

    fn render(&self) -> String {
        let (from, to) = (self.side.name(), self.side.sends().receiver().name());
        let mut out = format!("{from} to {to}: {}\n", self.counts());
        let mut took: Vec<(u64, u32)> =
            self.deliveries.iter().filter_map(|(&sn, delivery)| Some((delivery.took()?, sn))).collect();
        took.sort_unstable();
        if let Some(&(worst, sn)) = took.last() {
            let delays: Vec<u64> = took.iter().map(|(us, _)| *us).collect();
            let at = |share: f64| ms(quantile_rounded(&delays, share).unwrap_or(0));
            out.push_str(&format!(
                "  delay until in order: p50 {} ms, p99 {} ms, maximum {} ms (segment {sn})\n",
                at(0.5),
                at(0.99),
                ms(worst)
            ));
        }
        out.push_str(&self.delayed_segments());
        out
    }

    fn counts(&self) -> String {
        let deliveries = || self.deliveries.values();
        let causes = |cause: Cause| {
            deliveries().flat_map(|delivery| &delivery.causes).filter(|of| **of == cause).count() as u64
        };
        let rebuilt = deliveries().filter(|delivery| delivery.rebuilt.is_some()).count() as u64;
        let missing = deliveries().filter(|delivery| delivery.in_order.is_none()).count() as u64;
        let counts = [
            (rebuilt, "rebuilt from parity"),
            (causes(Cause::Fast), "fast retransmissions"),
            (causes(Cause::Early), "early retransmissions"),
            (causes(Cause::Timeout), "by timeout"),
            (causes(Cause::Overdue), "overdue"),
            (causes(Cause::TailProbe), "tail probes"),
            (causes(Cause::Redundant), "redundant copies"),
            (missing, "not in order"),
        ];
        let listed = counts.into_iter().filter(|(count, _)| *count > 0);
        let listed: Vec<String> =
            listed.map(|(count, name)| format!(", {} {name}", grouped(count))).collect();
        let smooth = deliveries().filter(|delivery| !delivery.is_delayed()).count() as u64;
        let all = grouped(self.deliveries.len() as u64);
        format!("{all} segments, {} with their first datagram{}", grouped(smooth), listed.concat())
    }

    /// The delayed segments with the highest delays, in order; neighbours with the same history are joined.
    fn delayed_segments(&self) -> String {
        let mut all: Vec<Delayed> = Vec::new();
        for (&sn, delivery) in self.deliveries.iter().filter(|(_, delivery)| delivery.is_delayed()) {
            let (attempts, took) = (self.attempts(sn), delivery.took().unwrap_or(u64::MAX));
            match all.last_mut() {
                Some(last) if last.last + 1 == sn && last.attempts == attempts => {
                    (last.last, last.took) = (sn, last.took.max(took));
                }
                _ => all.push(Delayed { first: sn, last: sn, took, attempts }),
            }
        }
        all.sort_by_key(|delayed| delayed.took);
        let mut listed = all.split_off(all.len().saturating_sub(LISTED_MAX));
        listed.sort_by_key(|delayed| delayed.first);
        let mut out: String = listed.iter().map(|delayed| self.render_delayed(delayed)).collect();
        let left_out: u32 = all.iter().map(|delayed| delayed.last - delayed.first + 1).sum();
        if left_out > 0 {
            let count = grouped(left_out.into());
            out.push_str(&format!("\n  and {count} more segments with lower delays; --sn explains one\n"));
        }
        out
    }

    fn attempts(&self, sn: u32) -> Vec<Attempt> {
        let attempt = |datagram: &Datagram<'_>| {
            let again = datagram.push(sn).and_then(|segment| segment.again.as_ref());
            (datagram.t, again.map(|again| again.cause), datagram.dropped.map(|(_, by)| by))
        };
        self.carriers(sn).map(attempt).collect()
    }

    fn carriers(&self, sn: u32) -> impl Iterator<Item = &Datagram<'r>> {
        let carriers = self.index.carriers.get(&(self.side, self.session, sn)).into_iter().flatten();
        carriers.filter_map(|n| self.index.datagrams.get(n))
    }

    fn render_delayed(&self, &Delayed { first, last, .. }: &Delayed) -> String {
        let mut lines = Lines::default();
        let (link, receiver) = (self.side.sends().name(), self.side.sends().receiver());
        let sns = ranges(u64::from(first)..=u64::from(last));
        for datagram in self.carriers(first) {
            let again = datagram.push(first).and_then(|segment| segment.again.as_ref());
            let text = again.map_or_else(
                || format!("{sns} sent"),
                |again| format!("{sns} retransmitted: {}", why(again)),
            );
            lines.at(datagram.t, self.side, text);
            if let Some((t, by)) = datagram.dropped {
                lines.add(t, link, format!("lost: {}", by.reason()));
            }
        }
        // Of several segments, the last arrival; some may have been rebuilt.
        let deliveries = self.deliveries.range(first..=last).map(|(_, delivery)| delivery);
        let arrivals = deliveries.flat_map(|delivery| {
            [delivery.rebuilt.map(|t| (t, "rebuilt from parity")), delivery.got.map(|t| (t, "arrives"))]
        });
        if let Some((t, how)) = arrivals.flatten().max() {
            lines.at(t, receiver, if first == last { how.into() } else { format!("the last of them {how}") });
        }
        format!("\n{}", lines.render())
    }
}

/// Segments sent and lost together.
struct Delayed {
    first: u32,
    last: u32,
    /// Maximum time from the first transmission until in order.
    took: u64,
    attempts: Vec<Attempt>,
}

/// One transmission: moment, cause, and the element that dropped it.
type Attempt = (u64, Option<Cause>, Option<Element>);

fn delivery(index: &Index<'_>, side: Side, session: u32, sn: u32) -> Delivery {
    let carriers = index.carriers.get(&(side, session, sn)).into_iter().flatten();
    let sent: Vec<_> = carriers.filter_map(|n| index.datagrams.get(n)).collect();
    Delivery {
        first_sent: sent.first().map_or(0, |datagram| datagram.t),
        sent: sent.len(),
        causes: sent.iter().filter_map(|d| Some(d.push(sn)?.again.as_ref()?.cause)).collect(),
        ..Delivery::default()
    }
}
