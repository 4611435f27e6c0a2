//! Check that windows are neither negative nor larger than announced.

use engine::TunnelConfig;
use engine::arq::State;

/// Window of a peer before its first segment (KCP-4).
const FIRST_WINDOW: u32 = 32;

/// The windows of one tunnel, segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowLimits {
    /// Maximum number of segments in flight.
    pub snd_wnd: u32,
    /// Largest window that the peer can announce.
    pub rmt_wnd_max: u32,
}

impl WindowLimits {
    /// The windows of a tunnel with the settings `own` to a peer with the settings `peer`.
    pub fn new(own: &TunnelConfig, peer: &TunnelConfig) -> Self {
        Self { snd_wnd: own.snd_wnd, rmt_wnd_max: peer.rcv_wnd.max(FIRST_WINDOW) }
    }
}

/// Describes the broken window, if any. Serial numbers are compared by their signed difference.
pub(super) fn broken_window(limits: &WindowLimits, state: &State) -> Option<String> {
    let in_flight = i64::from(state.snd_nxt.wrapping_sub(state.snd_una) as i32);
    if !(0..=i64::from(limits.snd_wnd)).contains(&in_flight) {
        return Some(format!("{in_flight} segments in flight, not 0 to {}", limits.snd_wnd));
    }
    if in_flight != state.snd_buf as i64 {
        return Some(format!("{in_flight} segments in flight, but {} in the send buffer", state.snd_buf));
    }
    let announced = (state.rmt_wnd, limits.rmt_wnd_max);
    (announced.0 > announced.1)
        .then(|| format!("the peer announces {} segments, its window has {}", announced.0, announced.1))
}
