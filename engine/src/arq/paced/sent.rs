//! What was sent and what became of it: delivery rate, loss by time.
//!
//! A segment is lost when one that was sent later was acknowledged and a round trip has passed, plus a little for those
//! that overtake each other: RACK (RFC 8985). That also finds lost retransmissions, and what acknowledgements pass does
//! not matter, since the echoed ts names the transmission that arrived.

use crate::congestion::{Load, RateSample, Tally};
use crate::time::{Instant, diff};
use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};

/// Largest share of the shortest round trip that what overtakes is given, quarters.
const REORDER_QUARTERS_MAX: u64 = 8;

/// Acknowledged segments without a wrong judgement after which the time for what overtakes shrinks again.
const REORDER_MEMORY_SEGMENTS: u32 = 4_096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Flying,
    Lost,
    Arrived,
}

/// The last transmission of a segment.
#[derive(Clone, Copy, Debug)]
struct Record {
    fate: Fate,
    load: Load,
    app_limited: bool,
    again: bool,
    bytes: u32,
    ts: u32,
    number: u64,
    sent_at: Instant,
    first_sent_at: Instant,
    delivered_bytes: u64,
    delivered_at: Instant,
}

/// All segments from una on, all of them sent.
#[derive(Debug, Default)]
pub(in crate::arq) struct Sent {
    /// Segments that una has passed.
    passed: u64,
    records: VecDeque<Record>,
    /// Transmissions in order: place of the segment, and number of the transmission.
    log: VecDeque<(u64, u64)>,
    lost: BTreeSet<u64>,
    numbers: u64,
    in_flight_bytes: u64,
    delivered_bytes: u64,
    delivered_at: Instant,
    first_sent_at: Instant,
    /// Until that much is delivered samples are of a sender that had nothing to send.
    app_limited_until: u64,
    /// When the latest transmission was sent that is known to have arrived, and its round trip.
    arrived_sent_at: Instant,
    arrived_rtt_us: u64,
    min_rtt_us: u64,
    reorder_quarters: u64,
    /// What was sent before tells nothing about time (KCP-25).
    trust_from: Instant,
    trusted_segments: u32,
    pub(in crate::arq) overdue_at: Option<Instant>,
    pub(in crate::arq) news: News,
}

/// What became known since the last report.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::arq) struct News {
    pub(in crate::arq) tallies: [Tally; 3],
    pub(in crate::arq) delivered_bytes: u64,
    pub(in crate::arq) rtt_us: Option<u64>,
    /// Of the newest transmission that arrived: its record.
    newest: Option<Record>,
    /// Something was taken for lost that was only late.
    pub(in crate::arq) spurious: bool,
}

impl News {
    pub(in crate::arq) fn is_empty(&self) -> bool {
        self.tallies.iter().all(|tally| tally.total() == 0)
    }
}

impl Sent {
    pub(in crate::arq) fn len(&self) -> usize {
        self.records.len()
    }

    pub(in crate::arq) fn in_flight_bytes(&self) -> u64 {
        self.in_flight_bytes
    }

    pub(in crate::arq) fn delivered_bytes(&self) -> u64 {
        self.delivered_bytes
    }

    /// The first segment that is taken for lost and was not sent again, as an index from una on.
    pub(in crate::arq) fn first_lost(&self) -> Option<usize> {
        self.lost.first().map(|place| (place - self.passed) as usize)
    }

    /// The newest segment that has not arrived.
    pub(in crate::arq) fn newest_flying(&self) -> Option<usize> {
        self.records.iter().rposition(|record| record.fate != Fate::Arrived)
    }

    /// Segments from the newest on that are in flight, as indices: those that small datagrams carry along.
    pub(in crate::arq) fn flying_newest(&self) -> impl Iterator<Item = usize> {
        let flying = self.records.iter().enumerate().rev().take(16);
        flying.filter(|(_, record)| record.fate == Fate::Flying).map(|(index, _)| index)
    }

    /// Time since the last transmission of a segment.
    pub(in crate::arq) fn age(&self, index: usize, now: Instant) -> Duration {
        self.records.get(index).map_or(Duration::ZERO, |record| now.since(record.sent_at))
    }

