//! Signs that the peer lost its state, or goes on with a conversation that this end lost.
//!
//! The wire format has no handshake and no reset: a restarted peer shows only in numbers that cannot be. The rules here read
//! them from every datagram:
//!
//! | rule | sign |
//! |---|---|
//! | KCP-23 | an acknowledgement, or the answer to a probe, returns to the first una |
//! | KCP-28 | the peer still waits for the oldest segment in flight after it has acknowledged it |
//! | KCP-30 | the peer acknowledges segments that were never sent |
//! | KCP-31 | one of the first segments arrives again with other content |
//! | KCP-43 | the clock of the peer's data jumps |
//!
//! What follows is decided above: a session closes, and its client dials again. The way back from an outage of the path, which
//! costs neither end its state, is `kcp/outage.rs` (KCP-29).

use super::segment::{Command, Header};
use super::send_buffer::SendBuffer;
use crate::time::diff;

/// Segments whose content is remembered: a restarted process begins with these numbers.
const FIRST_SEGMENTS: usize = 64;

/// Most by which clock values of data differ from one datagram to the next, ms: 4.7 hours. A segment is not that old, and
/// no path is that slow.
const CLOCK_STEP_MAX: u32 = 1 << 24;

/// What is known of the peer's memory of the conversation.
#[derive(Debug, Default)]
pub(super) struct PeerState {
    /// First sn of this end: the una of a peer that has received nothing.
    snd_first: u32,
    /// First sn of the peer.
    rcv_first: u32,
    /// Clock at which snd_una moved last.
    una_moved_ms: u32,
    /// First sn that was not sent then.
    una_moved_nxt: u32,
    /// A window probe of [`super::Arq::probe_peer`] waits for its answer.
    probing: bool,
    /// KCP-23, KCP-28, KCP-31: the peer expects, or sends, segments again.
    pub(super) lost_state: bool,
    /// KCP-30: the peer confirms what was never sent.
    pub(super) goes_on: bool,
    beginning: Beginning,
    /// Clock value of the peer's data that arrived last.
    clock_ms: Option<u32>,
}

impl PeerState {
    /// The sns with which both ends begin.
    pub(super) const fn set_first(&mut self, snd_first: u32, rcv_first: u32) {
        (self.snd_first, self.rcv_first, self.una_moved_nxt) = (snd_first, rcv_first, snd_first);
    }

    /// First sn of the peer.
    pub(super) const fn rcv_first(&self) -> u32 {
        self.rcv_first
    }

    /// Whether `rcv_nxt` has moved since the beginning.
    #[inline]
    pub(super) const fn has_received(&self, rcv_nxt: u32) -> bool {
        rcv_nxt != self.rcv_first
    }

    /// The answer to the next window probe counts (KCP-23).
    pub(super) const fn probe_sent(&mut self) {
        self.probing = true;
    }

    /// snd_una moved, when `snd_nxt` was the first sn that was not sent.
    #[inline]
    pub(super) const fn una_moved(&mut self, now_ms: u32, snd_nxt: u32) {
        (self.una_moved_ms, self.una_moved_nxt, self.probing) = (now_ms, snd_nxt, false);
    }

    /// Reads the header of a segment that crossed the path, before its una takes effect.
    #[inline]
    pub(super) fn read(&mut self, header: &Header, command: Command, outgoing: &SendBuffer, rcv_nxt: u32) {
        self.lost_state |= self.returns_to_first(header, command, outgoing.una)
            || waits_for_acknowledged(header, command, outgoing);
        self.goes_on |= diff(header.una, outgoing.nxt) > 0 && !self.has_received(rcv_nxt);
    }

    /// KCP-31: compares the content of data that crossed the path with what came before under its number. A segment is never
    /// sent again with other content, but a restarted peer reuses the numbers for different data. Where both ends had
    /// confirmed no more than fits the new beginning, no number shows it, and the bytes of both would be taken for one stream.
    #[inline]
    pub(super) fn compare(&mut self, sn: u32, payload: &[u8]) {
        self.lost_state |= self.beginning.contradicts(sn.wrapping_sub(self.rcv_first), payload);
    }

