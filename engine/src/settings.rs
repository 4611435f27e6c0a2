//! From the options of one side to the configuration of its tunnels.

use crate::Generation;
use crate::arq::{self, Tuning};
use crate::crypt::{MasterKey, Suite};
use crate::fec::Shape;
use crate::mux::{self, DialectChoice};
use crate::options::{Compat, Governor, Mode, Settings, Side, bytes_of};
use crate::qpp::Pads;
use crate::tunnel::{MTU_MAX, TunnelConfig};

impl Settings {
    /// The defaults of `side` in that mode.
    pub fn new(side: Side, mode: Mode) -> Self {
        Self { mode, ..Self::defaults(side, mode) }
    }

    /// The defaults of `side` in that mode toward peers of a generation.
    pub fn toward(side: Side, mode: Mode, compat: Option<Compat>) -> Self {
        let mut settings = Self { compat, ..Self::new(side, mode) };
        for (name, value) in compat.iter().flat_map(|compat| compat.defaults(side)) {
            if let Some(flag) = Self::TABLE.iter().find(|flag| flag.name == name) {
                let set = settings.set(flag, &value);
                debug_assert_eq!(set, Ok(true), "{name}");
            }
        }
        settings
    }

    /// The client's defaults, those of kcptun of 2026 (overview section 5).
    pub fn client() -> Self {
        Self::new(Side::Client, Mode::Fast)
    }

    /// The server's defaults.
    pub fn server() -> Self {
        Self::new(Side::Server, Mode::Fast)
    }

    /// nodelay, interval, resend and nc: those of the mode, which overrule the options (overview section 4).
    pub fn nodelay_parameters(&self) -> [i64; 4] {
        let preset = self.compat.map_or_else(|| self.mode.preset(), |compat| compat.preset(self.mode));
        preset.unwrap_or([self.nodelay, self.interval, self.resend, self.nc])
    }

    /// The key that all ciphers expand, from the bytes of the shared secret (CLI-70).
    pub fn master_key(&self) -> MasterKey {
        MasterKey::derive(&bytes_of(&self.key))
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
        let suite = Suite::new(self.crypt, &self.master_key());
        let pads = self.pads()?;
        let mut config = TunnelConfig {
            suite,
            generation: self.compat.map_or(Generation::Go2026, Compat::generation),
            tuning: self.tuning(),
            governed: self.is_governed()?,
            auto: self.mode == Mode::Auto,
            snd_wnd: window("sndwnd", self.sndwnd, &mut warnings),
            rcv_wnd: window("rcvwnd", self.rcvwnd, &mut warnings),
            mtu: MTU_DEFAULT,
            fec: self.shape()?,
            compress: !self.nocomp,
            ack_nodelay: self.acknodelay,
            mux: mux::Settings { pads: pads.as_ref().map_or(0, Pads::id), ..self.mux()? },
            recognise: self.mux == DialectChoice::Auto,
            qpp: pads,
            rate_bytes_s: u64::try_from(self.ratelimit).unwrap_or(0),
            probe: !self.no_probe,
            migrate: !self.no_migrate,
            prove_groups: true,
            distrust_peer: true,
            first_sn: 0,
            first_shard: 0,
            #[cfg(feature = "planted")]
            planted: None,
            warnings,
        };
        self.set_mtu(&mut config);
        Ok(config)
    }

    /// The mode `auto` is nothing but congestion control.
    fn is_governed(&self) -> Result<bool, SettingsError> {
        let governed = self.governor == Governor::On;
        if !governed && self.mode == Mode::Auto {
            let reason = "off needs another mode than auto, for example fast".into();
            return Err(SettingsError { flag: "governor", reason });
        }
        Ok(governed)
    }

    fn tuning(&self) -> Tuning {
        let [nodelay, interval, resend, nc] = self.nodelay_parameters();
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
        let ms = |value: i64| u32::try_from(value).unwrap_or(if value > 0 { u32::MAX } else { 0 });
        let in_ms = self.keepalivems > 0;
        let settings = mux::Settings {
            dialect: self.mux.dialect(),
            version: u8::try_from(self.smuxver).unwrap_or(0),
            keepalive_ms: ms(if in_ms { self.keepalivems } else { self.keepalive.saturating_mul(1000) }),
            peer_timeout_ms: ms(self.keepalive_timeout),
            stream_buffers: self.streambuf_en,
            boost_ms: ms(self.streamboost),
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
            mux::SettingsError::KeepaliveZero | mux::SettingsError::KeepaliveLong if in_ms => "keepalivems",
            mux::SettingsError::KeepaliveZero | mux::SettingsError::KeepaliveLong => "keepalive",
            mux::SettingsError::FrameZero | mux::SettingsError::FrameLarge => "framesize",
            mux::SettingsError::StreamZero | mux::SettingsError::StreamLarge => "streambuf",
            _ => "smuxbuf",
        };
        settings
            .validate()
            .map(|()| settings)
            .map_err(|error| SettingsError { flag: flag(error), reason: self.explained(error) })
    }

    /// The options that conflict, their values, and a value that fits.
    fn explained(&self, error: mux::SettingsError) -> String {
        let Self { keepalive, keepalivems, keepalive_timeout, smuxbuf, streambuf, framesize, .. } = self;
        let timeout = keepalive_timeout / 1000;
        match error {
            mux::SettingsError::KeepaliveZero => {
                format!("{keepalive} must be positive, for example 10 ({error})")
            }
            mux::SettingsError::KeepaliveLong if *keepalivems > 0 => {
                format!("{keepalivems} is above keepalive-timeout {keepalive_timeout} ({error})")
            }
            mux::SettingsError::KeepaliveLong => {
                format!(
                    "{keepalive} is above the peer's timeout of {timeout} s, use 1 to {timeout} ({error})"
                )
            }
            mux::SettingsError::StreamLarge => format!(
                "{streambuf} is above smuxbuf {smuxbuf}: use streambuf {smuxbuf} or smuxbuf {streambuf} ({error})"
            ),
            mux::SettingsError::ReceiveZero => {
                format!("{smuxbuf} must be positive, and at least streambuf {streambuf} ({error})")
            }
            mux::SettingsError::ReceiveLarge => {
                format!("{smuxbuf} is too large, use at most {} ({error})", i32::MAX)
            }
            mux::SettingsError::StreamZero => {
                format!("{streambuf} must be positive, and at most smuxbuf {smuxbuf} ({error})")
            }
            mux::SettingsError::FrameZero | mux::SettingsError::FrameLarge => {
                format!("{framesize} must be from 1 to 65535 ({error})")
            }
            mux::SettingsError::Version => error.to_string(),
        }
    }

    /// The number of permutation pads: kcptun takes the option modulo 65536 (QPP-1).
    pub const fn pads_in_use(&self) -> u16 {
        self.qpp_count as u16
    }

    fn pads(&self) -> Result<Option<Pads>, SettingsError> {
        if !self.qpp {
            return Ok(None);
        }
        let pads = Pads::new(&bytes_of(&self.key), self.pads_in_use());
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
