//! The names of the dialects.

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
