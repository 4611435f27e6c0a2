//! What is known of an outage of the path (KCP-29).

/// Progress on the path.
#[derive(Debug, Default)]
pub(in crate::arq) struct Outage {
    /// Off, as in kcp-go, segments wait for their timeouts.
    pub(in crate::arq) watched: bool,
    /// The path came back, and segments may still wait for their timeouts.
    pub(super) over: bool,
    /// Clock at which something was confirmed last, or at which the oldest segment was sent for the first time.
    pub(super) progress_ms: u32,
}

impl Outage {
    /// The oldest segment was sent for the first time.
    #[inline]
    pub(super) const fn began(&mut self, now_ms: u32) {
        self.progress_ms = now_ms;
    }
}
