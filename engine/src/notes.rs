//! What the engine did and why, one by one, for tools that explain a run. Counters say how often, notes say when and to
//! which segment. Nothing is kept unless somebody asked for it ([`crate::Tunnel::keep_notes`]).

use crate::arq::Source;
use std::collections::VecDeque;

/// Notes kept at most; more of them push the oldest out.
const NOTES_MAX: usize = 1 << 16;

/// Why a data segment is sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is its first time.
    First,
    /// So many acknowledgements of later segments passed it, at least as many as `resend` asks for.
    Fast {
        /// How many.
        passed: u32,
    },
    /// Acknowledgements of later segments passed it, and nothing new may be sent.
    Early {
        /// How many.
        passed: u32,
    },
    /// No acknowledgement came in time.
    Timeout {
        /// The time that it had.
        rto_ms: u32,
    },
    /// One that was sent later was acknowledged, and it had its time (paced senders).
    Overdue,
    /// Nothing was heard since the last one was sent (paced senders).
    Tail,
    /// A small datagram that leaves anyway has room for it (paced senders).
    Along,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// A data segment was written into a datagram. One note for each, in the order in which they leave.
    Sent {
        /// Its number.
        sn: u32,
        /// Why.
        cause: Cause,
        /// How often it was sent, this time included.
        xmit: u32,
        /// After what time it is sent again.
        rto_ms: u32,
    },
    /// The acknowledgement of a segment that was sent later came first.
    Passed {
        /// What was passed.
        sn: u32,
        /// What the acknowledgement was for.
        by: u32,
    },
    /// For the first time the peer says that it has a segment: by its own acknowledgement, or with all before una.
    Acked {
        /// Its number.
        sn: u32,
        /// It was una that said so.
        by_una: bool,
    },
    /// A round trip was measured.
    Rtt {
        /// How long it took.
        ms: u32,
    },
    /// A data segment arrived.
    Received {
        /// Its number.
        sn: u32,
        /// It lies in the window and was not there.
        new: bool,
        /// In a datagram, or rebuilt.
        source: Source,
    },
    /// Everything up to this segment has arrived; it goes up to the multiplexer.
    InOrder {
        /// Its number.
        sn: u32,
    },
    /// This parity shard is used for what is rebuilt next.
    UsedParity {
        /// Its number.
        seqid: u32,
    },
    /// This data shard, which did not arrive, was rebuilt.
    Rebuilt {
        /// Its number.
        seqid: u32,
    },
}

/// Notes that nobody has read, if any are kept.
#[derive(Debug, Default)]
pub(crate) struct Notes(Option<VecDeque<Note>>);

impl Notes {
    pub(crate) fn keep(&mut self) {
        self.0.get_or_insert_default();
    }

    pub(crate) const fn are_kept(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn add(&mut self, note: Note) {
        let Some(list) = &mut self.0 else { return };
        if list.len() == NOTES_MAX {
            list.pop_front();
        }
        list.push_back(note);
    }

    pub(crate) fn poll(&mut self) -> Option<Note> {
        self.0.as_mut()?.pop_front()
    }
}
