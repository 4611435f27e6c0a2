//! The fate of each packet on the links of a run.

use super::Prepare;
use crate::link::Delay;
use crate::plan::Scenario;
use crate::record::{Element, Event, EventKind};
use crate::world::World;
use engine::Instant;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The packets handed to both links, up and down, in order.
#[derive(Debug, Default)]
pub(super) struct Fates([Vec<Flight>; 2]);

/// A packet in a link.
#[derive(Debug)]
struct Flight {
    sent_us: u64,
    dropped: Option<Element>,
    /// Times of leaving the transmitter and of arrival.
    left: Option<(u64, u64)>,
    corrupted: bool,
}

/// Start of the delay of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// When the packet leaves the transmitter of the link.
    Transmitter,
    /// When the packet is sent.
    Sender,
}

impl Fates {
    /// Plays `scenario` for up to `events_max` events, until its end, or until the engine panics.
    pub(super) fn of(mut scenario: Scenario, prepare: Prepare<'_>, events_max: u64) -> Self {
        prepare(&mut scenario);
        let mut fates = Self::default();
        let mut flights = BTreeMap::new();
        let mut run = World::new(&scenario, scenario.seed);
        run.record(false);
        for _ in 0..events_max {
            let goes_on = catch_unwind(AssertUnwindSafe(|| run.step()));
            let events = run.recorder().map(|recorder| recorder.take_events()).unwrap_or_default();
            events.iter().for_each(|event| fates.note(event, &mut flights));
            if !goes_on.unwrap_or(false) {
                break;
            }
        }
        fates
    }

    /// Numbers of packets dropped by one of these elements; direction 0 is up.
    pub(super) fn dropped(&self, direction: usize, by: &[Element]) -> Vec<u64> {
        self.numbers(direction, |flight| flight.dropped.is_some_and(|element| by.contains(&element)))
    }

    /// Numbers of corrupted packets in that direction.
    pub(super) fn corrupted(&self, direction: usize) -> Vec<u64> {
        self.numbers(direction, |flight| flight.corrupted)
    }

    /// Packets of that direction that arrived later than `delay`: number, and lateness in microseconds.
    pub(super) fn delayed(&self, direction: usize, mut delay: Delay, from: From) -> Vec<(u64, u64)> {
        let late = |(flight, number): (&Flight, u64)| {
            let (left_us, due_us) = flight.left?;
            let start_us = if from == From::Sender { flight.sent_us } else { left_us };
            let undisturbed = delay.arrival(Instant::from_micros(start_us));
            let late_us = due_us.saturating_sub(undisturbed.as_micros());
            (late_us > 0).then_some((number, late_us))
        };
        self.0[direction].iter().zip(1..).filter_map(late).collect()
    }

    fn numbers(&self, direction: usize, is_selected: impl Fn(&Flight) -> bool) -> Vec<u64> {
        let numbered = self.0[direction].iter().zip(1..);
        numbered.filter(|(flight, _)| is_selected(flight)).map(|(_, number)| number).collect()
    }

    /// Applies one event; `flights` maps datagrams, without copies, to direction and index.
    fn note(&mut self, event: &Event, flights: &mut BTreeMap<u64, (usize, usize)>) {
        let known = |n: &u64| flights.get(n).copied();
        match &event.kind {
            EventKind::Sent(sent) => {
                let direction = sent.side.sends() as usize;
                flights.insert(sent.n, (direction, self.0[direction].len()));
                let flight = Flight { sent_us: event.t, dropped: None, left: None, corrupted: false };
                self.0[direction].push(flight);
            }
            EventKind::Dropped { n, by, .. } => {
                if let Some((direction, place)) = known(n) {
                    self.0[direction][place].dropped = Some(*by);
                }
            }
            EventKind::Left { n, due, damaged: corrupted, .. } => {
                if let Some((direction, place)) = known(n) {
                    let flight = &mut self.0[direction][place];
                    (flight.left, flight.corrupted) = (Some((event.t, *due)), *corrupted);
                }
            }
            _ => {}
        }
    }
}