    /// KCP-43: whether data was sent by another process than the data before, whose clock began at another value. Without
    /// this, what waits behind a gap would be joined to the bytes of the other process. The first segment is left out: it
    /// is also sent with clock values that serve to probe addresses (KCP-34).
    #[inline]
    pub(super) fn is_on_another_clock(&mut self, sn: u32, ts_ms: u32) -> bool {
        if sn == self.rcv_first {
            return false;
        }
        let before = self.clock_ms.replace(ts_ms);
        let jumps = before.is_some_and(|before| diff(ts_ms, before).unsigned_abs() > CLOCK_STEP_MAX);
        self.lost_state |= jumps;
        jumps
    }

    /// KCP-23: a segment sent after una had reached snd_una cannot be acknowledged with a lower una, unless the peer started
    /// over. The answer to a probe shows the same when nothing is acknowledged, because everything in flight lies beyond the
    /// new window. A peer that started over never gets further than the first una, which tells its answers from overtaken ones.
    #[inline]
    fn returns_to_first(&self, header: &Header, command: Command, snd_una: u32) -> bool {
        if diff(header.una, snd_una) >= 0 || header.una != self.snd_first {
            return false;
        }
        match command {
            // Within the same millisecond, only the sn shows which came first.
            Command::Ack => {
                diff(header.ts, self.una_moved_ms) > 0 || diff(header.sn, self.una_moved_nxt) >= 0
            }
            Command::Wins => self.probing,
            Command::Push | Command::Wask => false,
        }
    }
}

/// KCP-28: a peer with room in its window passes on what it has in order. When it acknowledges a segment sent after it had
/// acknowledged the oldest one in flight, and still waits for that one, it has lost it: it started over behind a gap that has
/// closed since, and this end would never send that segment again.
#[inline]
fn waits_for_acknowledged(header: &Header, command: Command, outgoing: &SendBuffer) -> bool {
    let oldest = outgoing.segments.front().filter(|oldest| oldest.acked);
    command == Command::Ack
        && header.una == outgoing.una
        && header.wnd > 0
        && oldest.is_some_and(|oldest| diff(header.ts, oldest.acked_ms) > 0)
}

/// Length and CRC-32 of the first segments, by their place.
#[derive(Debug, Default)]
struct Beginning(Vec<Option<(usize, u32)>>);

impl Beginning {
    /// Whether the segment at `place` came before with other content; remembers it if it is new.
    #[inline]
    fn contradicts(&mut self, place: u32, payload: &[u8]) -> bool {
        let place = place as usize;
        if place >= FIRST_SEGMENTS {
            return false;
        }
        if self.0.len() <= place {
            self.0.resize(place + 1, None);
        }
        let found = (payload.len(), crc32fast::hash(payload));
        *self.0[place].get_or_insert(found) != found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // KCP-43
    #[test]
    fn a_jump_of_the_clock_of_data_shows_another_process() {
        let mut peer = PeerState::default();
        peer.set_first(0, 7);
        for (sn, ts_ms, jumps) in
            [(9, 5, false), (7, 1 << 30, false), (8, u32::MAX - 60_000, false), (10, 9_000_000, false)]
        {
            assert_eq!(peer.is_on_another_clock(sn, ts_ms), jumps, "{sn}");
        }
        assert!(!peer.lost_state);
        assert!(peer.is_on_another_clock(11, 9_000_000 + CLOCK_STEP_MAX + 1) && peer.lost_state);
    }

    // KCP-31
    #[test]
    fn the_first_segments_keep_their_content() {
        let mut beginning = Beginning::default();
        assert!(!beginning.contradicts(3, b"abc") && !beginning.contradicts(0, b"abc"));
        assert!(!beginning.contradicts(3, b"abc"));
        assert!(beginning.contradicts(3, b"abd") && beginning.contradicts(0, b"ab"));
        assert!(!beginning.contradicts(64, b"abc") && !beginning.contradicts(64, b""));
    }
}
