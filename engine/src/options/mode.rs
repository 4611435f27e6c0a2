//! Profiles of retransmission and congestion control (overview section 4), and who decides how much is in flight.

/// A profile: kcptun's presets of nodelay, interval, resend and nc, and karst's controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A controller sends at the rate the path carries ([`crate::congestion`]).
    Auto,
    /// Short minimum RTO, flush every 10 ms.
    Fast3,
    /// Short minimum RTO, flush every 20 ms.
    Fast2,
    /// Flush every 30 ms.
    Fast,
    /// Flush every 40 ms.
    Normal,
    /// The four numbers as given.
    Manual,
}

crate::named! {
    Mode {
        Auto = "auto",
        Fast3 = "fast3",
        Fast2 = "fast2",
        Fast = "fast",
        Normal = "normal",
        Manual = "manual",
    }
}

impl Mode {
    /// nodelay, interval, resend and nc of the profile; `None` for those of the options.
    pub const fn preset(self) -> Option<[i64; 4]> {
        match self {
            Self::Normal => Some([0, 40, 2, 1]),
            Self::Fast => Some([0, 30, 2, 1]),
            Self::Fast2 => Some([1, 20, 2, 1]),
            Self::Fast3 | Self::Auto => Some([1, 10, 2, 1]),
            Self::Manual => None,
        }
    }
}

/// Whether congestion control bounds the sender of a profile ([`crate::congestion`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Governor {
    /// Paced, and never more in flight than the path holds.
    #[default]
    On,
    /// kcp-go's own sender, byte for byte: as much in flight as the windows allow.
    Off,
}

crate::named! {
    Governor {
        On = "on",
        Off = "off",
    }
}
