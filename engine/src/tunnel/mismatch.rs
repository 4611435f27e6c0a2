//! Which option differs when the peer's bytes do not parse, derived from the first bytes of its stream (overview section 11).

use crate::mux::{Dialect, RECOGNISED_BYTES, Settings};

/// A setting that differs between the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mismatch {
    /// The peer compresses, this side does not.
    PeerCompresses,
    /// This side compresses, the peer does not.
    PeerDoesNotCompress,
    /// The peer speaks this version of smux.
    PeerSmuxVersion(u8),
    /// The peer speaks this multiplexer.
    PeerMux(Dialect),
    /// The peer has permutation pads, this side has none.
    PeerHasPads,
    /// This side has permutation pads, the peer has none.
    PeerHasNoPads,
    /// Both have permutation pads, of different counts or keys.
    PeerHasOtherPads,
}

impl Mismatch {
    /// How the pads of two ends differ, given what identifies them, 0 for none (QPP-11).
    pub(super) const fn of_pads(own: u16, peer: u16) -> Self {
        match (own, peer) {
            (0, _) => Self::PeerHasPads,
            (_, 0) => Self::PeerHasNoPads,
            _ => Self::PeerHasOtherPads,
        }
    }
}

/// The first bytes of the peer's stream, before and after decompression.
#[derive(Debug, Default)]
pub(super) struct FirstBytes {
    raw: [u8; RECOGNISED_BYTES],
    plain: Option<[u8; RECOGNISED_BYTES]>,
}

impl FirstBytes {
    /// Notes bytes from `offset` of the stream, before decompression.
    pub(super) fn note_raw(&mut self, offset: u64, bytes: &[u8]) {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        for (slot, byte) in self.raw.iter_mut().skip(offset).zip(bytes) {
            *slot = *byte;
        }
    }

    /// Notes the first bytes after decompression; later ones are ignored.
    pub(super) fn note_plain(&mut self, bytes: &[u8]) {
        if self.plain.is_none() {
            let mut first = [0; RECOGNISED_BYTES];
            first.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = *byte);
            self.plain = Some(first);
        }
    }

    /// Whether they begin a frame of that smux version.
    pub(super) fn begin_frame_of(&self, version: u8) -> bool {
        self.plain.is_some_and(|plain| is_smux(&plain) && plain[0] == version)
    }

    /// The option that differs, given this side's options.
    pub(super) fn mismatch(&self, compress: bool, own: &Settings) -> Option<Mismatch> {
        let identifier = self.raw.starts_with(b"\xff\x06\x00\x00");
        match (compress, identifier) {
            (false, true) => return Some(Mismatch::PeerCompresses),
            (true, false) if is_smux(&self.raw) => return Some(Mismatch::PeerDoesNotCompress),
            _ => {}
        }
        let mut peer = own.clone();
        peer.recognise(self.plain?);
        match peer.dialect {
            Dialect::Smux if own.dialect == Dialect::Smux => {
                (peer.version != own.version).then_some(Mismatch::PeerSmuxVersion(peer.version))
            }
            dialect => (dialect != own.dialect).then_some(Mismatch::PeerMux(dialect)),
        }
    }
}

/// Whether `bytes` begin like the header of a smux frame.
fn is_smux(bytes: &[u8]) -> bool {
    matches!(bytes, [1 | 2, 0..=4, ..])
}

impl core::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::PeerCompresses => f.write_str("the other side compresses and this one has --nocomp"),
            Self::PeerDoesNotCompress => f.write_str("the other side has --nocomp and this one compresses"),
            Self::PeerHasPads => f.write_str("the other side has --QPP and this one has not"),
            Self::PeerHasNoPads => f.write_str("this side has --QPP and the other one has not"),
            Self::PeerHasOtherPads => {
                f.write_str("both sides have --QPP, with different --QPPCount or --key")
            }
            Self::PeerMux(dialect) => write!(f, "the other side has --mux {}", dialect.name()),
            Self::PeerSmuxVersion(version) => write!(f, "the other side has --smuxver {version}"),
        }
    }
}
