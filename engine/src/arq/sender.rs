//! The two senders of a conversation: the reference, and the paced one under a controller.

use super::conversation::{Conversation, Flush, State};
use super::datagram::Datagram;
use super::kcp::KcpSender;
use super::paced::PacedSender;
use super::progress::Progress;
use crate::time::Instant;

/// Decides which segments leave, and when. One per conversation, chosen before its first segment.
#[derive(Debug)]
pub(super) enum Sender {
    /// kcp-go's windows, flushes and timeouts, byte for byte.
    Kcp(KcpSender),
    /// Paced under a congestion controller ([`crate::congestion`]).
    Paced(Box<PacedSender>),
}

impl Sender {
    /// See [`super::Arq::flush`].
    #[inline]
    pub(super) fn flush(&mut self, core: &mut Conversation, now: Instant, kind: Flush) {
        match self {
            Self::Kcp(kcp) => kcp.flush(core, now, kind),
            Self::Paced(paced) => paced.flush(core, now, kind),
        }
    }

    /// See [`super::Arq::poll_transmit`].
    #[inline]
    pub(super) fn write(&mut self, core: &mut Conversation, now: Instant, datagram: &mut Datagram<'_>) {
        match self {
            Self::Kcp(kcp) => kcp.write(core, now, datagram),
            Self::Paced(paced) => paced.write(core, now, datagram),
        }
    }

    /// The first sn that was never sent.
    #[inline]
    pub(super) const fn sent_end(&self, core: &Conversation) -> u32 {
        match self {
            Self::Kcp(kcp) => kcp.unsent_sn(),
            Self::Paced(_) => core.outgoing.nxt,
        }
    }

    /// una passed the oldest segment in flight.
    #[inline]
    pub(super) fn una_passed(&mut self, now: Instant) {
        match self {
            Self::Kcp(kcp) => kcp.overtaken.pop(),
            Self::Paced(paced) => paced.sent.pass(now),
        }
    }

    /// The segment at `index`, sent at `ts`, was acknowledged. `true` when a fast retransmission may be due.
    #[inline]
    pub(super) fn acknowledged(
        &mut self,
        core: &mut Conversation,
        index: usize,
        ts: u32,
        now: Instant,
    ) -> bool {
        match self {
            Self::Kcp(kcp) => kcp.acknowledged(core, index, ts),
            Self::Paced(paced) => {
                paced.sent.acked(index, ts, now);
                false
            }
        }
    }

    /// A datagram was taken in.
    #[inline]
    pub(super) fn after_input(&mut self, core: &mut Conversation, now: Instant, progress: &Progress) {
        match self {
            Self::Kcp(kcp) => kcp.after_input(core, now, progress),
            Self::Paced(paced) => paced.after_input(core, now, progress),
        }
    }

    /// The peer was heard again after a silence (KCP-29).
    pub(super) fn peer_is_back(&mut self, core: &mut Conversation, now: Instant) {
        match self {
            Self::Kcp(kcp) => kcp.peer_is_back(core, now),
            Self::Paced(paced) => paced.peer_is_back(),
        }
    }

    /// Adds the sender's own numbers to the state.
    pub(super) fn add_to(&self, state: State) -> State {
        match self {
            Self::Kcp(kcp) => kcp.cwnd.add_to(state),
            Self::Paced(_) => state,
        }
    }

    /// Asserts what must hold between two calls, in constant time.
    pub(super) fn check_invariants(&self, core: &Conversation) {
        match self {
            Self::Kcp(kcp) => kcp.check_invariants(core),
            Self::Paced(paced) => paced.check_invariants(core),
        }
    }
}
