//! Rare paths of the engine, and whether they were taken: a simulator that never takes one tests nothing there.
//!
//! A mark is one bit that is set where something rare happens. It decides nothing and is never cleared; whoever runs
//! sessions adds theirs up ([`crate::Stats::marks`], [`crate::Endpoint::marks`]).

/// Which marks were hit.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks(u64);

impl Marks {
    /// None.
    pub const NONE: Self = Self(0);

    /// Notes that the engine was there.
    pub const fn hit(&mut self, mark: Mark) {
        self.0 |= 1 << mark as u32;
    }

    /// As [`Marks::hit`], if `happened`.
    pub const fn hit_if(&mut self, mark: Mark, happened: bool) {
        self.0 |= (happened as u64) << mark as u32;
    }

    /// Whether the engine was there.
    pub const fn has(self, mark: Mark) -> bool {
        self.0 >> mark as u32 & 1 == 1
    }

    /// Those of either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that were hit.
    pub fn iter(self) -> impl Iterator<Item = Mark> {
        Mark::ALL.iter().copied().filter(move |&mark| self.has(mark))
    }
}

impl core::fmt::Debug for Marks {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

macro_rules! marks {
    ($($mark:ident $name:literal $meaning:literal)*) => {
        /// A rare path.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Mark {
            $(#[doc = $meaning] $mark,)*
        }

        impl Mark {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$mark,)*];

            /// A short name, unique.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$mark => $name,)* }
            }

            /// What happened, in one sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$mark => $meaning,)* }
            }
        }
    };
}

marks! {
    FastRetransmit "fast retransmit" "Enough later segments were acknowledged, so one was sent again."
    EarlyRetransmit "early retransmit" "A later segment was acknowledged and nothing new could be sent, so one was sent again."
    Timeout "timeout" "A segment was not acknowledged in time and was sent again."
    RtoBackoff "rto backoff" "A segment timed out for the second time, so its next timeout was longer."
    RtoCeiling "rto ceiling" "The round trip seemed so long that the timeout reached its limit of 60 s."
    OutageOver "outage over" "After an outage segments were sent again before their timeouts ended."
    DeadLink "dead link" "A segment was sent twenty times."
    RepeatedSegment "repeated segment" "A segment arrived that was there already."
    BeyondWindow "beyond window" "A segment arrived that lies beyond the receive window."
    QueueFull "queue full" "The receive queue was full, so segments in order had to wait behind it."
    WindowClosed "window closed" "The peer announced that it has no room."
    WindowProbe "window probe" "The peer was asked whether it has room again."
    WindowReopened "window reopened" "A reader made room in a full queue, which the peer was told."
    CwndCollapse "congestion: timeout" "A timeout set the congestion window to one segment."
    CwndHalved "congestion: fast" "A fast or early retransmission halved the congestion window."
    ManyAcks "many acks" "Acknowledgements filled a datagram and did not wait for the timer."
    FlushInterrupted "flush interrupted" "A flush began while the one before had not been polled to its end."
    MsWrap "ms wrap" "A round trip began before the millisecond clock wrapped and ended after it."
    SnWrap "sn wrap" "The segment numbers wrapped."
    FecRecovery "fec recovery" "A lost datagram was rebuilt from parity."
    FecUnproven "fec unproven" "Something was rebuilt before the shape of the peer's groups was known for sure, and not used."
    FecOtherShape "fec other shape" "The peer was found to use groups of another shape."
    ParityWithheld "parity withheld" "A pause made the parity of a group worthless, so it was not sent."
    ForeignParity "foreign parity" "Parity that may belong to an earlier session was dropped."
    ShardWrapOut "shard id wrap, out" "The numbers of the shards that are sent wrapped."
    ShardWrapIn "shard id wrap, in" "The numbers of the shards that arrive wrapped."
    Damaged "damaged datagram" "A datagram with a wrong checksum or tag was dropped."
    ForeignConv "foreign conversation" "A datagram of another conversation than the session's was dropped."
    ConvReuse "conv reuse" "A session began with a conversation id that another session has."
    NoSession "no session" "A datagram came from nowhere known and could not start a session."
    SessionReplaced "session replaced" "A new session began at the address of another, which ended."
    Migration "migration" "A session followed its peer to another address."
    MigrationTooSoon "migration too soon" "A session that had moved just before did not move again."
    MigrationReplay "migration refused" "A datagram from another address that was nothing new did not move its session."
    LostState "peer lost state" "The peer turned out to have forgotten the conversation."
    PeerGoesOn "peer goes on" "The peer of a new session confirmed what was never sent: it goes on with one that was lost here."
    Probe "probe" "A silent peer was asked whether it is there."
    PeerTimeout "peer timeout" "Nothing was heard from the peer for its keepalive timeout, so the session ended."
    SessionRotated "session rotation" "A session whose streams were over was closed for a newer one."
    Paced "rate limit" "The rate limit held datagrams back."
    HeldDatagram "held datagram" "A datagram that is longer than the run before it waited for the next one."
    WindowStall "smux 2 window stall" "A writer found the window of its stream full."
    CreditStall "smux 1 credit stall" "A writer found the credit of its stream used up."
    BufferFull "smux buffer full" "Unread bytes filled the session's buffer, so that nothing more was taken in."
    HalfClose "half-close" "Bytes were written to a stream whose other direction had ended."
    LatePayload "late payload" "Bytes arrived for a stream that nobody reads any more."
    Pause "pause" "The peer asked to pause a stream."
    Resume "resume" "The peer asked to go on with a paused stream."
    Credit "credit" "The peer told how much it read of a stream of smux 1."
    Stop "stop" "The peer told that nobody reads a stream any more."
    StreamCut "stream cut" "A stream whose reader stopped was given up for the others."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_told_apart_and_have_names_of_their_own() {
        assert!(Mark::ALL.len() <= 64);
        for (n, &mark) in Mark::ALL.iter().enumerate() {
            let mut marks = Marks::NONE;
            marks.hit_if(mark, false);
            assert_eq!(marks, Marks::NONE);
            marks.hit(mark);
            assert_eq!(marks.iter().collect::<Vec<_>>(), [mark]);
            assert!(Mark::ALL[..n].iter().all(|other| other.name() != mark.name() && !marks.has(*other)));
            assert!(mark.meaning().ends_with('.'));
        }
    }
}
