//! Options as a program runs with them: defaults, then the environment, then flags, then the JSON file (CLI-9, CLI-38).

mod json;
mod sip003;

pub use json::{FileError, FileReason, apply};
pub use sip003::PluginError;

use crate::flags::{self, Field, Flag, Shell, Side, TABLE, UsageError};
use crate::log::Format;
use crate::net::udp::SocketOptions;
use engine::Settings;
use engine::client::SLOTS_AUTO;
use engine::crypt::Cipher;
use engine::qpp::{KEY_LEN_ADVISED, PADS_ADVISED};
use engine::settings::{Mode, SettingsError};
use engine::tunnel::MTU_MAX;
use std::path::Path;

/// Where profiles are served unless told otherwise: kcptun's port, for this machine only (CLI-42).
pub const PPROF_ADDRESS: &str = "127.0.0.1:6060";

/// Bounds of `memlimit`: below the first there is no room for a session.
const MEMLIMIT_MIB_MIN: i64 = 8;
const MEMLIMIT_MIB_MAX: i64 = 1 << 20;

/// Everything one program was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which program.
    pub side: Side,
    /// Client: local TCP address; server: UDP address, possibly with a port range.
    pub listen: String,
    /// Client: the server's UDP address, possibly with a port range.
    pub remote: String,
    /// Server: where streams go.
    pub target: String,
    /// Cipher as given; `settings.crypt` holds it once [`Config::check`] accepted it.
    pub crypt: String,
    /// Mode as given; `settings.mode` holds the preset.
    pub mode: String,
    /// Client: number of sessions.
    pub conn: i64,
    /// Client: seconds after which a slot gets a new session; 0 and less for never.
    pub autoexpire: i64,
    /// Client: seconds an expired session keeps streams that rest.
    pub scavengettl: i64,
    /// Client: seconds the end of a connection is held back from a server that would close the whole stream on it.
    pub closewait: i64,
    /// Server: do not look for the cause when datagrams do not open.
    pub no_diagnose: bool,
    /// SO_RCVBUF and SO_SNDBUF of every UDP socket, bytes.
    pub sockbuf: i64,
    /// Differentiated services code point of every datagram, 0 to 63.
    pub dscp: i64,
    /// Start a new session when a client's address changes; `settings.migrate` holds the opposite.
    pub no_migrate: bool,
    /// Do not ask a silent peer whether it is there; `settings.probe` holds the opposite.
    pub no_probe: bool,
    /// MiB of memory to stay below; 0 for no limit.
    pub memlimit: i64,
    /// Log file, empty for standard error.
    pub log: String,
    /// Name of the log's format; [`Config::check`] knows them.
    pub log_format: String,
    /// No lines about streams.
    pub quiet: bool,
    /// File for the counters, its name in Go's time layout; empty for none.
    pub snmplog: String,
    /// Seconds between two rows of counters.
    pub snmpperiod: i64,
    /// Address that metrics are served on, empty for none.
    pub metrics: String,
    /// Serve profiles on [`PPROF_ADDRESS`].
    pub pprof: bool,
    /// Address that profiles are served on instead, empty for none.
    pub pprof_addr: String,
    /// JSON file, empty for none.
    pub file: String,
    /// Print the help only.
    pub help: bool,
    /// Print the help with the hidden options only.
    pub help_all: bool,
    /// Print the manual page only.
    pub man: bool,
    /// Print the completions of this shell only.
    pub completions: String,
    /// Print the version only.
    pub version: bool,
    /// What the engine needs.
    pub settings: Settings,
}

/// What to do, as decided by the command line.
#[derive(Debug)]
pub enum Command {
    /// Print this on standard output and exit with 0.
    Print(String),
    /// Run with this; the origins tell whom to blame for a value, and the warnings are to be logged.
    Run(Box<Config>, Origins, Vec<String>),
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
    let mut config = Config::new(side);
    let mut origins = config.apply_environment(&environment);
    let plugin = sip003::apply(&environment, &mut config)?;
    for (name, variable) in plugin.addresses {
        origins.set_all(&[name], &Origin::Environment(variable));
    }
    origins.set_all(&plugin.names, &Origin::Plugin);
    let given = flags::parse(side, words, &mut config)?;
    origins.set_all(&given.names, &Origin::Flag);
    config.help |= matches!(given.word.as_deref(), Some("help" | "h"));
    if let Some(text) = config.printout().map_err(|error| origins.blame(&error))? {
        return Ok(Command::Print(text));
    }
    let mut warnings = Vec::new();
    if !config.file.is_empty() {
        let path = config.file.clone();
        let applied = json::apply_file(Path::new(&path), &mut config)?;
        origins.set_all(&applied.names, &Origin::File(path.clone()));
        warnings.extend(applied.unknown.iter().map(|key| format!("{path}: unknown key \"{key}\" ignored")));
    }
    if config.settings.ratelimit < 0 {
        let text = format!("ratelimit {} is negative, falling back to 0", config.settings.ratelimit);
        config.settings.ratelimit = 0;
        warnings.push(text);
    }
    config.check().map_err(|error| origins.blame(&error))?;
    config.fit_mode(&origins);
    warnings.extend(config.fit_memory());
    warnings.extend(config.weak_pads());
    Ok(Command::Run(Box::new(config), origins, warnings))
}

