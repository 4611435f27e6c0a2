//! Seeded bugs, which verify that the simulator finds them. Only with the feature `planted`, which no shipped program has.

/// A bug that [`crate::TunnelConfig::planted`] switches on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// Timeouts are compared as plain numbers, which goes wrong where the millisecond clock wraps.
    WrapCompare,
    /// One segment more than the window is sent.
    WindowOffByOne,
    /// The end of a stream is lost when bytes are still queued for framing.
    LostFin,
    /// A missing segment is acknowledged once a later one arrives.
    AckOfGap,
    /// Packets rebuilt by FEC are used before the shape of the peer's groups is known.
    UnprovenShape,
    /// A stream that gives up its turn has the whole queue searched. The fuzzers find it, which count steps.
    QuadraticTurns,
}

impl Planted {
    /// All that simulations find.
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
            Self::QuadraticTurns => "quadratic-turns",
        }
    }
}
