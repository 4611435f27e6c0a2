//! Explains one stream: its milestones, and the delivery of its segments in each direction.

use super::Only;
use super::index::{Datagram, Index};
use super::lines::{Lines, ms};
use crate::Side;
use crate::record::words::{grouped, ranges, why};
use crate::record::{At, Element, EventKind, Span};
use engine::Cause;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of delayed segments listed one by one; the slowest when there are more.
const TOLD_MAX: usize = 12;

/// Every stream with that number, one per session.
pub(super) fn explain(index: &Index<'_>, stream: u32, only: Only) -> Option<String> {
    let sessions: BTreeSet<u32> = index
        .recording
        .events
        .iter()
        .filter_map(|event| match &event.what {
            EventKind::Opened { session, stream: opened, .. } if *opened == stream => Some(*session),
            _ => None,
        })
        .filter(|session| only.session.is_none_or(|only| only == *session))
        .collect();
    let directions = index.segments_of(stream);
    let story = |session: u32| {
        let mut out = format!("stream {stream}, session {session}\n\n{}", milestones(index, session, stream));
        for (&(side, of), segments) in &directions {
            if of == session && only.admits(side, of) {
                out.push_str(&format!("\n{}", Direction::new(index, side, session, segments).tell()));
            }
        }
        out
    };
    let stories: Vec<String> = sessions.into_iter().map(story).collect();
    (!stories.is_empty()).then(|| stories.join("\n"))
}

