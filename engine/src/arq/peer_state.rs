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
//!
//! What follows is decided above: a session closes, and its client dials again. The way back from an outage of the path, which
//! costs neither end its state, is `kcp/outage.rs` (KCP-29).

use super::segment::{Command, Header};
use super::send_buffer::SendBuffer;
use crate::time::diff;

/// Segments whose content is remembered: a restarted process begins with these numbers.
const FIRST_SEGMENTS: usize = 64;

/// What is known of the peer's memory of the conversation.
#[derive(Debug, Default)]
pub(super) struct PeerState {
    /// First sn of this end: the una of a peer that has received nothing.
    snd_first: u32,
    /// First sn of the peer.
    rcv_first: u32,
    /// Clock at which snd_una moved last.
    una_moved_ms: u32,
    /// A window probe of [`super::Arq::probe_peer`] waits for its answer.
    probing: bool,
    /// KCP-23, KCP-28, KCP-31: the peer expects, or sends, segments again.
    pub(super) lost_state: bool,
    /// KCP-30: the peer confirms what was never sent.
    pub(super) goes_on: bool,
    beginning: Beginning,
}

impl PeerState {
    /// The sns with which both ends begin.
    pub(super) const fn set_first(&mut self, snd_first: u32, rcv_first: u32) {
        (self.snd_first, self.rcv_first) = (snd_first, rcv_first);
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

    /// snd_una moved.
    #[inline]
    pub(super) const fn una_moved(&mut self, now_ms: u32) {
        (self.una_moved_ms, self.probing) = (now_ms, false);
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

    /// KCP-23: a segment sent after una had reached snd_una cannot be acknowledged with a lower una, unless the peer started
    /// over. The answer to a probe shows the same when nothing is acknowledged, because everything in flight lies beyond the
    /// new window. A peer that started over never gets further than the first una, which tells its answers from overtaken ones.
    #[inline]
    fn returns_to_first(&self, header: &Header, command: Command, snd_una: u32) -> bool {
        if diff(header.una, snd_una) >= 0 || header.una != self.snd_first {
            return false;
        }
        match command {
            Command::Ack => diff(header.ts, self.una_moved_ms) > 0,
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
