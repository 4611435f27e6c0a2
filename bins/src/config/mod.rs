//! Options as a program runs with them: defaults, then the environment, then flags, then the JSON file (CLI-9, CLI-38).

mod given;
mod json;
mod sip003;

pub use given::Given;
pub use json::{FileError, FileReason, JsonFile, parse as parse_json};
pub use sip003::{PluginError, is_plugin};

use crate::datagrams::SocketOptions;
use crate::flags::{self, Program, Side, UsageError};
use crate::net::address::Address;
use crate::net::dns::Resolvers;
use crate::net::network::System;
use crate::platform::forged;
use crate::proxy::Ser;
use crate::proxy::allow::AllowList;
use engine::Settings;
use engine::crypt::Cipher;
use engine::options::{Compat, Flag, Mode, Value, bytes_of};
use engine::qpp::{KEY_LEN_ADVISED, PADS_ADVISED};
use engine::settings::SettingsError;
use engine::tunnel::MTU_MAX;
use given::Origin;
use std::io;
use std::net::IpAddr;

/// Where profiles are served unless told otherwise: kcptun's port, for this machine only (CLI-42).
pub const PPROF_ADDRESS: &str = "127.0.0.1:6060";

/// Overrides the mode of flags and file, for front ends whose list of modes is fixed (CLI-72).
const MODE_VARIABLE: &str = "KARST_MODE";

/// Largest size of one read from a connection.
const PIPE_BYTES_MAX: usize = 1 << 24;

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
    let mut warnings = Vec::new();
    let words: Vec<String> = match sip003::read(&environment, side, &mut given, &mut warnings)? {
        true => words.iter().filter(|word| !sip003::is_of_host(word)).cloned().collect(),
        false => words.to_vec(),
    };
    let line = flags::parse(side, &words)?;
    given.add(line.given, &Origin::Flag);
    // What is invalid here may be overridden by the file, and does not matter when only text is printed.
    let (mut config, _) = given.config(side);
    config.program.help |= matches!(line.word.as_deref(), Some("help" | "h"));
    if let Some(text) = config.printout() {
        return Ok(Command::Print(text));
    }
    if let (Some(word), false) = (line.word, config.program.go_args) {
        let hint = line.hint.unwrap_or_else(|| {
            "options begin with a hyphen; --go-args ignores it and all words after it, as kcptun does".into()
        });
        return Err(UsageError::Leftover { word, hint }.into());
    }
    let path = config.program.file;
    if !path.is_empty() {
        let file = json::read(&path, side)?;
        warnings.extend(file.unknown.iter().map(|key| {
            let meant = flags::did_you_mean(json::nearest(side, key));
            format!("{path}: unknown key \"{key}\" ignored{meant}")
        }));
        if file.replaced {
            warnings.push(format!(
                "WARNING: {path}: bytes that are not UTF-8 are read as U+FFFD, as kcptun reads them; a key with such bytes is weak: \
                 save the file as UTF-8"
            ));
        }
        given.add(file.given, &Origin::File(path));
    }
    if let Some(mode) = environment(MODE_VARIABLE).filter(|mode| !mode.is_empty()) {
        let flag = flags::find(side, "mode").map(|flag| (flag, Value::Text(mode.into())));
        given.add(flag, &Origin::Environment(MODE_VARIABLE));
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
    warnings.extend(given.unknown_mode());
    warnings.extend(config.weak_protection());
    warnings.extend(config.open_proxy());
    warnings.extend(config.fit_memory());
    warnings.extend(config.weak_pads());
    warnings.extend(config.without_effect(&given));
    Ok(Command::Run(Box::new(config), given, warnings))
}

