//! Datagrams in: acknowledgements, data, window news (KCP-16 to KCP-20).

use super::rtt::RTO_MAX_MS;
use super::segment::{Command, Header, OVERHEAD};
use super::{Arq, Flush, Queued};
use crate::Generation;
use crate::observe::{Mark, Note};
use crate::time::{Instant, diff};

/// Acknowledgements kept while the socket takes none; the peer repeats what was not acknowledged.
pub const ACKS_MAX: usize = 1 << 16;

/// Where a KCP datagram came from. Only what really crossed the path just now tells about RTT and windows (KCP-19).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Received.
    Regular,
    /// Rebuilt from parity.
    Recovered,
}

/// Why a datagram was refused; segments before the bad one keep their effect (KCP-20).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// Shorter than one header, or of another conversation.
    #[error("short datagram or foreign conversation")]
    Conv,
    /// A segment's length runs past the end.
    #[error("truncated segment")]
    Truncated,
    /// Unknown command byte.
    #[error("unknown command")]
    Command,
}

/// What the segments of one datagram add up to.
#[derive(Default)]
struct Effects {
    sample_ts: Option<u32>,
    slides: bool,
    segments: u64,
    /// In flight until then.
    confirmed: u32,
}

impl Arq {
    /// Takes a datagram of KCP segments and starts the flush it calls for.
    ///
    /// # Errors
    /// The first malformed segment; see [`InputError`].
    pub fn input(
        &mut self,
        now: Instant,
        mut datagram: &[u8],
        source: Source,
        ack_nodelay: bool,
    ) -> Result<(), InputError> {
        if datagram.len() < OVERHEAD {
            return Err(InputError::Conv);
        }
        let una_before = self.snd_una;
        let mut effects = Effects::default();
        while let Some((header, rest)) = Header::parse(datagram) {
            if header.conv != self.conv {
                return Err(InputError::Conv);
            }
            let Some((payload, rest)) = rest.split_at_checked(header.len as usize) else {
                return Err(InputError::Truncated);
            };
            let Some(command) = header.command() else { return Err(InputError::Command) };
            self.segment_in(&header, command, payload, source, now, &mut effects);
            datagram = rest;
        }
        self.counters.in_segs += effects.segments;
        let mut rtt = None;
        if let (Some(ts), Source::Regular) = (effects.sample_ts, source) {
            let rtt_ms = diff(now.ms(), ts);
            if rtt_ms >= 0 && self.rtt.trusts(ts) {
                rtt = Some(rtt_ms as u32);
                self.rtt.sample(rtt_ms, self.interval_ms);
                self.notes.add(Note::Rtt { ms: rtt_ms as u32 });
                self.marks.hit_if(Mark::MsWrap, now.ms() < ts);
                self.marks.hit_if(Mark::RtoCeiling, self.rtt.rto_ms == RTO_MAX_MS);
            }
        }
        self.note_confirmed(now.ms(), effects.confirmed);
        if self.paced.is_some() {
            self.paced_after_input(now, rtt, ack_nodelay);
            return Ok(());
        }
        if !self.nc && diff(self.snd_una, una_before) > 0 {
            self.grow_cwnd();
        }
        self.flush_after_input(now, effects.slides, ack_nodelay);
        Ok(())
    }

    fn segment_in(
        &mut self,
        header: &Header,
        command: Command,
        payload: &[u8],
        source: Source,
        now: Instant,
        effects: &mut Effects,
    ) {
        if source == Source::Regular {
            self.rmt_wnd = u32::from(header.wnd);
            self.peer_lost_state |=
                self.shows_lost_state(header, command) || self.shows_lost_gap(header, command);
            self.peer_goes_on |= diff(header.una, self.snd_nxt) > 0 && !self.has_received();
        }
        if self.una_in(header.una, now, effects) {
            effects.slides = true;
            self.una_moved_ms = now.ms();
            self.probing = false;
        }
        effects.segments += 1;
        match command {
            Command::Ack => {
                let overtakes = self.ack_in(header.sn, header.ts, now, effects);
                effects.slides |= overtakes && self.generation == Generation::Go2026;
                effects.sample_ts = Some(header.ts);
            }
            Command::Push => {
                let new = self.push_in(header, payload);
                if source == Source::Regular {
                    let place = header.sn.wrapping_sub(self.rcv_first);
                    self.peer_lost_state |= self.beginning.contradicts(place, payload);
                }
                self.notes.add(Note::Received { sn: header.sn, new, rebuilt: source == Source::Recovered });
                if let Some(paced) = &mut self.paced {
                    paced.repeats.note(new);
                }
                if !new && source == Source::Regular {
                    self.counters.repeat_segs += 1;
                }
            }
            Command::Wask => self.tell_window = true,
            Command::Wins => {}
        }
    }

    /// KCP-23: what was sent after una had reached snd_una cannot be acknowledged with a lower una, unless the peer started
    /// over. The answer to a probe shows the same when nothing is acknowledged, because it lies beyond the new window. Who
    /// started over never gets further than the first una, which tells it from answers that were overtaken.
    fn shows_lost_state(&self, header: &Header, command: Command) -> bool {
        if diff(header.una, self.snd_una) >= 0 || header.una != self.snd_first {
            return false;
        }
        match command {
            Command::Ack => diff(header.ts, self.una_moved_ms) > 0,
            Command::Wins => self.probing,
            Command::Push | Command::Wask => false,
        }
    }

