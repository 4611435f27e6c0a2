//! The programs that forge TCP.

use super::packet::Segment;

/// The programs that forge TCP, as far as their segments differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variant {
    /// kcptun's own `--tcp`, and karst: a handshake with the options of a kernel.
    #[default]
    Upstream,
    /// The fork kcptun(tcp) of 2017: no options, small windows.
    KcptunTcp,
}

crate::named! {
    Variant {
        Upstream = "upstream",
        KcptunTcp = "kcptun-tcp",
    }
}

/// Largest window of kcptun(tcp); tcpraw's begin at 32,768 (kcptun-tcp.md section 3, tcpraw.md section 1).
const KCPTUN_TCP_WINDOW_MAX: u16 = 16_411;

impl Variant {
    /// The sender of a SYN or SYN|ACK: kernels always send the maximum segment size, kcptun(tcp) no option (FTCP-7).
    pub const fn of_handshake(segment: &Segment<'_>) -> Self {
        if segment.options.is_empty() { Self::KcptunTcp } else { Self::Upstream }
    }

    /// The sender of a segment with a datagram (FTCP-7).
    pub const fn of_data(segment: &Segment<'_>) -> Self {
        match segment.options.is_empty() && segment.window <= KCPTUN_TCP_WINDOW_MAX {
            true => Self::KcptunTcp,
            false => Self::Upstream,
        }
    }
}