impl Config {
    /// The defaults of `side` in that mode (CLI-55), toward peers of a generation (CLI-111).
    pub fn new(side: Side, mode: Mode, compat: Option<Compat>) -> Self {
        let mut program = Program::defaults(side, mode);
        for (name, value) in compat.iter().flat_map(|compat| compat.defaults(side)) {
            // Those of the engine are in its settings.
            let _ = flags::find(side, name).map(|flag| program.set(flag, &value));
        }
        Self { side, settings: Settings::toward(side, mode, compat), program }
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
            // A server's sockets have many peers, each of which could fill the queue.
            reports: self.side == Side::Client,
        }
    }

    /// What forged TCP is set to, if it is on; checks that it can be used.
    ///
    /// # Errors
    /// As [`forged::Settings::checked`].
    pub fn forged(&self) -> io::Result<Option<forged::Settings>> {
        let Program { tcp, interface, sockbuf, .. } = &self.program;
        let dscp = self.socket_options().dscp;
        tcp.variant().map(|_| forged::Settings::checked(interface, *sockbuf, dscp)).transpose()
    }

    /// The system's network, as the options set it up.
    pub fn network(&self) -> System {
        // What cannot be read was refused before.
        let resolvers = Resolvers::parse(&self.program.dns).unwrap_or_default();
        System { fast_open: self.program.tfo, resolvers }
    }

    /// Bytes read from a connection at once.
    pub fn pipe_bytes(&self) -> usize {
        usize::try_from(self.program.pipebuf).unwrap_or(0).clamp(1, PIPE_BYTES_MAX)
    }

    /// Where profiles are served; `None` for nowhere.
    pub fn pprof_address(&self) -> Option<&str> {
        match self.program.pprof_addr.as_str() {
            "" => self.program.pprof.then_some(PPROF_ADDRESS),
            address => Some(address),
        }
    }

    /// A warning about a proxy that other machines can use (CLI-113).
    fn open_proxy(&self) -> Option<String> {
        let Program { ser, ser_auth, localaddr, .. } = &self.program;
        let is_proxy = matches!(ser, Ser::Socks5 | Ser::Http) && ser_auth.is_empty();
        let Ok(Address::Tcp(host, _)) = Address::parse(localaddr) else { return None };
        let is_local = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        (is_proxy && !is_local).then(|| {
            format!(
                "WARNING: every machine that reaches {localaddr} can use the proxy: \
                 listen on 127.0.0.1, or set --ser-auth"
            )
        })
    }

    /// Warnings about a key or cipher that protects little (CLI-73).
    fn weak_protection(&self) -> Vec<String> {
        let Settings { key, crypt, .. } = &self.settings;
        let cipher = match crypt {
            Cipher::Null => Some("sends everything in clear, without a checksum"),
            Cipher::None => Some("sends everything in clear"),
            Cipher::Xor => Some("is no encryption: two datagrams reveal its table"),
            Cipher::Tea => Some("is weak: 8 of 32 cycles, 64-bit blocks"),
            Cipher::Xtea | Cipher::TripleDes | Cipher::Blowfish | Cipher::Cast5 => {
                Some("is weak: its 64-bit blocks repeat after some gigabytes")
            }
            _ => None,
        };
        let cipher = cipher.map(|fault| format!("WARNING: crypt {} {fault}", crypt.name()));
        let is_default = *key == Settings::client().key && !matches!(crypt, Cipher::Null | Cipher::None);
        let key = is_default.then(|| {
            "WARNING: the key is kcptun's public default: anyone can read and join this tunnel, set --key or KCPTUN_KEY"
                .to_owned()
        });
        cipher.into_iter().chain(key).collect()
    }

    /// What kcptun warns of when QPP is on (kcptun std/qpp.go).
    fn weak_pads(&self) -> Vec<String> {
        let Settings { qpp, key, .. } = &self.settings;
        let mut warnings = Vec::new();
        if !qpp {
            return warnings;
        }
        let (given, qpp_count) = (self.settings.qpp_count, i64::from(self.settings.pads_in_use()));
        if given != qpp_count {
            warnings.push(format!("QPPCount {given} is taken modulo 65536, using {qpp_count}"));
        }
        let key_bytes = bytes_of(key).len();
        if key_bytes < KEY_LEN_ADVISED {
            let text = format!("WARNING: QPP: the key has {key_bytes} bytes, {KEY_LEN_ADVISED} are advised");
            warnings.push(text);
        }
        if qpp_count < i64::from(PADS_ADVISED) {
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

    /// Options that were given, but do nothing because the one that they belong to is off (CLI-118). Those of kcptun are left out:
    /// its example files set them whether they are used or not.
    fn without_effect(&self, given: &Given) -> Vec<String> {
        let Program { tcp, metrics, ser, .. } = &self.program;
        let owners = [
            ("interface", "tcp", tcp.variant().is_some()),
            ("metrics-host", "metrics", !metrics.is_empty()),
            ("ser-allow", "ser fast", *ser == Ser::Fast),
            ("ser-auth", "ser socks5 or --ser http", matches!(ser, Ser::Socks5 | Ser::Http)),
        ];
        let idle = owners.into_iter().filter(|(name, _, active)| !active && given.has(name));
        idle.map(|(name, owner, _)| format!("{name} has no effect without --{owner}")).collect()
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
            // Front ends of kcptun search for its name, and then read the version (CLI-27).
            return Some(format!("kcptun (karst) {} {}\n", crate::VERSION, self.side.program()));
        }
        if *man {
            return Some(flags::man(self.side));
        }
        completions.map(|shell| flags::completions(self.side, shell))
    }

    /// The first number that is negative where kcptun has no meaning for that (CLI-74).
    fn negative(&self) -> Option<(&'static str, i64)> {
        let names = flags::of(self.side).filter(|flag| !flag.signed);
        let mut numbers = names.filter_map(|flag| match self.value(flag) {
            Some(Value::Int(value)) => Some((flag.name, value)),
            _ => None,
        });
        numbers.find(|(_, value)| *value < 0)
    }

    /// Refuses a proxy of the other side, and one that nothing could use, or anyone (CLI-113, CLI-114).
    fn check_proxy(&self) -> Result<(), SettingsError> {
        let refuse = |flag, reason: String| Err(SettingsError { flag, reason });
        let Program { ser, ser_allow, ser_auth, dns, .. } = &self.program;
        match (self.side, ser) {
            (Side::Client, Ser::Fast) => {
                return refuse("ser", "must be raw, socks5 or http on a client; fast is the server's".into());
            }
            (Side::Server, Ser::Socks5 | Ser::Http) => {
                return refuse(
                    "ser",
                    format!("must be raw or fast on a server; use fast for clients with {}", ser.name()),
                );
            }
            _ => {}
        }
        let allow =
            AllowList::parse(ser_allow).map_err(|reason| SettingsError { flag: "ser-allow", reason })?;
        if self.side == Side::Server && *ser == Ser::Fast && allow.is_empty() {
            let reason = "fast needs --ser-allow with the destinations that clients may connect to, \
                          for example --ser-allow 0.0.0.0/0,::/0 for all public addresses";
            return refuse("ser", reason.into());
        }
        Resolvers::parse(dns).map_err(|reason| SettingsError { flag: "dns", reason })?;
        if !ser_auth.is_empty() && !ser_auth.contains(':') {
            return refuse("ser-auth", "must be USER:PASSWORD".into());
        }
        Ok(())
    }

    /// Refuses numbers that cannot work (CLI-14, CLI-15).
    fn check(&self) -> Result<(), SettingsError> {
        let refuse = |flag, reason: String| Err(SettingsError { flag, reason });
        let Program { dscp, memlimit, conn, .. } = self.program;
        if let Some((flag, value)) = self.negative() {
            return refuse(flag, format!("must not be negative, but is {value}"));
        }
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
        self.check_proxy()?;
        if self.settings.smuxver > 2 {
            return refuse("smuxver", format!("unsupported smux version:{}", self.settings.smuxver));
        }
        Ok(())
    }
}