impl Config {
    /// Whether datagrams that do not open are looked at (CLI-50).
    pub const fn diagnoses(&self) -> bool {
        !self.no_diagnose
    }

    /// The defaults of upstream 2026.
    pub fn new(side: Side) -> Self {
        let default = |name| {
            flags::find(side, name).and_then(|flag| flag.default_for(side)).unwrap_or_default().to_owned()
        };
        let (listen, settings) = match side {
            Side::Client => (default("localaddr"), Settings::client()),
            Side::Server => (default("listen"), Settings::server()),
        };
        Self {
            side,
            listen,
            remote: default("remoteaddr"),
            target: default("target"),
            crypt: default("crypt"),
            mode: default("mode"),
            conn: 1,
            autoexpire: 0,
            scavengettl: 600,
            closewait: if side == Side::Client { 10 } else { 30 },
            no_diagnose: false,
            sockbuf: 4_194_304,
            dscp: 0,
            no_migrate: false,
            no_probe: false,
            memlimit: 0,
            log: String::new(),
            log_format: default("log-format"),
            quiet: false,
            snmplog: String::new(),
            snmpperiod: 60,
            metrics: String::new(),
            pprof: false,
            pprof_addr: String::new(),
            file: String::new(),
            help: false,
            help_all: false,
            man: false,
            completions: String::new(),
            version: false,
            settings,
        }
    }

    /// Value of an option as Go prints it; the default when the option is not supported.
    pub fn shown(&mut self, flag: &Flag) -> String {
        match flag.field {
            Field::Str(field) => field(self).clone(),
            Field::Int(field) => field(self).to_string(),
            Field::Bool(field) => field(self).to_string(),
            Field::Later(_) => flag.default_for(self.side).unwrap_or_default().to_owned(),
        }
    }

    /// What every UDP socket is set to.
    pub fn socket_options(&self) -> SocketOptions {
        SocketOptions { buffer_bytes: self.sockbuf, dscp: u8::try_from(self.dscp).unwrap_or(0) }
    }

    /// Where profiles are served; `None` for nowhere.
    pub fn pprof_address(&self) -> Option<&str> {
        match self.pprof_addr.as_str() {
            "" => self.pprof.then_some(PPROF_ADDRESS),
            address => Some(address),
        }
    }

    /// Shape of the log's lines.
    pub fn log_format(&self) -> Format {
        Format::from_name(&self.log_format).unwrap_or_default()
    }

    /// Variables count even when they are empty.
    fn apply_environment(&mut self, environment: &impl Fn(&str) -> Option<String>) -> Origins {
        let mut origins = Origins::default();
        let side = self.side;
        for flag in TABLE.iter().filter(|flag| flag.default_for(side).is_some()) {
            if let (Field::Str(field), Some(variable)) = (flag.field, flag.env)
                && let Some(value) = environment(variable)
            {
                *field(self) = value;
                origins.set_all(&[flag.name], &Origin::Environment(variable));
            }
        }
        origins
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
        usize::try_from(self.memlimit).ok().filter(|mib| *mib > 0).map(|mib| mib << 20)
    }

