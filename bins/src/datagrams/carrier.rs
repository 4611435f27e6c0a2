//! What carries the datagrams of a session.

use engine::forged::Variant;
use serde::{Serialize, Serializer};
use std::fmt;

/// UDP, or forged TCP as one of the programs that know it sends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Carrier {
    /// UDP.
    #[default]
    Udp,
    /// Forged TCP as that of kcptun's own `--tcp`, and karst's.
    Tcp,
    /// Forged TCP as that of kcptun(tcp).
    KcptunTcp,
}

impl Carrier {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::KcptunTcp];

    /// Name in logs, metrics and `/status`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::KcptunTcp => "kcptun-tcp",
        }
    }
}

impl From<Variant> for Carrier {
    fn from(variant: Variant) -> Self {
        match variant {
            Variant::Upstream => Self::Tcp,
            Variant::KcptunTcp => Self::KcptunTcp,
        }
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Carrier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
