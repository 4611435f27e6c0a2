//! The names of the dialects.

/// What selects the dialect of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialectChoice {
    /// A client speaks smux; a server adopts what each client speaks (MUX-1).
    Auto,
    /// smux of the version that `smuxver` names.
    Smux,
    /// kcptunB's smux.
    Smuxb,
    /// yamux.
    Yamux,
}

crate::named! {
    DialectChoice {
        Auto = "auto",
        Smux = "smux",
        Smuxb = "smuxb",
        Yamux = "yamux",
    }
}

impl DialectChoice {
    /// The dialect; that of a server's answer is only a fallback when it adopts the client's.
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Auto | Self::Smux => Dialect::Smux,
            Self::Smuxb => Dialect::Smuxb,
            Self::Yamux => Dialect::Yamux,
        }
    }
}

/// A multiplexing protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// smux, version 1 or 2: kcptun since 2017.
    #[default]
    Smux,
    /// kcptunB's smux.
    Smuxb,
    /// yamux: kcptun of 2016.
    Yamux,
}

crate::named! {
    Dialect {
        Smux = "smux",
        Smuxb = "smuxb",
        Yamux = "yamux",
    }
}
