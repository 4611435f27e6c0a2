//! Explains one segment.

use super::Only;
use super::index::{Datagram, Index};
use super::lines::{Lines, ms};
use crate::Side;
use crate::record::words::{frames, grouped, ranges, span, why};
use crate::record::{Command, EventKind, Frame, FrameCommand, Sent, Span};
use std::collections::BTreeSet;

/// Every segment with that number, one per sender and session.
pub(super) fn explain(index: &Index<'_>, sn: u32, only: Only) -> Option<String> {
    let found = index.carriers.keys().filter(|(side, session, of)| *of == sn && only.admits(*side, *session));
    let explanations: Vec<String> =
        found.map(|&(side, session, _)| Story::new(index, side, session, sn).render()).collect();
    (!explanations.is_empty()).then(|| explanations.join("\n"))
}

struct Story<'i, 'r> {
    index: &'i Index<'r>,
    side: Side,
    session: u32,
    sn: u32,
    /// Datagrams that carried it, and their copies.
    carriers: BTreeSet<u64>,
    /// Their shard numbers.
    seqids: BTreeSet<u32>,
    /// Stream and offset of the end of its data.
    end: Option<(u32, u64)>,
    read: bool,
    lines: Lines,
}

impl<'i, 'r> Story<'i, 'r> {
    fn new(index: &'i Index<'r>, side: Side, session: u32, sn: u32) -> Self {
        let originals = index.carriers.get(&(side, session, sn)).into_iter().flatten();
        let carriers: BTreeSet<u64> = originals
            .flat_map(|n| {
                std::iter::once(n).chain(index.datagrams.get(n).into_iter().flat_map(|d| &d.copies))
            })
            .copied()
            .collect();
        let shard = |n| index.datagrams.get(n)?.sent.shard.map(|shard| shard.seqid);
        let seqids = carriers.iter().filter_map(shard).collect();
        let data = index.frames(side, session, sn).filter(|frame| frame.cmd == FrameCommand::Psh);
        let end = data.last().map(|Frame { stream, at, len, .. }| (*stream, at + u64::from(*len)));
        Self { index, side, session, sn, carriers, seqids, end, read: false, lines: Lines::default() }
    }

    fn render(mut self) -> String {
        for event in &self.index.recording.events {
            self.event(event.t, &event.kind);
        }
        format!("{}\n\n{}", self.heading(), self.lines.render())
    }

    fn heading(&self) -> String {
        let (from, to) = (self.side.name(), self.side.sends().receiver().name());
        let sent = self.carriers.first().and_then(|n| self.index.datagrams.get(n));
        let bytes = sent.and_then(|datagram| datagram.push(self.sn)).map_or(0, |segment| segment.len);
        let carries = frames(self.index.frames(self.side, self.session, self.sn));
        let of = if carries.is_empty() { String::new() } else { format!(": {carries}") };
        let (sn, session) = (self.sn, self.session);
        format!("segment {sn}, {from} to {to}, session {session}, {} bytes{of}", grouped(bytes.into()))
    }

    fn event(&mut self, t: u64, kind: &EventKind) {
        let (receiver, link) = (self.side.sends().receiver(), self.side.sends().name());
        let ours = |session: &u32| *session == self.session;
        match kind {
            EventKind::Sent(sent) if self.carriers.contains(&sent.n) => self.sent(t, sent),
            EventKind::Sent(sent) if sent.side == receiver && ours(&sent.session) => {
                self.acknowledged(t, sent)
            }
            EventKind::Dropped { n, by, .. } if self.carriers.contains(n) => {
                self.lines.add(t, link, format!("#{n} lost: {}", by.reason()));
            }
            EventKind::Left { n, .. } if self.carriers.contains(n) => self.left(t, *n),
            EventKind::Copied { n, copy, .. } if self.carriers.contains(n) => {
                self.lines.add(t, link, format!("#{n} duplicated as #{copy}"));
            }
            EventKind::Waits { n, side } if self.carriers.contains(n) => {
                self.lines.at(t, *side, format!("#{n} waits in the socket"));
            }
            EventKind::Received { n, side } if self.carriers.contains(n) => self.received(t, *side, *n),
            EventKind::Rebuilt { side, session, n, seqids, parity } if *side == receiver && ours(session) => {
                self.rebuilt(t, *side, *n, seqids, parity);
            }
            EventKind::Got { side, session, again, .. }
                if *side == receiver && ours(session) && again.contains(&self.sn) =>
            {
                self.lines.at(t, *side, "duplicate, or beyond the window".into());
            }
            EventKind::InOrder { side, session, first, last } if *side == receiver && ours(session) => {
                self.in_order(t, *side, *first, *last);
            }
            EventKind::Acked { side, session, n, sns, una } if *side == self.side && ours(session) => {
                self.acked(t, *n, sns, una);
            }
            EventKind::Read(span) if span.side == receiver && ours(&span.session) => self.read(t, span),
            _ => {}
        }
    }

