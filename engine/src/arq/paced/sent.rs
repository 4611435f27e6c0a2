//! Transmissions and their fate: the scoreboard of the paced sender.
//!
//! A segment is lost when one that was sent later was delivered and a round trip has passed, plus the reordering window: RACK
//! (RFC 8985). That also finds lost retransmissions; how many acknowledgements pass a segment does not matter, since the echoed
//! ts names the transmission that was delivered.

use super::rack::Rack;
use super::rate::{DeliveryRate, Snapshot};
use crate::congestion::{Load, RateSample, Tally};
use crate::time::{Instant, diff};
use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};

/// Transmissions between two checks of all records in debug builds.
const CHECKED_EVERY: u64 = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    InFlight,
    Lost,
    Delivered,
}

/// The last transmission of a segment.
#[derive(Clone, Copy, Debug)]
struct Record {
    fate: Fate,
    load: Load,
    /// Transmissions of the segment, 255 and more as 255.
    transmissions: u8,
    /// Copies of the segment were sent, and copies before the last transmission.
    copied: bool,
    copied_before: bool,
    /// Its fate is a sample of the path's loss.
    samples_loss: bool,
    bytes: u32,
    /// Clock value in the header.
    ts: u32,
    /// Transmissions of the conversation up to this one.
    number: u64,
    sent_at: Instant,
    rate: Snapshot,
}

impl Record {
    const fn has_copies(&self) -> bool {
        self.copied || self.copied_before
    }
}

/// All segments from una on, all of them sent. The place of a segment is its distance from the first of the conversation.
#[derive(Debug, Default)]
pub(in crate::arq) struct Sent {
    /// Place of the oldest record: segments that una has passed.
    passed: u64,
    records: VecDeque<Record>,
    /// Transmissions in the order in which they left: place of the segment, and number of the transmission.
    order: VecDeque<(u64, u64)>,
    /// Places of lost segments that were not sent again.
    lost: BTreeSet<u64>,
    transmissions: u64,
    in_flight_bytes: u64,
    pub(super) rate: DeliveryRate,
    pub(super) rack: Rack,
    /// Transmissions from before give no samples of time (KCP-25).
    trust_from: Instant,
    pub(super) unreported: Unreported,
    /// Number of the latest transmission taken for lost: whether the next one belongs to the same run.
    last_lost: u64,
}

/// Outcomes since the controller's last event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unreported {
    pub(super) tallies: [Tally; 3],
    /// Those that are samples of the path's loss.
    pub(super) of_path: Tally,
    pub(super) delivered_bytes: u64,
    /// Segments delivered of which copies were sent, and whether one of them was delivered by a retransmission only.
    pub(super) copied: u32,
    pub(super) missed: bool,
    /// Shortest round trip.
    pub(super) rtt_us: Option<u64>,
    /// The newest transmission delivered.
    newest: Option<Record>,
    /// A delivered segment had been taken for lost.
    spurious: bool,
}

impl Unreported {
    /// Whether no transmission was delivered or lost.
    pub(super) fn is_empty(&self) -> bool {
        self.tallies.iter().all(|tally| tally.total() == 0)
    }
}

impl Sent {
    /// Bytes in flight.
    pub(super) const fn in_flight_bytes(&self) -> u64 {
        self.in_flight_bytes
    }

    /// The first lost segment that was not sent again, as an index from una on.
    pub(super) fn first_lost(&self) -> Option<usize> {
        self.lost.first().map(|place| (place - self.passed) as usize)
    }

    /// Whether a segment is not known to be delivered.
    pub(super) fn awaits_delivery(&self) -> bool {
        self.in_flight_bytes > 0 || !self.lost.is_empty()
    }

    /// The newest segment that is not known to be delivered, in time proportional to the segments held: only for probes.
    pub(super) fn newest_undelivered(&self) -> Option<usize> {
        self.records.iter().rposition(|record| record.fate != Fate::Delivered)
    }

    /// The place of the segment at `index`.
    pub(super) const fn place(&self, index: usize) -> u64 {
        self.passed + index as u64
    }

    /// The index of the segment at `place`, if it is in flight.
    pub(super) fn in_flight(&self, place: u64) -> Option<usize> {
        let index = usize::try_from(place.checked_sub(self.passed)?).ok()?;
        self.records.get(index).filter(|record| record.fate == Fate::InFlight).map(|_| index)
    }

    /// A copy of the segment at `index` leaves.
    pub(super) fn copied(&mut self, index: usize) {
        if let Some(record) = self.records.get_mut(index) {
            record.copied = true;
        }
    }

