//! Notes: what the engine did to which segment, and why, for tools that explain a run. Counters give the totals. Nothing is
//! kept unless [`crate::Tunnel::keep_notes`] was called.

use crate::terms;
use std::collections::VecDeque;

/// Maximum number of unread notes; the oldest are discarded first.
const NOTES_MAX: usize = 1 << 16;

terms! {
    /// Why a data segment is retransmitted.
    pub enum Cause {
        Fast "fast" "At least `resend` acknowledgements of later segments arrived."
        Early "early" "Acknowledgements of later segments arrived, and nothing new may be sent."
        Timeout "timeout" "No acknowledgement arrived within the retransmission timeout."
        Overdue "overdue" "A segment sent later was acknowledged, and the reordering window has passed (paced senders)."
        TailProbe "tail" "Nothing arrived since the last transmission (paced senders)."
        Redundant "along" "A copy, in case that the transmissions before are lost (paced senders)."
    }
}

/// One event of a segment or shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// A data segment was written into a datagram. One note per segment, in the order of transmission.
    Sent {
        /// Sequence number.
        sn: u32,
        /// Reason for the retransmission; `None` for the first transmission.
        cause: Option<Cause>,
        /// Transmissions so far, this one included.
        xmit: u32,
        /// Retransmission timeout that starts now.
        rto_ms: u32,
        /// The timeout that expired; 0 unless the cause is [`Cause::Timeout`].
        waited_ms: u32,
    },
    /// The acknowledgement of a later segment arrived before that of `sn`.
    Passed {
        /// Sequence number of the segment still unacknowledged.
        sn: u32,
        /// Sequence number of the acknowledged segment.
        by: u32,
    },
    /// A segment was acknowledged for the first time.
    Acked {
        /// Sequence number.
        sn: u32,
        /// By the cumulative `una` rather than by an acknowledgement of its own.
        by_una: bool,
    },
    /// A round trip was measured.
    Rtt {
        /// Its time.
        ms: u32,
    },
    /// A data segment arrived.
    Received {
        /// Sequence number.
        sn: u32,
        /// Within the window, and not a duplicate.
        new: bool,
        /// Rebuilt by FEC rather than received in a datagram.
        rebuilt: bool,
    },
    /// Every segment up to this one has arrived; it was passed to the multiplexer.
    InOrder {
        /// Sequence number.
        sn: u32,
    },
    /// A parity shard was used to rebuild the shards of the notes that follow.
    UsedParity {
        /// Shard number.
        seqid: u32,
    },
    /// A lost data shard was rebuilt.
    Rebuilt {
        /// Shard number.
        seqid: u32,
    },
}

/// Unread notes; `None` while they are not kept.
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