    fn sent(&mut self, t: u64, sent: &Sent) {
        let Some(segment) = sent.segments.iter().find(|s| s.cmd == Command::Push && s.sn == self.sn) else {
            return;
        };
        let shard = sent.shard.map_or_else(String::new, |shard| format!(", shard {}", shard.seqid));
        let again = segment
            .again
            .as_ref()
            .map_or_else(|| "sent".into(), |again| format!("retransmitted: {}", why(again)));
        let place = format!("#{}{shard}; timeout {} ms", sent.n, segment.rto_ms);
        self.lines.at(t, self.side, format!("{again}; in {place}"));
    }

    fn left(&mut self, t: u64, n: u64) {
        let Some(datagram) = self.index.datagrams.get(&n) else { return };
        let link = self.side.sends().name();
        if let Some((since, queue)) = datagram.queued {
            let (waited, kilo) = (ms(t - since), queue as f64 / 1e3);
            self.lines.add(t, link, format!("#{n} leaves the queue of {kilo:.1} kB after {waited} ms"));
        }
        if datagram.left.is_some_and(|left| left.held_back) {
            self.lines.add(t, link, format!("#{n} is reordered: later datagrams overtake it"));
        }
        if datagram.left.is_some_and(|left| left.damaged) {
            self.lines.add(t, link, format!("#{n} is corrupted"));
        }
    }

    fn received(&mut self, t: u64, side: Side, n: u64) {
        let Some(Datagram { t: sent, refused, .. }) = self.index.datagrams.get(&n) else { return };
        let refused = refused.map_or_else(String::new, |why| format!(", refused: {why}"));
        self.lines.at(t, side, format!("#{n} arrives after {} ms{refused}", ms(t - sent)));
    }

    fn rebuilt(&mut self, t: u64, side: Side, n: u64, seqids: &[u32], parity: &[u32]) {
        let Some(seqid) = seqids.iter().find(|seqid| self.seqids.contains(seqid)) else { return };
        let parity = ranges(parity.iter().map(|&seqid| seqid.into()));
        self.lines.at(t, side, format!("rebuilt: shard {seqid} from parity {parity}, when #{n} arrived"));
    }

    fn in_order(&mut self, t: u64, side: Side, first: u32, last: u32) {
        if self.sn.wrapping_sub(first) > last.wrapping_sub(first) {
            return;
        }
        let freed = last.wrapping_sub(self.sn);
        let others = if first == self.sn && freed > 0 {
            format!(", and {} later segments with it", grouped(freed.into()))
        } else {
            String::new()
        };
        self.lines.at(t, side, format!("in order{others}"));
    }

    fn acknowledged(&mut self, t: u64, sent: &Sent) {
        if !sent.segments.iter().any(|s| s.cmd == Command::Ack && s.sn == self.sn) {
            return;
        }
        let (n, side) = (sent.n, sent.side);
        self.lines.at(t, side, format!("acknowledges it in #{n}"));
        let lost = self.index.datagrams.get(&n).and_then(|datagram| datagram.dropped);
        if let Some((at, element)) = lost {
            self.lines.add(
                at,
                side.sends().name(),
                format!("#{n}, the acknowledgement, lost: {}", element.reason()),
            );
        }
    }

    fn acked(&mut self, t: u64, n: u64, sns: &[u32], una: &[u32]) {
        let how = if sns.contains(&self.sn) {
            "acknowledged"
        } else if una.contains(&self.sn) {
            "covered by una"
        } else {
            return;
        };
        let first = self.carriers.first().and_then(|n| self.index.datagrams.get(n)).map_or(t, |d| d.t);
        self.lines.at(
            t,
            self.side,
            format!("{how} in #{n}, {} ms after the first transmission", ms(t - first)),
        );
    }

    fn read(&mut self, t: u64, read: &Span) {
        let Some((stream, end)) = self.end else { return };
        let until = read.at + u64::from(read.len);
        if read.stream == stream && until >= end && !self.read {
            self.read = true;
            let span = span(stream, read.at, read.len.into());
            self.lines.at(t, read.side, format!("the application reads {span}"));
        }
    }
}