    /// Segments that una has not passed.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The segment at `index` leaves; a segment that was not sent before has the next index.
    /// Returns the transmissions of the segment, this one included.
    pub(super) fn sent(
        &mut self,
        index: usize,
        now: Instant,
        bytes: usize,
        load: Load,
        samples_loss: bool,
    ) -> u8 {
        if self.in_flight_bytes == 0 {
            self.rate.restart(now);
        }
        self.transmissions += 1;
        let before = self.records.get(index).map_or(0, |record| record.transmissions);
        let transmissions = before.saturating_add(1);
        let record = Record {
            fate: Fate::InFlight,
            load,
            transmissions,
            copied: false,
            copied_before: self.records.get(index).is_some_and(Record::has_copies),
            samples_loss,
            bytes: bytes as u32,
            ts: now.ms(),
            number: self.transmissions,
            sent_at: now,
            rate: self.rate.snapshot(),
        };
        let place = self.passed + index as u64;
        match self.records.get_mut(index) {
            Some(before) => {
                if before.fate != Fate::InFlight {
                    self.in_flight_bytes += bytes as u64;
                }
                *before = record;
                self.lost.remove(&place);
            }
            None => {
                self.in_flight_bytes += bytes as u64;
                self.records.push_back(record);
            }
        }
        self.order.push_back((place, self.transmissions));
        transmissions
    }

    /// Whether the segment is neither known to be delivered nor taken for lost.
    pub(super) fn is_in_flight(&self, index: usize) -> bool {
        self.records.get(index).is_some_and(|record| record.fate == Fate::InFlight)
    }

    /// KCP-25: this end stood still, or its clock jumped.
    pub(in crate::arq) const fn distrust_before(&mut self, now: Instant) {
        self.trust_from = now;
    }

    /// There is nothing to send although the window has room.
    pub(super) fn limit_by_app(&mut self) {
        self.rate.limit_by_app(self.in_flight_bytes);
    }

    /// una passed the first segment. The transmission delivered is known if there was only one; how long it took, unless it
    /// counted as lost: then the acknowledgement that was due may be what was lost.
    pub(in crate::arq) fn pass(&mut self, now: Instant) {
        let Some(record) = self.records.front().copied() else { return };
        if record.fate != Fate::Delivered {
            let retransmitted = record.transmissions > 1;
            let in_time = !retransmitted && record.fate == Fate::InFlight;
            let sent_at = in_time.then_some(record.sent_at);
            self.delivered(0, sent_at, !retransmitted, now);
        }
        self.records.pop_front();
        self.passed += 1;
    }

    /// The segment at `index` was delivered by the transmission of `ts`.
    pub(in crate::arq) fn acked(&mut self, index: usize, ts: u32, now: Instant) {
        let Some(record) = self.records.get(index).copied() else { return };
        if record.fate == Fate::Delivered {
            return;
        }
        let sent_at = if record.ts == ts {
            record.sent_at
        } else {
            let age_ms = diff(now.ms(), ts).max(0) as u64;
            Instant::from_micros(now.as_micros().saturating_sub(age_ms * 1_000))
        };
        // A copy that is late does not show that the original was.
        let was_lost = !record.has_copies() && (record.transmissions > 1 || record.fate == Fate::Lost);
        self.unreported.spurious |= was_lost && diff(ts, record.ts) < 0;
        self.delivered(index, Some(sent_at), record.ts == ts, now);
        if diff(ts, record.ts) > 0 {
            // A bundled copy was delivered, and the transmission lost.
            let tally = &mut self.unreported.tallies[record.load as usize];
            (tally.delivered, tally.lost, tally.runs) = (tally.delivered - 1, tally.lost + 1, tally.runs + 1);
            let sample = u32::from(record.samples_loss);
            self.unreported.of_path.delivered -= sample;
            self.unreported.of_path.lost += sample;
        }
    }

    fn sample_rtt(&mut self, rtt_us: u64) {
        let shortest = &mut self.unreported.rtt_us;
        *shortest = Some(shortest.map_or(rtt_us, |shortest| shortest.min(rtt_us)));
        self.rack.sample_rtt(rtt_us);
    }

