//! kcptun's option names as plain data, shared by the programs' flags and the simulator's scenario files (CLI-1).

use crate::Generation;
use crate::arq::{self, Tuning};
use crate::crypt::{Cipher, MasterKey, Suite};
use crate::fec::Shape;
use crate::mux;
use crate::qpp::Pads;
use crate::tunnel::{MTU_MAX, TunnelConfig};

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
    /// Bytes per second sent at most; 0 and less for no limit.
    pub ratelimit: i64,
    /// Ask a silent server whether it is there (karst's own; not on the wire of a healthy session).
    pub probe: bool,
    /// Follow clients whose address changes (karst's own).
    pub migrate: bool,
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
            ratelimit: 0,
            probe: true,
            migrate: true,
        }
    }

    /// Upstream 2026 defaults of the server.
    pub fn server() -> Self {
        Self { sndwnd: 1024, rcvwnd: 1024, ..Self::client() }
    }

    /// The same with what [`Mode::Auto`] makes of defaults: windows are limits there, not a rate, so they leave room for the
    /// segments behind lost ones on fast and long paths. What is named explicitly counts.
    #[must_use]
    pub fn for_auto(self) -> Self {
        let (window, smuxbuf, streambuf) = (8_192, 33_554_432, 16_777_216);
        Self { mode: Mode::Auto, sndwnd: window, rcvwnd: window, smuxbuf, streambuf, ..self }
    }

    /// Derives the keys and checks everything a session needs.
    ///
    /// Values that kcptun quietly replaces (a mtu that cannot work, windows below 1) are replaced the same way, and named
    /// in [`TunnelConfig::warnings`].
    ///
    /// # Errors
    /// Names the option and says why its value cannot work.
    pub fn tunnel_config(&self) -> Result<TunnelConfig, SettingsError> {
        let mut warnings = Vec::new();
        let suite = Suite::new(self.crypt, &MasterKey::derive(self.key.as_bytes()));
        let mut config = TunnelConfig {
            suite,
            generation: Generation::Go2026,
            tuning: self.tuning(),
            auto: self.mode == Mode::Auto,
            snd_wnd: window("sndwnd", self.sndwnd, &mut warnings),
            rcv_wnd: window("rcvwnd", self.rcvwnd, &mut warnings),
            mtu: MTU_DEFAULT,
            fec: self.shape()?,
            compress: !self.nocomp,
            ack_nodelay: self.acknodelay,
            mux: self.mux()?,
            qpp: self.pads()?,
            rate_bytes_s: u64::try_from(self.ratelimit).unwrap_or(0),
            probe: self.probe,
            migrate: self.migrate,
            prove_groups: true,
            first_sn: 0,
            first_shard: 0,
            #[cfg(feature = "planted")]
            planted: None,
            warnings,
        };
        self.set_mtu(&mut config);
        Ok(config)
    }

    /// Overview section 4: the presets overrule the four numbers.
    fn tuning(&self) -> Tuning {
        let (nodelay, interval, resend, nc) = match self.mode {
            Mode::Normal => (0, 40, 2, 1),
            Mode::Fast => (0, 30, 2, 1),
            Mode::Fast2 => (1, 20, 2, 1),
            Mode::Fast3 | Mode::Auto => (1, 10, 2, 1),
            Mode::Manual => (self.nodelay, self.interval, self.resend, self.nc),
        };
        // A negative value keeps the library's default.
        Tuning {
            nodelay: nodelay > 0,
            interval_ms: if interval < 0 { 100 } else { interval.min(5000) as u32 },
            resend: resend.clamp(0, i64::from(i32::MAX)) as u32,
            nc: nc > 0,
        }
    }

    fn shape(&self) -> Result<Option<Shape>, SettingsError> {
        if self.datashard <= 0 || self.parityshard <= 0 {
            return Ok(None);
        }
        let count = |value: i64| usize::try_from(value).unwrap_or(usize::MAX);
        let shape = Shape::new(count(self.datashard), count(self.parityshard));
        shape.map(Some).map_err(|error| SettingsError {
            flag: "datashard",
            reason: format!("{} + parityshard {}: {error}", self.datashard, self.parityshard),
        })
    }

    /// Overview section 9.
    fn mux(&self) -> Result<mux::Settings, SettingsError> {
        let bytes = |value: i64| usize::try_from(value).unwrap_or(0);
        let settings = mux::Settings {
            version: u8::try_from(self.smuxver).unwrap_or(0),
            keepalive_ms: u32::try_from(self.keepalive.saturating_mul(1000))
                .unwrap_or(if self.keepalive > 0 { u32::MAX } else { 0 }),
            frame_bytes_max: bytes(self.framesize),
            receive_bytes_max: bytes(self.smuxbuf),
            stream_bytes_max: bytes(self.streambuf),
            unread_bytes_max: if self.mode == Mode::Auto { bytes(self.smuxbuf) / 8 } else { 262_144 },
            half_close: true,
            announce: true,
            ..mux::Settings::default()
        };
        let flag = |error| match error {
            mux::SettingsError::Version => "smuxver",
            mux::SettingsError::KeepaliveZero | mux::SettingsError::KeepaliveLong => "keepalive",
            mux::SettingsError::FrameZero | mux::SettingsError::FrameLarge => "framesize",
            mux::SettingsError::StreamZero | mux::SettingsError::StreamLarge => "streambuf",
            _ => "smuxbuf",
        };
        settings
            .validate()
            .map(|()| settings)
            .map_err(|error| SettingsError { flag: flag(error), reason: error.to_string() })
    }

    fn pads(&self) -> Result<Option<Pads>, SettingsError> {
        if !self.qpp {
            return Ok(None);
        }
        // kcptun takes the count modulo 65536 (QPP-1).
        let pads = Pads::new(self.key.as_bytes(), self.qpp_count as u16);
        let positive = pads.ok().filter(|_| self.qpp_count > 0);
        positive.map(Some).ok_or_else(|| SettingsError {
            flag: "QPPCount",
            reason: format!("{} must be greater than 0 when QPP is enabled", self.qpp_count),
        })
    }

    /// Overview section 2: above 1500 is cut to 1500; what leaves less than 50 bytes for segments becomes 1400.
    fn set_mtu(&self, config: &mut TunnelConfig) {
        config.mtu = usize::try_from(self.mtu).unwrap_or(0).min(MTU_MAX);
        if config.segment_bytes_max() < arq::MTU_MIN {
            config.mtu = MTU_DEFAULT;
        }
        if config.mtu as i64 != self.mtu {
            config.warnings.push(format!("mtu {} cannot work, using {}", self.mtu, config.mtu));
        }
    }
}

/// What kcp-go starts a session with, bytes.
const MTU_DEFAULT: usize = 1400;

/// Largest window a segment header can announce.
const WINDOW_MAX: i64 = 65_535;

fn window(flag: &str, value: i64, warnings: &mut Vec<String>) -> u32 {
    let used = if value <= 0 { 32 } else { value.min(WINDOW_MAX) };
    if used != value {
        warnings.push(format!("{flag} {value} cannot work, using {used}"));
    }
    used as u32
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
    /// A controller sends what the path carries ([`crate::congestion`]).
    Auto,
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
            "auto" => Self::Auto,
            _ => Self::Manual,
        }
    }
}
