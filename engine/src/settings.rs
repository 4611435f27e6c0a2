//! kcptun's option names as plain data, shared by the programs' flags and the simulator's scenario files (CLI-1).

use crate::crypt::Cipher;
use crate::tunnel::TunnelConfig;

/// Options of one side, under kcptun's names and with Go's integer type, so that odd values keep kcptun's meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Shared secret.
    pub key: String,
    /// Packet cipher.
    pub crypt: Cipher,
    /// Preset of the four numbers below; [`Mode::Manual`] keeps them.
    pub mode: Mode,
    /// 1: minimum RTO 30 ms and slower backoff.
    pub nodelay: i64,
    /// Flush interval, ms, clamped to 10..=5000.
    pub interval: i64,
    /// Duplicate acknowledgements that trigger a retransmission; 0 off.
    pub resend: i64,
    /// 1: no congestion window.
    pub nc: i64,
    /// Largest UDP payload, bytes.
    pub mtu: i64,
    /// Send window, packets; values below 1 mean 32.
    pub sndwnd: i64,
    /// Receive window, packets; values below 1 mean 32.
    pub rcvwnd: i64,
    /// Data shards per FEC group; FEC is on when both counts are positive.
    pub datashard: i64,
    /// Parity shards per FEC group.
    pub parityshard: i64,
    /// No compression.
    pub nocomp: bool,
    /// Acknowledge every datagram at once.
    pub acknodelay: bool,
    /// smux version, 1 or 2.
    pub smuxver: i64,
    /// Session receive buffer, bytes.
    pub smuxbuf: i64,
    /// Largest smux payload, bytes.
    pub framesize: i64,
    /// Stream receive buffer, bytes.
    pub streambuf: i64,
    /// Seconds between NOPs.
    pub keepalive: i64,
    /// Quantum permutation pad on every stream.
    pub qpp: bool,
    /// Number of pads.
    pub qpp_count: i64,
}

impl Settings {
    /// Upstream 2026 defaults of the client (overview section 5).
    pub fn client() -> Self {
        Self {
            key: "it's a secrect".into(),
            crypt: Cipher::Aes,
            mode: Mode::Fast,
            nodelay: 0,
            interval: 50,
            resend: 0,
            nc: 0,
            mtu: 1350,
            sndwnd: 128,
            rcvwnd: 512,
            datashard: 10,
            parityshard: 3,
            nocomp: false,
            acknodelay: false,
            smuxver: 2,
            smuxbuf: 4_194_304,
            framesize: 8192,
            streambuf: 2_097_152,
            keepalive: 10,
            qpp: false,
            qpp_count: 61,
        }
    }

    /// Upstream 2026 defaults of the server.
    pub fn server() -> Self {
        Self { sndwnd: 1024, rcvwnd: 1024, ..Self::client() }
    }

    /// Derives the keys and checks everything a session needs.
    ///
    /// # Errors
    /// Names the option and says why its value cannot work.
    pub fn tunnel_config(&self) -> Result<TunnelConfig, SettingsError> {
        unimplemented!()
    }
}

/// An option whose value cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flag}: {reason}")]
pub struct SettingsError {
    /// kcptun's name of the option.
    pub flag: &'static str,
    /// Why.
    pub reason: String,
}

/// kcptun's presets of nodelay, interval, resend and nc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 0, 40, 2, 1.
    Normal,
    /// 0, 30, 2, 1.
    Fast,
    /// 1, 20, 2, 1.
    Fast2,
    /// 1, 10, 2, 1.
    Fast3,
    /// The four numbers as given.
    Manual,
}

impl Mode {
    /// The preset of that name; any other string is [`Mode::Manual`], as in kcptun.
    pub fn from_name(name: &str) -> Self {
        match name {
            "normal" => Self::Normal,
            "fast" => Self::Fast,
            "fast2" => Self::Fast2,
            "fast3" => Self::Fast3,
            _ => Self::Manual,
        }
    }
}