    /// KCP-28: a peer with room in its window passes on what it has in order. When it acknowledges what was sent after it had
    /// acknowledged the first segment in flight, and still waits for that one, it lost it: it started over behind a gap that
    /// has closed since, and this end would never send that segment again.
    fn shows_lost_gap(&self, header: &Header, command: Command) -> bool {
        let first = self.snd_buf.front().filter(|first| first.acked);
        command == Command::Ack
            && header.una == self.snd_una
            && header.wnd > 0
            && first.is_some_and(|first| diff(header.ts, first.acked_ms) > 0)
    }

    /// KCP-18: una alone moves the window.
    fn una_in(&mut self, una: u32, now: Instant, effects: &mut Effects) -> bool {
        let mut slides = false;
        while diff(una, self.snd_una) > 0 {
            let Some(segment) = self.snd_buf.pop_front() else { break };
            if !segment.acked {
                effects.confirmed += 1;
                self.notes.add(Note::Acked { sn: self.snd_una, by_una: true });
            }
            self.overtaken.pop();
            if let Some(paced) = &mut self.paced {
                paced.sent.pass(now);
            }
            self.recycle(segment.data);
            self.snd_una = self.snd_una.wrapping_add(1);
            slides = true;
        }
        slides
    }

    /// KCP-17: marks the segment and counts it against older ones. `true` when a fast retransmission may be due.
    fn ack_in(&mut self, sn: u32, ts: u32, now: Instant, effects: &mut Effects) -> bool {
        if diff(sn, self.snd_una) < 0 || diff(sn, self.snd_nxt) >= 0 {
            return false;
        }
        let index = sn.wrapping_sub(self.snd_una) as usize;
        if let Some(segment) = self.snd_buf.get_mut(index) {
            if !std::mem::replace(&mut segment.acked, true) {
                segment.acked_ms = now.ms();
                effects.confirmed += 1;
                self.notes.add(Note::Acked { sn, by_una: false });
            }
            let data = std::mem::take(&mut segment.data);
            self.recycle(data);
        }
        if let Some(paced) = &mut self.paced {
            paced.sent.acked(index, ts, now);
            return false;
        }
        if self.notes.are_kept() {
            self.note_passed(sn, index, ts);
        }
        let overtaking = self.overtaken.overtake(index, ts, self.resend);
        self.suspects |= overtaking.any;
        overtaking.limit
    }

    fn note_passed(&mut self, by: u32, older: usize, ts: u32) {
        for (place, _) in self.snd_buf.iter().take(older).enumerate().filter(|(_, segment)| !segment.acked) {
            if self.overtaken.is_passed(place, ts) {
                self.notes.add(Note::Passed { sn: self.snd_una.wrapping_add(place as u32), by });
            }
        }
    }

    /// KCP-16: acknowledges and stores what lies in the window. `false` for what is not new.
    fn push_in(&mut self, header: &Header, payload: &[u8]) -> bool {
        if self.push_ts_top.is_none_or(|top| diff(header.ts, top) > 0) {
            self.push_ts_top = Some(header.ts);
        }
        let offset = diff(header.sn, self.rcv_nxt);
        if diff(header.sn, self.rcv_nxt.wrapping_add(self.rcv_wnd)) >= 0 {
            self.marks.hit(Mark::BeyondWindow);
            return false;
        }
        if self.acks.len() < ACKS_MAX {
            self.acks.push_back((header.sn, header.ts));
        }
        let Ok(index) = usize::try_from(offset) else { return false };
        if index >= self.rcv_buf.len() {
            self.rcv_buf.resize_with(index + 1, || None);
        }
        if diff(header.sn, self.rcv_top) >= 0 {
            self.rcv_top = header.sn.wrapping_add(1);
        }
        let new = self.rcv_buf[index].is_none();
        if new {
            let data = self.buffer_with(payload);
            self.rcv_buf[index] = Some(Queued { frg: header.frg, data });
            self.rcv_buf_len += 1;
        }
        self.move_in_order();
        new
    }

    /// KCP-13: slow start and congestion avoidance, once per datagram.
    fn grow_cwnd(&mut self) {
        if self.cwnd >= self.rmt_wnd {
            return;
        }
        let mss = self.mss() as u32;
        if self.cwnd < self.ssthresh {
            self.cwnd += 1;
            self.incr = self.incr.wrapping_add(mss);
        } else {
            self.incr = self.incr.max(mss);
            self.incr = self.incr.wrapping_add(mss.wrapping_mul(mss) / self.incr + mss / 16);
            if (self.cwnd + 1).wrapping_mul(mss) <= self.incr {
                self.cwnd = self.incr.wrapping_add(mss - 1) / mss;
            }
        }
        if self.cwnd > self.rmt_wnd {
            self.cwnd = self.rmt_wnd;
            self.incr = self.rmt_wnd.wrapping_mul(mss);
        }
    }

    /// KCP-20: progress flushes everything at once, many acknowledgements flush themselves.
    fn flush_after_input(&mut self, now: Instant, slides: bool, ack_nodelay: bool) {
        let many_acks = self.generation == Generation::Go2026 && self.acks.len() >= self.mtu / OVERHEAD;
        self.marks.hit_if(Mark::ManyAcks, many_acks);
        if slides {
            self.flush(now, Flush::Full);
        } else if many_acks || (ack_nodelay && !self.acks.is_empty()) {
            self.flush(now, Flush::AckOnly);
        }
    }
}