    /// `by_last` when the last transmission was delivered: only its record gives a rate.
    fn delivered(&mut self, index: usize, sent_at: Option<Instant>, by_last: bool, now: Instant) {
        let place = self.passed + index as u64;
        let record = &mut self.records[index];
        let bytes = u64::from(record.bytes);
        match record.fate {
            Fate::InFlight => self.in_flight_bytes -= bytes,
            Fate::Lost => {
                self.lost.remove(&place);
            }
            Fate::Delivered => return,
        }
        record.fate = Fate::Delivered;
        if record.has_copies() {
            // What was sent before the retransmission would have been confirmed earlier.
            let by_retransmission =
                now.since(record.sent_at).as_micros() as u64 >= self.rack.min_rtt_us / 4 * 3;
            self.unreported.copied += 1;
            self.unreported.missed |= record.copied_before && by_retransmission;
        }
        self.rate.delivered(bytes, now);
        self.unreported.delivered_bytes += bytes;
        self.unreported.tallies[record.load as usize].delivered += 1;
        self.unreported.of_path.delivered += u32::from(record.samples_loss);
        let newer = self.unreported.newest.is_none_or(|newest| record.number > newest.number);
        if by_last && record.sent_at >= self.trust_from && newer {
            self.unreported.newest = Some(*record);
        }
        let Some(sent_at) = sent_at.filter(|at| *at >= self.trust_from) else { return };
        let rtt_us = now.since(sent_at).as_micros() as u64;
        self.sample_rtt(rtt_us);
        self.rack.delivered(sent_at, rtt_us);
    }

    /// Marks overdue segments as lost, after all of a datagram was taken in; none sooner than `wait_min` after it was sent.
    /// Whether any was.
    pub(super) fn detect_losses(&mut self, now: Instant, wait_min: Duration) -> bool {
        let spurious = std::mem::take(&mut self.unreported.spurious);
        self.rack.adapt(spurious, self.unreported.tallies.iter().map(|tally| tally.delivered).sum());
        self.rack.overdue_at = None;
        let timeout = self.rack.timeout().max(wait_min);
        let mut any = false;
        while let Some(&(place, number)) = self.order.front() {
            let index = place.checked_sub(self.passed).map(|index| index as usize);
            let record = index.and_then(|index| self.records.get_mut(index));
            let is_in_flight =
                |record: &&mut Record| record.number == number && record.fate == Fate::InFlight;
            let Some(record) = record.filter(is_in_flight) else {
                self.order.pop_front();
                continue;
            };
            if record.sent_at >= self.rack.sent_at {
                return any;
            }
            let due = record.sent_at + timeout;
            if now < due {
                self.rack.overdue_at = Some(due);
                return any;
            }
            lose(record, &mut self.unreported, &mut self.in_flight_bytes, &mut self.last_lost);
            self.lost.insert(place);
            self.order.pop_front();
            any = true;
        }
        any
    }

    /// Marks everything in flight as lost: nothing was heard for long.
    pub(super) fn lose_all(&mut self) {
        for (index, record) in self.records.iter_mut().enumerate() {
            if record.fate == Fate::InFlight {
                lose(record, &mut self.unreported, &mut self.in_flight_bytes, &mut self.last_lost);
                self.lost.insert(self.passed + index as u64);
            }
        }
        self.order.clear();
        self.rack.overdue_at = None;
    }

    /// The rate sample of the newest transmission delivered.
    pub(super) fn take_rate(&mut self) -> Option<RateSample> {
        let record = self.unreported.newest.take()?;
        self.rate.sample(record.sent_at, record.rate, self.rack.min_rtt_us)
    }

    /// `segments` are numbered; each has a record. Every so often all records are checked.
    pub(super) fn check_invariants(&self, segments: usize) {
        assert_eq!(self.records.len(), segments, "a segment without a record, or the reverse");
        assert!(self.lost.len() <= segments, "more segments lost than there are");
        let places = self.passed..self.passed + segments as u64;
        assert!(
            self.lost.first().is_none_or(|place| places.contains(place)),
            "a lost segment that una has passed"
        );
        assert!(self.lost.last().is_none_or(|place| places.contains(place)), "a lost segment beyond nxt");
        self.rack.check_invariants();
        if self.transmissions.is_multiple_of(CHECKED_EVERY) {
            self.check_records();
        }
    }

    /// What is in flight and what is lost adds up.
    pub(in crate::arq) fn check_records(&self) {
        let of = |fate| self.records.iter().filter(move |record| record.fate == fate);
        let in_flight_bytes: u64 = of(Fate::InFlight).map(|record| u64::from(record.bytes)).sum();
        assert_eq!(self.in_flight_bytes, in_flight_bytes, "bytes in flight");
        assert_eq!(self.lost.len(), of(Fate::Lost).count(), "segments lost");
        assert_eq!(self.awaits_delivery(), self.newest_undelivered().is_some(), "an undelivered segment");
    }
}

fn lose(record: &mut Record, unreported: &mut Unreported, in_flight_bytes: &mut u64, last_lost: &mut u64) {
    record.fate = Fate::Lost;
    *in_flight_bytes -= u64::from(record.bytes);
    let tally = &mut unreported.tallies[record.load as usize];
    tally.lost += 1;
    tally.runs += u32::from(std::mem::replace(last_lost, record.number) + 1 != record.number);
    unreported.of_path.lost += u32::from(record.samples_loss);
}
