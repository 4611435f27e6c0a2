//! Generations of kcptun and its forks, whose defaults one word selects (CLI-111).

use super::{Mode, Side, Value};
use crate::Generation;

/// A generation of peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compat {
    /// kcptun until the autumn of 2016: yamux.
    Y2016,
    /// kcptun of January 2017: smux 1 with frames of 4,096 bytes.
    Y2017,
    /// kcptun of 2021, as in Debian 12.
    Y2021,
    /// kcptun of 2023.
    Y2023,
    /// kcptun of 2024.
    Y2024,
    /// kcptun of 2025 until v20251118; v20251205 has the defaults of 2026.
    Y2025,
    /// kcptun of 2026.
    Y2026,
    /// kcptunB v2.0.4.
    Kcptunb,
    /// The kcptun in mihomo.
    Mihomo,
}

crate::named! {
    Compat {
        Y2016 = "2016",
        Y2017 = "2017",
        Y2021 = "2021",
        Y2023 = "2023",
        Y2024 = "2024",
        Y2025 = "2025",
        Y2026 = "2026",
        Kcptunb = "kcptunb",
        Mihomo = "mihomo",
    }
}

impl Compat {
    /// The defaults that differ from those of 2026, by the names of the options; `pipebuf` and `tfo` are of the programs. A server adopts the multiplexer of each
    /// client anyway, so only the client's is set.
    pub fn defaults(self, side: Side) -> Vec<(&'static str, Value)> {
        let int = |name, value| (name, Value::Int(value));
        let mux = |name| (side == Side::Client).then_some(("mux", Value::text(name)));
        match self {
            Self::Y2016 => {
                let window = int("rcvwnd", 1024);
                let buffers = ["smuxbuf", "streambuf"].map(|name| int(name, 1 << 24));
                mux("yamux").into_iter().chain(buffers).chain([window]).collect()
            }
            Self::Y2017 => vec![int("smuxver", 1), int("framesize", 4096)],
            Self::Y2021 | Self::Y2023 | Self::Y2024 => vec![int("smuxver", 1), int("framesize", 32_768)],
            Self::Y2025 | Self::Mihomo => vec![int("smuxver", 1)],
            Self::Y2026 => Vec::new(),
            Self::Kcptunb => {
                let others = [
                    int("smuxver", 1),
                    int("framesize", 32_767),
                    int("streambuf", 262_144),
                    int("keepalivems", 10_000),
                    int("keepalive-timeout", 75_000),
                    int("pipebuf", 262_144),
                    ("tfo", Value::Bool(true)),
                ];
                mux("smuxb").into_iter().chain(others).collect()
            }
        }
    }

    /// The kcp-go whose behaviour peers of the generation expect.
    pub const fn generation(self) -> Generation {
        match self {
            Self::Y2016 | Self::Y2017 | Self::Y2021 | Self::Kcptunb => Generation::Go2021,
            _ => Generation::Go2026,
        }
    }

    /// nodelay, interval, resend and nc of a mode, where they differ from those of later years.
    pub const fn preset(self, mode: Mode) -> Option<[i64; 4]> {
        match (self, mode) {
            (Self::Y2016 | Self::Y2017, Mode::Normal) => Some([0, 30, 2, 1]),
            (Self::Y2016 | Self::Y2017, Mode::Fast) => Some([0, 20, 2, 1]),
            _ => mode.preset(),
        }
    }
}
