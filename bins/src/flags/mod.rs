//! The options of both programs: one table, Go's way of writing them, and the help made from the table.

mod completions;
mod go;
mod help;
mod man;
mod markdown;
mod parse;
mod table;

pub use completions::{Shell, completions};
pub use go::{GoError, parse_bool, parse_int};
pub use help::help;
pub use man::man;
pub use markdown::markdown;
pub use parse::{Given, UsageError, parse};
pub use table::TABLE;

use crate::config::Config;

/// One of the two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// karst-client: accepts TCP, dials KCP.
    Client,
    /// karst-server: accepts KCP, dials TCP.
    Server,
}

impl Side {
    /// Name of the program.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Client => "karst-client",
            Self::Server => "karst-server",
        }
    }
}

/// An option of the command line and of the JSON file (CLI-1).
#[derive(Debug)]
pub struct Flag {
    /// Long name, as kcptun has it.
    pub name: &'static str,
    /// Chapter of the help.
    pub group: Group,
    /// Other spellings.
    pub aliases: &'static [&'static str],
    /// Key in the JSON file.
    pub json: Option<&'static str>,
    /// Environment variable that replaces the default.
    pub env: Option<&'static str>,
    /// Where the value goes, and so its type.
    pub field: Field,
    /// Default of the client; `None` when only the server has the option.
    pub client: Option<&'static str>,
    /// Default of the server; `None` when only the client has the option.
    pub server: Option<&'static str>,
    /// Left out of the help, as in kcptun.
    pub hidden: bool,
    /// Year of the first kcptun reference that has it, 2021 or 2026; [`KARST`] when none has.
    pub since: u16,
    /// Text of the help.
    pub help: &'static str,
}

impl Flag {
    /// The default on that side; `None` when the side has no such option.
    pub const fn default_for(&self, side: Side) -> Option<&'static str> {
        match side {
            Side::Client => self.client,
            Side::Server => self.server,
        }
    }

    /// Type of the value.
    pub const fn kind(&self) -> Kind {
        match self.field {
            Field::Str(_) => Kind::Str,
            Field::Int(_) => Kind::Int,
            Field::Bool(_) => Kind::Bool,
            Field::Later(kind) => kind,
        }
    }

    /// Whether the option has an effect; if not, it is refused (CLI-19).
    pub const fn is_supported(&self) -> bool {
        !matches!(self.field, Field::Later(_))
    }

    /// Whether `spelling` is the name or an alias.
    pub fn answers_to(&self, spelling: &str) -> bool {
        self.name == spelling || self.aliases.contains(&spelling)
    }
}

/// [`Flag::since`] of an option that kcptun does not have.
pub const KARST: u16 = u16::MAX;

/// A chapter of the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Where from and where to.
    Addresses,
    /// Secret and ciphers.
    Security,
    /// Datagrams, FEC and retransmission.
    Transport,
    /// Multiplexer and sessions.
    Streams,
    /// Logs and counters.
    Diagnostics,
    /// The program itself.
    Program,
}

impl Group {
    /// Every chapter, in order.
    pub const ALL: &[Self] =
        &[Self::Addresses, Self::Security, Self::Transport, Self::Streams, Self::Diagnostics, Self::Program];

    /// Heading of the chapter.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Addresses => "Addresses",
            Self::Security => "Security",
            Self::Transport => "Transport",
            Self::Streams => "Sessions and streams",
            Self::Diagnostics => "Logs and statistics",
            Self::Program => "Program",
        }
    }
}

/// Where an option's value is stored. What has no place to go cannot be accepted.
#[derive(Clone, Copy, Debug)]
pub enum Field {
    /// Text.
    Str(fn(&mut Config) -> &mut String),
    /// A 64-bit integer, as in Go.
    Int(fn(&mut Config) -> &mut i64),
    /// On or off.
    Bool(fn(&mut Config) -> &mut bool),
    /// Known, but not supported yet.
    Later(Kind),
}

/// Type of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Str,
    /// 64-bit integer.
    Int,
    /// On or off; needs no value on the command line.
    Bool,
}

/// The option of that spelling, if `side` has it.
pub fn find(side: Side, spelling: &str) -> Option<&'static Flag> {
    TABLE.iter().find(|flag| flag.default_for(side).is_some() && flag.answers_to(spelling))
}