    /// The segment at `index` leaves; the next one behind all if it was not sent before.
    pub(in crate::arq) fn sent(&mut self, index: usize, now: Instant, bytes: usize, load: Load) {
        if self.in_flight_bytes == 0 {
            (self.first_sent_at, self.delivered_at) = (now, now);
        }
        self.numbers += 1;
        let record = Record {
            fate: Fate::Flying,
            load,
            app_limited: self.app_limited_until > self.delivered_bytes,
            again: index < self.records.len(),
            bytes: bytes as u32,
            ts: now.ms(),
            number: self.numbers,
            sent_at: now,
            first_sent_at: self.first_sent_at,
            delivered_bytes: self.delivered_bytes,
            delivered_at: self.delivered_at,
        };
        let place = self.passed + index as u64;
        match self.records.get_mut(index) {
            Some(before) => {
                if before.fate != Fate::Flying {
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
        self.log.push_back((place, self.numbers));
    }

    /// KCP-25: this end stood still, or its clock jumped.
    pub(in crate::arq) fn distrust_before(&mut self, now: Instant) {
        self.trust_from = now;
    }

    /// There is nothing to send although the window has room.
    pub(in crate::arq) fn ran_dry(&mut self) {
        self.app_limited_until = self.delivered_bytes + self.in_flight_bytes.max(1);
    }

    /// una passed the first segment. Which transmission arrived is known if there was only one.
    pub(in crate::arq) fn pass(&mut self, now: Instant) {
        let Some(record) = self.records.front().copied() else { return };
        if record.fate != Fate::Arrived {
            let sent_at = (!record.again).then_some(record.sent_at);
            self.arrived(0, sent_at, !record.again, now);
        }
        self.records.pop_front();
        self.passed += 1;
    }

    /// The segment at `index` arrived as it was sent at `ts`.
    pub(in crate::arq) fn acked(&mut self, index: usize, ts: u32, now: Instant) {
        let Some(record) = self.records.get(index).copied() else { return };
        if record.fate == Fate::Arrived {
            return;
        }
        let sent_at = if record.ts == ts {
            record.sent_at
        } else {
            let age_ms = diff(now.ms(), ts).max(0) as u64;
            Instant::from_micros(now.as_micros().saturating_sub(age_ms * 1_000))
        };
        self.news.spurious |= (record.again || record.fate == Fate::Lost) && diff(ts, record.ts) < 0;
        self.arrived(index, Some(sent_at), record.ts == ts, now);
        if diff(ts, record.ts) > 0 {
            // A copy came instead.
            let tally = &mut self.news.tallies[record.load as usize];
            (tally.delivered, tally.lost) = (tally.delivered - 1, tally.lost + 1);
        }
    }

    /// A round trip that was measured.
    pub(in crate::arq) fn sample_rtt(&mut self, rtt_us: u64) {
        self.news.rtt_us = Some(self.news.rtt_us.map_or(rtt_us, |shortest| shortest.min(rtt_us)));
        if self.min_rtt_us == 0 || rtt_us < self.min_rtt_us {
            self.min_rtt_us = rtt_us;
        }
    }

    /// `by_last` when it was the last transmission that arrived: only then its record tells a rate.
    fn arrived(&mut self, index: usize, sent_at: Option<Instant>, by_last: bool, now: Instant) {
        let place = self.passed + index as u64;
        let record = &mut self.records[index];
        match record.fate {
            Fate::Flying => self.in_flight_bytes -= u64::from(record.bytes),
            Fate::Lost => {
                self.lost.remove(&place);
            }
            Fate::Arrived => return,
        }
        record.fate = Fate::Arrived;
        self.delivered_bytes += u64::from(record.bytes);
        self.delivered_at = now;
        self.news.delivered_bytes += u64::from(record.bytes);
        self.news.tallies[record.load as usize].delivered += 1;
        if by_last
            && record.sent_at >= self.trust_from
            && self.news.newest.is_none_or(|newest| record.number > newest.number)
        {
            self.news.newest = Some(*record);
        }
        let Some(sent_at) = sent_at.filter(|at| *at >= self.trust_from) else { return };
        let rtt_us = now.since(sent_at).as_micros() as u64;
        self.sample_rtt(rtt_us);
        if sent_at >= self.arrived_sent_at {
            (self.arrived_sent_at, self.arrived_rtt_us) = (sent_at, rtt_us);
        }
    }

    /// Everything of a datagram was taken in: who is overdue is lost.
    pub(in crate::arq) fn judge(&mut self, now: Instant) {
        self.adapt_reordering();
        self.overdue_at = None;
        let wait = Duration::from_micros(self.arrived_rtt_us + self.reorder_us());
        while let Some(&(place, number)) = self.log.front() {
            let index = place.checked_sub(self.passed).map(|index| index as usize);
            let record = index.and_then(|index| self.records.get_mut(index));
            let flies = |record: &&mut Record| record.number == number && record.fate == Fate::Flying;
            let Some(record) = record.filter(flies) else {
                self.log.pop_front();
                continue;
            };
            if record.sent_at >= self.arrived_sent_at {
                return;
            }
            let due = record.sent_at + wait;
            if now < due {
                self.overdue_at = Some(due);
                return;
            }
            lose(record, &mut self.news, &mut self.in_flight_bytes);
            self.lost.insert(place);
            self.log.pop_front();
        }
    }

    /// Nothing was heard for long: all that flies is lost.
    pub(in crate::arq) fn lose_all(&mut self) {
        for (index, record) in self.records.iter_mut().enumerate() {
            if record.fate == Fate::Flying {
                lose(record, &mut self.news, &mut self.in_flight_bytes);
                self.lost.insert(self.passed + index as u64);
            }
        }
        self.log.clear();
        self.overdue_at = None;
    }

    /// The rate that the newest arrival tells (draft-cheng-iccrg-delivery-rate-estimation, section 3.3).
    pub(in crate::arq) fn take_rate(&mut self) -> Option<RateSample> {
        let record = self.news.newest.take()?;
        self.first_sent_at = self.first_sent_at.max(record.sent_at);
        let sending = record.sent_at.since(record.first_sent_at);
        let arriving = self.delivered_at.since(record.delivered_at);
        let elapsed_us = sending.max(arriving).as_micros() as u64;
        let bytes = self.delivered_bytes - record.delivered_bytes;
        let bytes_s = (bytes * 1_000_000).checked_div(elapsed_us)?;
        // What took less than the shortest round trip was acknowledged in a burst.
        let long_enough = elapsed_us >= self.min_rtt_us;
        Some(RateSample {
            bytes_s: if long_enough { bytes_s } else { 0 },
            delivered_before: record.delivered_bytes,
            sent_at: record.sent_at,
            app_limited: record.app_limited,
        })
    }

    /// RFC 8985, section 6.2 step 4: a wrong judgement gives more time, a long time without one takes it back.
    fn adapt_reordering(&mut self) {
        if std::mem::take(&mut self.news.spurious) {
            self.reorder_quarters = (self.reorder_quarters + 1).min(REORDER_QUARTERS_MAX);
            self.trusted_segments = 0;
        } else {
            self.trusted_segments += self.news.tallies.iter().map(|tally| tally.delivered).sum::<u32>();
            if self.trusted_segments > REORDER_MEMORY_SEGMENTS {
                self.reorder_quarters = self.reorder_quarters.saturating_sub(1);
                self.trusted_segments = 0;
            }
        }
    }

    /// Time that what was overtaken is given: an eighth of the round trip, and at least what receivers collect
    /// acknowledgements for.
    fn reorder_us(&self) -> u64 {
        (self.min_rtt_us / 8).max(6_000) + self.reorder_quarters * self.min_rtt_us.max(8_000) / 4
    }
}

fn lose(record: &mut Record, news: &mut News, in_flight_bytes: &mut u64) {
    record.fate = Fate::Lost;
    *in_flight_bytes -= u64::from(record.bytes);
    news.tallies[record.load as usize].lost += 1;
}
