//! Proof that the peer receives what this end sends: it acknowledges a transmission that only it can know (KCP-34).
//!
//! An ACK echoes the clock value of the segment that it acknowledges. With a secret offset on that clock, an acknowledgement
//! that was recorded in an earlier session echoes a value that this session never sent.

use super::segment::{Command, Header};
use super::send_buffer::SendBuffer;
use crate::time::diff;

/// Clock values remembered until one is acknowledged.
const SENT_MAX: usize = 64;

/// Longest first segment that is kept to probe addresses with, payload bytes.
const FIRST_BYTES_MAX: usize = 128;

/// Path probes carry a clock value this far ahead of the clock, so that no other transmission has it; ms. Their random part
/// is smaller.
const AHEAD_MS: u32 = 1 << 30;
const AHEAD_RANDOM_MS: u32 = (1 << 28) - 1;

/// What has to be acknowledged before the peer's address counts as validated.
#[derive(Debug, Default)]
pub(super) struct Validation {
    /// Added to the clock in every transmission.
    pub(super) offset_ms: u32,
    /// Clock values sent so far; `None` once one was acknowledged, and at an end that validates nothing.
    sent: Option<Vec<u32>>,
    /// Number of the first segment, and its content.
    first_sn: u32,
    first: Option<Vec<u8>>,
    /// The clock value of a path probe that was acknowledged.
    answer: Option<u32>,
    /// Answers are recognized.
    active: bool,
    /// A path probe was sent, and may have been the first transmission.
    probed: bool,
}

impl Validation {
    /// Starts to wait for the acknowledgement of a transmission.
    pub(super) fn require(&mut self, offset_ms: u32, first_sn: u32) {
        *self = Self { offset_ms, sent: Some(Vec::new()), first_sn, active: true, ..Self::default() };
    }

    pub(super) const fn is_done(&self) -> bool {
        self.sent.is_none()
    }

    /// The peer proved it by other means.
    pub(super) fn finish(&mut self) {
        self.sent = None;
    }

    /// A data segment is transmitted at clock `ts_ms`.
    #[inline]
    pub(super) fn note_sent(&mut self, sn: u32, ts_ms: u32, payload: &[u8]) {
        let Some(sent) = &mut self.sent else { return };
        if sent.last() != Some(&ts_ms) {
            if sent.len() == SENT_MAX {
                let mut keep = false;
                sent.retain(|_| {
                    keep = !keep;
                    keep
                });
            }
            sent.push(ts_ms);
        }
        if sn == self.first_sn && self.first.is_none() && payload.len() <= FIRST_BYTES_MAX {
            self.first = Some(payload.to_vec());
        }
    }

    /// An acknowledgement that crossed the path. `true` if it answers a path probe, and means nothing else.
    #[inline]
    pub(super) fn acknowledged(&mut self, sn: u32, ts_ms: u32, now_ms: u32) -> bool {
        if !self.active {
            return false;
        }
        if self.is_answer(sn, ts_ms, now_ms) {
            self.answer = Some(ts_ms);
            return true;
        }
        if self.sent.as_ref().is_some_and(|sent| sent.contains(&ts_ms)) {
            self.sent = None;
        }
        false
    }

    fn is_answer(&self, sn: u32, ts_ms: u32, now_ms: u32) -> bool {
        sn == self.first_sn && diff(ts_ms, now_ms) > (AHEAD_MS / 2) as i32
    }

    /// The answer to a path probe that arrived last, once.
    pub(super) fn take_answer(&mut self) -> Option<u32> {
        self.answer.take()
    }

    /// The answer to a path probe among the segments of a datagram; `sent_end` is the first sn that was not sent. A peer that
    /// goes on with an earlier session, and acknowledges more, answers nothing (KCP-30).
    pub(super) fn find_answer(
        &self,
        conv: u32,
        sent_end: u32,
        mut datagram: &[u8],
        now_ms: u32,
    ) -> Option<u32> {
        while let Some((header, rest)) = Header::parse(datagram) {
            let ts_ms = header.ts.wrapping_sub(self.offset_ms);
            if header.conv != conv || diff(header.una, sent_end) > 0 {
                return None;
            }
            if header.command() == Some(Command::Ack) && self.is_answer(header.sn, ts_ms, now_ms) {
                return Some(ts_ms);
            }
            datagram = rest.get(header.len as usize..)?;
        }
        None
    }

    /// The first segment, which every peer acknowledges when it arrives once more, and ignores otherwise; `None` before it has
    /// its number. `outgoing` has it until it is acknowledged.
    pub(super) fn first<'a>(&'a self, outgoing: &'a SendBuffer) -> Option<(u32, &'a [u8])> {
        let in_flight = || outgoing.segments.front().filter(|_| outgoing.una == self.first_sn);
        let first = self.first.as_deref().or_else(|| in_flight().map(|segment| segment.data.as_slice()));
        first.filter(|first| (1..=FIRST_BYTES_MAX).contains(&first.len())).map(|first| (self.first_sn, first))
    }

    /// A path probe was sent, with the `first` segment, which is needed for further ones once it is acknowledged.
    pub(super) fn note_probe(&mut self, first: Vec<u8>) {
        self.probed = true;
        self.first = Some(first);
    }

    /// Whether the peer knows the segment `unsent_sn`, the first that was not sent, from a path probe.
    #[inline]
    pub(super) const fn probed_unsent(&self, unsent_sn: u32) -> bool {
        self.probed && unsent_sn == self.first_sn
    }

    /// The clock value of a path probe.
    pub(super) const fn token(now_ms: u32, random: u32) -> u32 {
        now_ms.wrapping_add(AHEAD_MS).wrapping_add(random & AHEAD_RANDOM_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // KCP-34
    #[test]
    fn only_a_clock_value_that_was_sent_validates() {
        let mut validation = Validation::default();
        validation.require(7, 0);
        validation.note_sent(0, 100, b"first");
        assert!(!validation.acknowledged(0, 99, 150) && !validation.is_done());
        assert!(!validation.acknowledged(5, 100, 150) && validation.is_done());
    }

    // KCP-34
    #[test]
    fn many_transmissions_are_remembered_in_part_from_first_to_last() {
        let mut validation = Validation::default();
        validation.require(0, 0);
        (0..1_000).for_each(|ts| validation.note_sent(ts, ts, b""));
        let sent = validation.sent.as_ref().unwrap();
        assert!(sent.len() <= SENT_MAX && sent.contains(&0) && sent.contains(&999));
    }

    // KCP-24
    #[test]
    fn an_answer_to_a_path_probe_is_nothing_else() {
        let mut validation = Validation::default();
        validation.require(0, 3);
        let none = SendBuffer::new();
        assert_eq!(validation.first(&none), None);
        validation.note_sent(3, 5, b"first");
        assert_eq!(validation.first(&none), Some((3, &b"first"[..])));
        let ts = Validation::token(u32::MAX - 2, 77);
        assert!(validation.acknowledged(3, ts, 40) && !validation.is_done());
        assert_eq!((validation.take_answer(), validation.take_answer()), (Some(ts), None));
    }
}