    /// The defaults of the mode `auto` where nothing else was given (CLI-55).
    fn fit_mode(&mut self, origins: &Origins) {
        if self.settings.mode != Mode::Auto {
            return;
        }
        let auto = self.settings.clone().for_auto();
        let Settings { smuxbuf, streambuf, sndwnd, rcvwnd, .. } = &mut self.settings;
        let defaults = [
            ("sndwnd", sndwnd, auto.sndwnd),
            ("rcvwnd", rcvwnd, auto.rcvwnd),
            ("smuxbuf", smuxbuf, auto.smuxbuf),
            ("streambuf", streambuf, auto.streambuf),
        ];
        for (name, value, default) in defaults {
            if !origins.names(name) {
                *value = default;
            }
        }
        if self.side == Side::Client && !origins.names("conn") {
            self.conn = SLOTS_AUTO as i64;
        }
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
            let warning = format!("{name} {value} does not fit memlimit {}, using {max}", self.memlimit);
            *value = max;
            warning
        })
        .collect()
    }

    /// What was asked to be printed instead of running.
    fn printout(&self) -> Result<Option<String>, SettingsError> {
        if self.help || self.help_all {
            return Ok(Some(flags::help(self.side, self.help_all)));
        }
        if self.version {
            return Ok(Some(format!("{} version {}\n", self.side.program(), crate::VERSION)));
        }
        if self.man {
            return Ok(Some(flags::man(self.side)));
        }
        if self.completions.is_empty() {
            return Ok(None);
        }
        let Some(shell) = Shell::from_name(&self.completions) else {
            let reason = format!("must be bash, zsh or fish, not {:?}", self.completions);
            return Err(SettingsError { flag: "completions", reason });
        };
        Ok(Some(flags::completions(self.side, shell)))
    }

    /// Turns names into values and refuses what cannot work (CLI-14, CLI-15).
    fn check(&mut self) -> Result<(), SettingsError> {
        let refuse = |flag, reason: String| Err(SettingsError { flag, reason });
        let Some(cipher) = Cipher::from_name(&self.crypt) else {
            let names: Vec<&str> = Cipher::ALL.iter().map(|cipher| cipher.name()).collect();
            return refuse(
                "crypt",
                format!("unknown cipher {:?}; known are {}", self.crypt, names.join(", ")),
            );
        };
        self.settings.crypt = cipher;
        self.settings.mode = Mode::from_name(&self.mode);
        self.settings.migrate = !self.no_migrate;
        self.settings.probe = !self.no_probe;
        if !(0..64).contains(&self.dscp) {
            return refuse("dscp", format!("must be from 0 to 63, not {}", self.dscp));
        }
        if Format::from_name(&self.log_format).is_none() {
            return refuse("log-format", format!("must be text or json, not {:?}", self.log_format));
        }
        if self.memlimit != 0 && !(MEMLIMIT_MIB_MIN..=MEMLIMIT_MIB_MAX).contains(&self.memlimit) {
            let reason = format!(
                "must be 0 or from {MEMLIMIT_MIB_MIN} to {MEMLIMIT_MIB_MAX} MiB, not {}",
                self.memlimit
            );
            return refuse("memlimit", reason);
        }
        if self.side == Side::Client && !(1..=i64::from(u16::MAX)).contains(&self.conn) {
            return refuse("conn", format!("conn must be greater than 0 and at most {}", u16::MAX));
        }
        if self.settings.smuxver > 2 {
            return refuse("smuxver", format!("unsupported smux version:{}", self.settings.smuxver));
        }
        Ok(())
    }
}

/// Where a value came from.
#[derive(Clone, Debug)]
enum Origin {
    Environment(&'static str),
    Plugin,
    Flag,
    File(String),
}

/// Where each value that is not a default came from; the last entry of a name counts.
#[derive(Debug, Default)]
pub struct Origins(Vec<(&'static str, Origin)>);

impl Origins {
    fn set_all(&mut self, names: &[&'static str], origin: &Origin) {
        self.0.extend(names.iter().map(|name| (*name, origin.clone())));
    }

    /// Whether that value is not a default.
    fn names(&self, name: &str) -> bool {
        self.0.iter().any(|(given, _)| *given == name)
    }

    /// The error under the name its value was given by.
    pub fn blame(&self, error: &SettingsError) -> ConfigError {
        let SettingsError { flag, reason } = error;
        let last = self.0.iter().rev().find(|(name, _)| name == flag).map(|(_, origin)| origin);
        let (origin, usage) = match last {
            Some(Origin::Environment(variable)) => (format!("${variable}"), false),
            Some(Origin::Plugin) => (format!("SS_PLUGIN_OPTIONS: {flag}"), false),
            Some(Origin::File(path)) => (format!("{path}: key \"{}\"", json_key(flag)), false),
            Some(Origin::Flag) => (format!("--{flag}"), true),
            None => (format!("--{flag} (default)"), true),
        };
        ConfigError::Value { origin, reason: reason.clone(), usage }
    }
}

fn json_key(name: &'static str) -> &'static str {
    TABLE.iter().find(|flag| flag.name == name).and_then(|flag| flag.json).unwrap_or(name)
}
