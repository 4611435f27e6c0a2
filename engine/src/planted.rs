//! Bugs on purpose, to prove that a simulator finds them. Only with the feature `planted`, which no shipped program has.

/// A bug that [`crate::TunnelConfig::planted`] switches on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// Timeouts are compared as plain numbers, which goes wrong where the millisecond clock wraps.
    WrapCompare,
    /// One segment more than the window is sent.
    WindowOffByOne,
    /// The end of a stream is forgotten when bytes still wait to be framed.
    LostFin,
    /// A segment that is missing is acknowledged once a later one is there.
    AckOfGap,
    /// What FEC rebuilt is used before the shape of the peer's groups is known.
    UnprovenShape,
}

impl Planted {
    /// All of them.
    pub const ALL: &[Self] =
        &[Self::WrapCompare, Self::WindowOffByOne, Self::LostFin, Self::AckOfGap, Self::UnprovenShape];

    /// The name on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WrapCompare => "wrap-compare",
            Self::WindowOffByOne => "window-off-by-one",
            Self::LostFin => "lost-fin",
            Self::AckOfGap => "ack-of-gap",
            Self::UnprovenShape => "unproven-shape",
        }
    }
}
