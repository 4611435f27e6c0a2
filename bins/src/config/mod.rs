//! Options as a program runs with them: defaults, then the environment, then flags, then the JSON file (CLI-9, CLI-38).

mod given;
mod json;
mod sip003;

pub use given::Given;
pub use json::{FileError, FileReason, JsonFile, parse as parse_json};
pub use sip003::PluginError;

use crate::flags::{self, Program, Side, UsageError};
use crate::net::udp::SocketOptions;
use engine::Settings;
use engine::options::{Flag, Mode, Value};
use engine::qpp::{KEY_LEN_ADVISED, PADS_ADVISED};
use engine::settings::SettingsError;
use engine::tunnel::MTU_MAX;
use given::Origin;

/// Where profiles are served unless told otherwise: kcptun's port, for this machine only (CLI-42).
pub const PPROF_ADDRESS: &str = "127.0.0.1:6060";

/// Bounds of `memlimit`: below the first there is no room for a session.
const MEMLIMIT_MIB_MIN: i64 = 8;
const MEMLIMIT_MIB_MAX: i64 = 1 << 20;

/// The configuration of one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which program.
    pub side: Side,
    /// Options of the engine.
    pub settings: Settings,
    /// Options of the program itself.
    pub program: Program,
}

/// What to do, as decided by the command line.
#[derive(Debug)]
pub enum Command {
    /// Print this on standard output and exit with 0.
    Print(String),
    /// Run with this configuration; `Given` names the origin of a value in errors, and the warnings are to be logged.
    Run(Box<Config>, Given, Vec<String>),
}

/// Why a program does not start. The text is one line and names the culprit (CLI-8).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The command line.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The JSON file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The environment of a shadowsocks plugin.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// A value that cannot work, and where it was given.
    #[error("{origin}: {reason}")]
    Value {
        /// Flag, environment variable, or file and key.
        origin: String,
        /// Why not.
        reason: String,
        /// Whether it came from the command line.
        usage: bool,
    },
}

impl ConfigError {
    /// 2 when the command line is at fault, else 1.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Value { usage: true, .. } => 2,
            Self::File(_) | Self::Plugin(_) | Self::Value { usage: false, .. } => 1,
        }
    }
}

