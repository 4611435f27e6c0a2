//! Which flag differs, when the peer's bytes do not parse: the first bytes of its stream tell (overview section 11).

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

impl Mismatch {
    /// Judges the first bytes of the peer's stream, before (`raw`) and after decompression (`plain`, where it worked).
    pub(super) fn find(compress: bool, smux_version: u8, raw: &[u8], plain: &[u8]) -> Option<Self> {
        let identifier = raw.starts_with(b"\xff\x06\x00\x00");
        match (compress, identifier) {
            (false, true) => return Some(Self::PeerCompresses),
            (true, false) if is_smux(raw) => return Some(Self::PeerDoesNotCompress),
            _ => {}
        }
        let first = if compress { plain } else { raw };
        let version = *first.first()?;
        (is_smux(first) && version != smux_version).then_some(Self::PeerSmuxVersion(version))
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
