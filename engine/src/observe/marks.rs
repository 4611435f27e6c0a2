//! Coverage marks: whether rare code paths were taken. A simulator that never takes a path does not test it.
//!
//! A mark is one bit, set where something rare happens. It influences nothing and is never cleared. The caller combines the
//! marks of its sessions ([`crate::Stats::marks`], [`crate::Server::marks`]).

use crate::terms;

/// A set of marks.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks(u64);

impl Marks {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// Records that this code path was taken.
    pub const fn hit(&mut self, mark: Mark) {
        self.0 |= 1 << mark as u32;
    }

    /// Records it if `happened`, without a branch.
    pub const fn hit_if(&mut self, mark: Mark, happened: bool) {
        self.0 |= (happened as u64) << mark as u32;
    }

    /// Whether this code path was taken.
    pub const fn has(self, mark: Mark) -> bool {
        self.0 >> mark as u32 & 1 == 1
    }

    /// The union.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The marks in the set, in order of definition.
    pub fn iter(self) -> impl Iterator<Item = Mark> {
        Mark::ALL.iter().copied().filter(move |&mark| self.has(mark))
    }
}

impl core::fmt::Debug for Marks {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

terms! {
    /// A rare path.
    #[non_exhaustive]
    pub enum Mark {
        FastRetransmit "fast retransmit" "A segment was retransmitted because enough later segments were acknowledged."
        EarlyRetransmit "early retransmit" "A segment was retransmitted because a later one was acknowledged and nothing new could be sent."
        Timeout "timeout" "A segment was retransmitted because its timeout expired."
        RtoBackoff "rto backoff" "A segment timed out again, so its timeout was backed off."
        RtoCeiling "rto ceiling" "The estimated round trip raised the timeout to its limit of 60 s."
        OutageOver "outage over" "After an outage, segments were retransmitted before their timeouts expired."
        DeadLink "dead link" "A segment was sent twenty times."
        RepeatedSegment "repeated segment" "A duplicate segment arrived."
        BeyondWindow "beyond window" "A segment beyond the receive window arrived."
        QueueFull "queue full" "The receive queue was full, so segments in order stayed in the reorder buffer."
        WindowClosed "window closed" "The peer announced a window of zero."
        WindowProbe "window probe" "A window probe was sent to the peer."
        WindowReopened "window reopened" "A reader emptied a full receive queue, and the new window was announced."
        CwndCollapse "congestion: timeout" "A timeout set the congestion window to one segment."
        CwndHalved "congestion: fast" "A fast or early retransmission halved the congestion window."
        ManyAcks "many acks" "Pending acknowledgements filled a datagram and were flushed before the timer."
        FlushInterrupted "flush interrupted" "A flush began before the previous one was polled to its end."
        MsWrap "ms wrap" "The millisecond clock wrapped during a measured round trip."
        SnWrap "sn wrap" "The sequence numbers wrapped."
        FecRecovery "fec recovery" "A lost datagram was rebuilt from parity."
        FecUnproven "fec unproven" "A rebuilt datagram was discarded because the peer's group shape was not yet confirmed."
        FecOtherShape "fec other shape" "Autotune found that the peer uses another group shape."
        ParityWithheld "parity withheld" "The parity of a group was not sent because a pause made it useless."
        ForeignParity "foreign parity" "Parity that may belong to an earlier session was dropped."
        ShardWrapOut "shard id wrap, out" "The shard numbers of the sender wrapped."
        ShardWrapIn "shard id wrap, in" "The shard numbers of the peer wrapped."
        Damaged "damaged datagram" "A datagram with a wrong checksum or tag was dropped."
        ForeignConv "foreign conversation" "A datagram with another conversation id was dropped."
        ConvReuse "conv reuse" "A session began with a conversation id already in use by another session."
        NoSession "no session" "A datagram from an unknown address could not start a session."
        SessionReplaced "session replaced" "A new session replaced the one at the same address."
        Migration "migration" "A session followed its peer to another address."
        MigrationWaits "migration waits" "A datagram from another address was used, but the session did not migrate with it."
        MigrationReplay "migration refused" "A datagram from another address carried nothing new, so its session did not migrate."
        LostState "peer lost state" "The peer lost the state of the conversation."
        PeerGoesOn "peer goes on" "The peer acknowledged data that was never sent: it continues a session whose state was lost here."
        Probe "probe" "A silent peer was probed."
        PeerTimeout "peer timeout" "The session ended because nothing arrived within the keepalive timeout."
        SessionRotated "session rotation" "A rotated session was closed after its last stream ended."
        Paced "rate limit" "The rate limit delayed datagrams."
        HeldDatagram "held datagram" "A datagram larger than the current batch was held for the next one."
        WindowStall "smux 2 window stall" "A writer was blocked by its stream's window."
        CreditStall "smux 1 credit stall" "A writer was blocked because its stream's credit was used up."
        BufferFull "smux buffer full" "Unread bytes filled the session's buffer, so reading from the ARQ stopped."
        HalfClose "half-close" "Bytes were written to a stream whose other direction had ended."
        LatePayload "late payload" "Bytes arrived for a stream that has no reader any more."
        Pause "pause" "The peer paused a stream."
        Resume "resume" "The peer resumed a paused stream."
        Credit "credit" "The peer reported how much of a smux 1 stream it has read."
        Stop "stop" "The peer reported that a stream has no reader any more."
        Reset "reset" "The peer reset a stream."
        StreamCut "stream cut" "A stream was reset because its stalled reader blocked the others."
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_has_a_bit_of_its_own() {
        assert!(Mark::ALL.len() <= 64);
        for &mark in Mark::ALL {
            let mut marks = Marks::NONE;
            marks.hit_if(mark, false);
            assert_eq!(marks, Marks::NONE);
            marks.hit(mark);
            assert_eq!(marks.iter().collect::<Vec<_>>(), [mark]);
        }
    }
}