/// Actions of the applications; of repeated ones the first and the last.
fn milestones(index: &Index<'_>, session: u32, stream: u32) -> String {
    let mut lines = Lines::default();
    let mut spans: BTreeMap<(Side, bool), [(u64, Span); 2]> = BTreeMap::new();
    for event in &index.recording.events {
        let is_it = |at: &At| (at.session, at.stream) == (session, stream);
        let text = match &event.what {
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
            EventKind::Reset(at) if is_it(at) => (at.side, "reset: its session is gone"),
            EventKind::Wrote(span) | EventKind::Read(span) => {
                if (span.session, span.stream) == (session, stream) {
                    let wrote = matches!(event.what, EventKind::Wrote(_));
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
        let verb = if wrote { "writes" } else { "reads" };
        let bytes = grouped(last.1.at + u64::from(last.1.len));
        if first.0 == last.0 {
            lines.at(first.0, side, format!("the application {verb} {bytes} bytes"));
        } else {
            lines.at(first.0, side, format!("the application {verb} for the first time"));
            lines.at(last.0, side, format!("the application {verb} for the last time: {bytes} bytes in all"));
        }
    }
    lines.render()
}

/// Delivery of the segments of one direction.
struct Direction<'i, 'r> {
    index: &'i Index<'r>,
    side: Side,
    session: u32,
    fares: BTreeMap<u32, Fare>,
}

/// Delivery of one segment.
#[derive(Default)]
struct Fare {
    first_sent: u64,
    sent: usize,
    in_order: Option<u64>,
    rebuilt: Option<u64>,
    got: Option<u64>,
    causes: Vec<Cause>,
}

impl Fare {
    fn took(&self) -> Option<u64> {
        Some(self.in_order? - self.first_sent)
    }

    /// It was retransmitted, rebuilt, or never delivered in order.
    fn is_troubled(&self) -> bool {
        self.sent > 1 || self.rebuilt.is_some() || self.in_order.is_none()
    }
}

impl<'i, 'r> Direction<'i, 'r> {
    fn new(index: &'i Index<'r>, side: Side, session: u32, segments: &BTreeSet<u32>) -> Self {
        let mut fares: BTreeMap<u32, Fare> =
            segments.iter().map(|&sn| (sn, fare(index, side, session, sn))).collect();
        let receiver = side.sends().receiver();
        for event in &index.recording.events {
            match &event.what {
                EventKind::Got { side, session: of, sns, rebuilt, .. }
                    if (*side, *of) == (receiver, session) =>
                {
                    for sn in sns {
                        fares.entry(*sn).and_modify(|fare| fare.got = fare.got.or(Some(event.t)));
                    }
                    for sn in rebuilt {
                        fares.entry(*sn).and_modify(|fare| fare.rebuilt = Some(event.t));
                    }
                }
                EventKind::InOrder { side, session: of, first, last }
                    if (*side, *of) == (receiver, session) =>
                {
                    for sn in (0..=last.wrapping_sub(*first)).map(|offset| first.wrapping_add(offset)) {
                        fares.entry(sn).and_modify(|fare| fare.in_order = Some(event.t));
                    }
                }
                _ => {}
            }
        }
        Self { index, side, session, fares }
    }

    fn tell(&self) -> String {
        let (from, to) = (self.side.name(), self.side.sends().receiver().name());
        let mut out = format!("{from} to {to}: {}\n", self.counts());
        let mut took: Vec<(u64, u32)> =
            self.fares.iter().filter_map(|(&sn, fare)| Some((fare.took()?, sn))).collect();
        took.sort_unstable();
        if let Some(&(worst, sn)) = took.last() {
            let at = |percent: usize| ms(took[(took.len() - 1) * percent / 100].0);
            out.push_str(&format!(
                "  from first sent to in order: half within {} ms, 99 % within {} ms, the slowest, {sn}, {} ms\n",
                at(50),
                at(99),
                ms(worst)
            ));
        }
        out.push_str(&self.troubles());
        out
    }

    fn counts(&self) -> String {
        let fares = || self.fares.values();
        let causes =
            |cause: Cause| fares().flat_map(|fare| &fare.causes).filter(|of| **of == cause).count() as u64;
        let rebuilt = fares().filter(|fare| fare.rebuilt.is_some()).count() as u64;
        let missing = fares().filter(|fare| fare.in_order.is_none()).count() as u64;
        let counts = [
            (rebuilt, "rebuilt from parity"),
            (causes(Cause::Fast), "fast retransmissions"),
            (causes(Cause::Early), "early ones"),
            (causes(Cause::Timeout), "by timeout"),
            (causes(Cause::Overdue), "overdue"),
            (causes(Cause::TailProbe), "at the tail"),
            (causes(Cause::Redundant), "along with later ones"),
            (missing, "never in order"),
        ];
        let told = counts.into_iter().filter(|(count, _)| *count > 0);
        let told: Vec<String> = told.map(|(count, what)| format!(", {} {what}", grouped(count))).collect();
        let smooth = fares().filter(|fare| !fare.is_troubled()).count() as u64;
        let all = grouped(self.fares.len() as u64);
        format!("{all} segments, {} with their first datagram{}", grouped(smooth), told.concat())
    }

    /// The slowest delayed segments, in order; neighbours with the same history are joined.
    fn troubles(&self) -> String {
        let mut all: Vec<Trouble> = Vec::new();
        for (&sn, fare) in self.fares.iter().filter(|(_, fare)| fare.is_troubled()) {
            let (story, took) = (self.story(sn), fare.took().unwrap_or(u64::MAX));
            match all.last_mut() {
                Some(last) if last.last + 1 == sn && last.story == story => {
                    (last.last, last.took) = (sn, last.took.max(took));
                }
                _ => all.push(Trouble { first: sn, last: sn, took, story }),
            }
        }
        all.sort_by_key(|trouble| trouble.took);
        let mut told = all.split_off(all.len().saturating_sub(TOLD_MAX));
        told.sort_by_key(|trouble| trouble.first);
        let mut out: String = told.iter().map(|trouble| self.tell_trouble(trouble)).collect();
        let left_out: u32 = all.iter().map(|trouble| trouble.last - trouble.first + 1).sum();
        if left_out > 0 {
            let count = grouped(left_out.into());
            out.push_str(&format!("\n  and {count} segments more, which were faster; --sn tells of one\n"));
        }
        out
    }

    fn story(&self, sn: u32) -> Vec<Attempt> {
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

    fn tell_trouble(&self, &Trouble { first, last, .. }: &Trouble) -> String {
        let mut lines = Lines::default();
        let (link, receiver) = (self.side.sends().name(), self.side.sends().receiver());
        let sns = ranges(u64::from(first)..=u64::from(last));
        for datagram in self.carriers(first) {
            let again = datagram.push(first).and_then(|segment| segment.again.as_ref());
            let text = again
                .map_or_else(|| format!("{sns} sent"), |again| format!("{sns} sent again, {}", why(again)));
            lines.at(datagram.t, self.side, text);
            if let Some((t, by)) = datagram.dropped {
                lines.add(t, link, format!("lost: {}", by.reason()));
            }
        }
        // Of several segments, the last arrival; some may have been rebuilt.
        let fares = self.fares.range(first..=last).map(|(_, fare)| fare);
        let arrivals = fares.flat_map(|fare| {
            [fare.rebuilt.map(|t| (t, "rebuilt from parity")), fare.got.map(|t| (t, "arrives"))]
        });
        if let Some((t, how)) = arrivals.flatten().max() {
            lines.at(t, receiver, if first == last { how.into() } else { format!("the last of them {how}") });
        }
        format!("\n{}", lines.render())
    }
}

/// Segments sent and lost together.
struct Trouble {
    first: u32,
    last: u32,
    /// Time from the first transmission until in order, the slowest of them.
    took: u64,
    story: Vec<Attempt>,
}

/// One transmission: moment, cause, and the element that dropped it.
type Attempt = (u64, Option<Cause>, Option<Element>);

fn fare(index: &Index<'_>, side: Side, session: u32, sn: u32) -> Fare {
    let carriers = index.carriers.get(&(side, session, sn)).into_iter().flatten();
    let sent: Vec<_> = carriers.filter_map(|n| index.datagrams.get(n)).collect();
    Fare {
        first_sent: sent.first().map_or(0, |datagram| datagram.t),
        sent: sent.len(),
        causes: sent.iter().filter_map(|d| Some(d.push(sn)?.again.as_ref()?.cause)).collect(),
        ..Fare::default()
    }
}
