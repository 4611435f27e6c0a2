//! What an incoming datagram changed.

/// What the segments of one datagram add up to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Segments of all kinds.
    pub(super) segments: u64,
    /// Segments in flight that were confirmed for the first time.
    pub(super) confirmed: u32,
    /// una moved.
    pub(super) una_moved: bool,
    /// An acknowledgement made a fast retransmission due.
    pub(super) fast_retransmit: bool,
    /// The clock value that the last acknowledgement echoes.
    pub(super) sample_ts: Option<u32>,
    /// The round trip that it gives, ms.
    pub(super) rtt_ms: Option<u32>,
    /// Acknowledgements leave at once.
    pub(super) ack_nodelay: bool,
}
