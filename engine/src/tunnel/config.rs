//! Configuration of a session, and the MTU arithmetic.

use crate::Generation;
use crate::arq::{OVERHEAD, Tuning};
use crate::crypt::Suite;
use crate::fec;
use crate::mux;
use crate::qpp::Pads;

/// Largest datagram kcptun sends or receives, bytes of UDP payload.
pub const MTU_MAX: usize = 1500;

/// Configuration of a session, derived from the options by [`crate::Settings::tunnel_config`].
#[derive(Clone, Debug)]
pub struct TunnelConfig {
    /// Packet cipher with its keys.
    pub suite: Suite,
    /// The generation of kcp-go whose behaviour this end reproduces.
    pub generation: Generation,
    /// ARQ tuning numbers.
    pub tuning: Tuning,
    /// Congestion control paces segments and bounds what is in flight ([`crate::congestion`]); otherwise kcp-go's sender.
    pub governed: bool,
    /// Congestion control chooses the timing of acknowledgements and of retransmissions, too, instead of the tuning numbers,
    /// and sends no parity. Only with `governed`.
    pub auto: bool,
    /// Send window, segments.
    pub snd_wnd: u32,
    /// Receive window, segments; at most 65,535, the largest that fits the header.
    pub rcv_wnd: u32,
    /// Largest datagram this end sends, bytes of UDP payload.
    pub mtu: usize,
    /// Shards this end expects, and sends unless `auto` is set.
    pub fec: Option<fec::Shape>,
    /// Snappy below the multiplexer; both ends must agree.
    pub compress: bool,
    /// Acknowledge every datagram immediately.
    pub ack_nodelay: bool,
    /// The multiplexer; a fallback if the client's is adopted.
    pub mux: mux::Settings,
    /// A server adopts the multiplexer and the compression of each client (MUX-1, MUX-2).
    pub recognise: bool,
    /// Pads applied to the bytes of every stream; both ends must agree.
    pub qpp: Option<Pads>,
    /// Limit of the sending rate, bytes per second of whole datagrams; 0 for no limit.
    pub rate_bytes_s: u64,
    /// Probe a silent peer, and detect that it lost its state (KCP-23).
    pub probe: bool,
    /// Follow a peer whose address changes (KCP-24).
    pub migrate: bool,
    /// Use what FEC rebuilt only once the shape of the peer's groups is known (FEC-22); kcp-go does not wait for that.
    pub prove_groups: bool,
    /// Refuse what a peer could not send (KCP-32, 43, 44, 45), and validate clients (KCP-34). Off only where recordings are replayed to an end that does
    /// not send what the recorded one sent.
    pub distrust_peer: bool,
    /// Number of the first segment in both directions; both ends must agree. 0, as in kcptun, except in tests of the
    /// wrap-around.
    pub first_sn: u32,
    /// Number of the first shard this end sends, and of the first group of its own shape that it expects: a multiple of the
    /// group size. 0, as above.
    pub first_shard: u32,
    /// The seeded bug.
    #[cfg(feature = "planted")]
    pub planted: Option<crate::planted::Planted>,
    /// Log lines about values that had to be replaced.
    pub warnings: Vec<String>,
}

impl TunnelConfig {
    /// Bytes of KCP segments in one datagram: mtu less the headers of cipher and FEC (KCP-4).
    pub fn segment_bytes_max(&self) -> usize {
        self.mtu.saturating_sub(self.header_bytes())
    }

    /// Payload bytes of a full segment.
    pub fn mss(&self) -> usize {
        self.segment_bytes_max().saturating_sub(OVERHEAD)
    }

    /// Congestion control retransmits instead of sending parity, which would cost bandwidth even without loss.
    pub(super) fn sends_shards(&self) -> bool {
        self.fec.is_some() && !self.auto
    }

    fn header_bytes(&self) -> usize {
        let fec = if self.sends_shards() { fec::HEADER_LEN } else { 0 };
        self.suite.head_len() + fec + self.suite.tail_len()
    }
}