/// Reads the command line (without the program's name), `environment` and the JSON file.
///
/// # Errors
/// See [`ConfigError`].
pub fn load(
    side: Side,
    words: &[String],
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Command, ConfigError> {
    let mut given = Given::default();
    for flag in flags::of(side) {
        // A variable counts even when it is empty.
        if let Some((variable, value)) = flag.env.and_then(|name| Some((name, environment(name)?))) {
            given.add([(flag, Value::Text(value.into()))], &Origin::Environment(variable));
        }
    }
    sip003::read(&environment, side, &mut given)?;
    let line = flags::parse(side, words)?;
    given.add(line.given, &Origin::Flag);
    // What is invalid here may be overridden by the file, and does not matter when only text is printed.
    let (mut config, _) = given.config(side);
    config.program.help |= matches!(line.word.as_deref(), Some("help" | "h"));
    if let Some(text) = config.printout() {
        return Ok(Command::Print(text));
    }
    let mut warnings = Vec::new();
    let path = config.program.file;
    if !path.is_empty() {
        let file = json::read(&path, side)?;
        warnings.extend(file.unknown.iter().map(|key| format!("{path}: unknown key \"{key}\" ignored")));
        given.add(file.given, &Origin::File(path));
    }
    let (mut config, refused) = given.config(side);
    if let Some(error) = refused {
        return Err(error);
    }
    if config.settings.ratelimit < 0 {
        let text = format!("ratelimit {} is negative, falling back to 0", config.settings.ratelimit);
        config.settings.ratelimit = 0;
        warnings.push(text);
    }
    config.check().map_err(|error| given.blame(&error))?;
    warnings.extend(config.fit_memory());
    warnings.extend(config.weak_pads());
    Ok(Command::Run(Box::new(config), given, warnings))
}

impl Config {
    /// The defaults of `side` in that mode (CLI-55).
    pub fn new(side: Side, mode: Mode) -> Self {
        Self { side, settings: Settings::new(side, mode), program: Program::defaults(side, mode) }
    }

    /// Changes the value of an option.
    ///
    /// # Errors
    /// The value is of another type, or not one of the names that the option knows.
    pub fn set(&mut self, flag: &Flag, value: &Value) -> Result<(), String> {
        let found = self.settings.set(flag, value)? || self.program.set(flag, value)?;
        debug_assert!(found, "no table has {}", flag.name);
        Ok(())
    }

    /// The value of an option.
    pub fn value(&self, flag: &Flag) -> Option<Value> {
        self.settings.value(flag).or_else(|| self.program.value(flag))
    }

    /// What every UDP socket is set to.
    pub fn socket_options(&self) -> SocketOptions {
        SocketOptions {
            buffer_bytes: self.program.sockbuf,
            dscp: u8::try_from(self.program.dscp).unwrap_or(0),
        }
    }

    /// Where profiles are served; `None` for nowhere.
    pub fn pprof_address(&self) -> Option<&str> {
        match self.program.pprof_addr.as_str() {
            "" => self.program.pprof.then_some(PPROF_ADDRESS),
            address => Some(address),
        }
    }

    /// What kcptun warns of when QPP is on (kcptun std/qpp.go).
    fn weak_pads(&self) -> Vec<String> {
        let Settings { qpp, qpp_count, key, .. } = &self.settings;
        let mut warnings = Vec::new();
        if !qpp {
            return warnings;
        }
        if key.len() < KEY_LEN_ADVISED {
            let text =
                format!("WARNING: QPP: the key has {} bytes, {KEY_LEN_ADVISED} are advised", key.len());
            warnings.push(text);
        }
        if *qpp_count < i64::from(PADS_ADVISED) {
            warnings
                .push(format!("WARNING: QPPCount {qpp_count} is small, at least {PADS_ADVISED} are advised"));
        }
        if qpp_count % 2 == 0 {
            warnings.push(format!(
                "WARNING: QPPCount {qpp_count} shares a factor with 8, a prime number is advised"
            ));
        }
        warnings
    }

    /// The memory to stay below, bytes; `None` for no limit.
    pub fn memory_bytes_max(&self) -> Option<usize> {
        usize::try_from(self.program.memlimit).ok().filter(|mib| *mib > 0).map(|mib| mib << 20)
    }

    /// Lowers buffers of which a few sessions could use up all memory (CLI-54): each to an eighth of the limit.
    fn fit_memory(&mut self) -> Vec<String> {
        let Some(limit_bytes) = self.memory_bytes_max() else { return Vec::new() };
        let part_bytes = (limit_bytes / 8) as i64;
        let part_packets = (part_bytes / MTU_MAX as i64).max(32);
        let Settings { smuxbuf, streambuf, sndwnd, rcvwnd, .. } = &mut self.settings;
        let buffers = [
            ("smuxbuf", smuxbuf, part_bytes),
            ("streambuf", streambuf, part_bytes),
            ("sndwnd", sndwnd, part_packets),
            ("rcvwnd", rcvwnd, part_packets),
        ];
        let high = buffers.into_iter().filter(|(_, value, max)| **value > *max);
        high.map(|(name, value, max)| {
            let warning =
                format!("{name} {value} does not fit memlimit {}, using {max}", self.program.memlimit);
            *value = max;
            warning
        })
        .collect()
    }

    /// The text that was requested instead of running.
    fn printout(&self) -> Option<String> {
        let Program { help, help_all, version, man, completions, .. } = &self.program;
        if *help || *help_all {
            return Some(flags::help(self.side, *help_all));
        }
        if *version {
            return Some(format!("{} version {}\n", self.side.program(), crate::VERSION));
        }
        if *man {
            return Some(flags::man(self.side));
        }
        completions.map(|shell| flags::completions(self.side, shell))
    }

    /// Refuses numbers that cannot work (CLI-14, CLI-15).
    fn check(&self) -> Result<(), SettingsError> {
        let refuse = |flag, reason: String| Err(SettingsError { flag, reason });
        let Program { dscp, memlimit, conn, .. } = self.program;
        if !(0..64).contains(&dscp) {
            return refuse("dscp", format!("must be from 0 to 63, not {dscp}"));
        }
        if memlimit != 0 && !(MEMLIMIT_MIB_MIN..=MEMLIMIT_MIB_MAX).contains(&memlimit) {
            let reason =
                format!("must be 0 or from {MEMLIMIT_MIB_MIN} to {MEMLIMIT_MIB_MAX} MiB, not {memlimit}");
            return refuse("memlimit", reason);
        }
        if self.side == Side::Client && !(1..=i64::from(u16::MAX)).contains(&conn) {
            return refuse("conn", format!("conn must be greater than 0 and at most {}", u16::MAX));
        }
        if self.settings.smuxver > 2 {
            return refuse("smuxver", format!("unsupported smux version:{}", self.settings.smuxver));
        }
        Ok(())
    }
}
