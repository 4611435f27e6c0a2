//! Index of a recording by datagram and by segment.

use super::Recording;
use crate::Side;
use crate::record::{Command, Element, Event, EventKind, Frame, Segment, Sent};
use std::collections::{BTreeMap, BTreeSet};

/// A recording and its index.
pub(super) struct Index<'r> {
    pub(super) recording: &'r Recording,
    pub(super) datagrams: BTreeMap<u64, Datagram<'r>>,
    /// Datagrams that carried a data segment, by sender, session and sn, in order of transmission.
    pub(super) carriers: BTreeMap<(Side, u32, u32), Vec<u64>>,
    carried: Vec<Carried<'r>>,
}

/// Events of one datagram.
pub(super) struct Datagram<'r> {
    pub(super) t: u64,
    pub(super) sent: &'r Sent,
    pub(super) dropped: Option<(u64, Element)>,
    pub(super) queued: Option<(u64, u64)>,
    pub(super) left: Option<Departure>,
    pub(super) received: Option<u64>,
    pub(super) refused: Option<&'r str>,
    /// Numbers of its copies, if it was duplicated.
    pub(super) copies: Vec<u64>,
}

#[derive(Clone, Copy)]
pub(super) struct Departure {
    pub(super) held_back: bool,
    pub(super) damaged: bool,
}

struct Carried<'r> {
    side: Side,
    session: u32,
    first: u32,
    last: u32,
    frames: &'r [Frame],
}

impl<'r> Index<'r> {
    pub(super) fn new(recording: &'r Recording) -> Self {
        let (datagrams, carriers) = (BTreeMap::new(), BTreeMap::new());
        let mut index = Self { recording, datagrams, carriers, carried: Vec::new() };
        recording.events.iter().for_each(|event| index.add(event));
        index
    }

    fn add(&mut self, event: &'r Event) {
        let t = event.t;
        match &event.kind {
            EventKind::Sent(sent) => self.add_sent(t, sent),
            EventKind::Carries { side, session, first, last, frames } => {
                let (side, session, first, last) = (*side, *session, *first, *last);
                self.carried.push(Carried { side, session, first, last, frames });
            }
            EventKind::Copied { n, copy, .. } => self.add_copy(t, *n, *copy),
            EventKind::Dropped { n, by, .. } => self.change(*n, |datagram| datagram.dropped = Some((t, *by))),
            EventKind::Queued { n, queue, .. } => {
                self.change(*n, |datagram| datagram.queued = Some((t, *queue)))
            }
            EventKind::Left { n, held_back, damaged, .. } => {
                let departure = Departure { held_back: *held_back, damaged: *damaged };
                self.change(*n, |datagram| datagram.left = Some(departure));
            }
            EventKind::Received { n, .. } => self.change(*n, |datagram| datagram.received = Some(t)),
            EventKind::Refused { n, why, .. } => self.change(*n, |datagram| datagram.refused = Some(why)),
            _ => {}
        }
    }

    fn add_sent(&mut self, t: u64, sent: &'r Sent) {
        for sn in pushes(sent).map(|segment| segment.sn) {
            self.carriers.entry((sent.side, sent.session, sn)).or_default().push(sent.n);
        }
        self.datagrams.insert(sent.n, Datagram::new(t, sent));
    }

    fn add_copy(&mut self, t: u64, n: u64, copy: u64) {
        let Some(original) = self.datagrams.get_mut(&n) else { return };
        original.copies.push(copy);
        let sent = original.sent;
        self.datagrams.insert(copy, Datagram::new(t, sent));
    }

    fn change(&mut self, n: u64, change: impl FnOnce(&mut Datagram<'r>)) {
        if let Some(datagram) = self.datagrams.get_mut(&n) {
            change(datagram);
        }
    }

    /// Frames in a segment.
    pub(super) fn frames(&self, side: Side, session: u32, sn: u32) -> impl Iterator<Item = &'r Frame> {
        let of_it = move |carried: &&Carried<'_>| {
            (carried.side, carried.session) == (side, session)
                && sn.wrapping_sub(carried.first) <= carried.last.wrapping_sub(carried.first)
        };
        self.carried.iter().filter(of_it).flat_map(|carried| carried.frames)
    }

    /// Segments that carry frames of a stream, by sender and session, in order.
    pub(super) fn segments_of(&self, stream: u32) -> BTreeMap<(Side, u32), BTreeSet<u32>> {
        let mut found: BTreeMap<_, BTreeSet<u32>> = BTreeMap::new();
        for carried in &self.carried {
            if carried.frames.iter().any(|frame| frame.stream == stream) {
                let count = carried.last.wrapping_sub(carried.first);
                let segments = found.entry((carried.side, carried.session)).or_default();
                segments.extend((0..=count).map(|offset| carried.first.wrapping_add(offset)));
            }
        }
        found
    }
}

impl<'r> Datagram<'r> {
    const fn new(t: u64, sent: &'r Sent) -> Self {
        Self {
            t,
            sent,
            dropped: None,
            queued: None,
            left: None,
            received: None,
            refused: None,
            copies: Vec::new(),
        }
    }

    /// The data segment `sn` in it.
    pub(super) fn push(&self, sn: u32) -> Option<&'r Segment> {
        pushes(self.sent).find(|segment| segment.sn == sn)
    }
}

fn pushes(sent: &Sent) -> impl Iterator<Item = &Segment> {
    sent.segments.iter().filter(|segment| segment.cmd == Command::Push)
}
