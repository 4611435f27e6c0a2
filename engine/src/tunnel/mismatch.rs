//! Which option differs when the peer's bytes do not parse, derived from the first bytes of its stream (overview section 11).

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
}

/// The first bytes of the peer's stream, before and after decompression.
#[derive(Debug, Default)]
pub(super) struct FirstBytes {
    raw: [u8; 4],
    plain: [u8; 4],
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
        if self.plain[0] == 0 {
            self.plain.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = *byte);
        }
    }

    /// Whether they begin a frame of that smux version.
    pub(super) fn begin_frame_of(&self, version: u8) -> bool {
        is_smux(&self.plain) && self.plain[0] == version
    }

    /// The option that differs, given this side's options.
    pub(super) fn mismatch(&self, compress: bool, smux_version: u8) -> Option<Mismatch> {
        let identifier = self.raw.starts_with(b"\xff\x06\x00\x00");
        match (compress, identifier) {
            (false, true) => return Some(Mismatch::PeerCompresses),
            (true, false) if is_smux(&self.raw) => return Some(Mismatch::PeerDoesNotCompress),
            _ => {}
        }
        let first = if compress { &self.plain } else { &self.raw };
        (is_smux(first) && first[0] != smux_version).then_some(Mismatch::PeerSmuxVersion(first[0]))
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
            Self::PeerSmuxVersion(version) => write!(f, "the other side has --smuxver {version}"),
        }
    }
}
