//! One row of a table of options.

use super::{Kind, Mode, Typed, Value};

/// One of the two programs, or one end of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Accepts TCP, dials KCP.
    Client,
    /// Accepts KCP, dials TCP.
    Server,
}

impl Side {
    /// karst's program for that side.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Client => "karst-client",
            Self::Server => "karst-server",
        }
    }
}

/// An option of the command line, the JSON file and scenario files.
#[derive(Clone, Debug)]
pub struct Flag {
    /// Long name, as kcptun spells it.
    pub name: &'static str,
    /// Chapter of the help.
    pub group: Group,
    /// Other spellings.
    pub aliases: &'static [&'static str],
    /// Key in JSON files; `None` for what makes sense on a command line only.
    pub json: Option<&'static str>,
    /// Another program's key for it.
    pub json_alias: Option<&'static str>,
    /// Environment variable that replaces the default.
    pub env: Option<&'static str>,
    /// Year of the first kcptun reference that has it, 2021 or 2026; [`KARST`] or [`KCPTUNB`] when none has.
    pub since: u16,
    /// Listed by `--help-all` only, as in kcptun.
    pub expert: bool,
    /// Whether the value names a file.
    pub file: bool,
    /// Whether JSON files may have an array of texts, which commas separate in the value.
    pub list: bool,
    /// Whether a negative number has a meaning, or an error of its own.
    pub signed: bool,
    /// Type of the value.
    pub kind: Kind,
    meaning: &'static str,
    words: fn() -> Vec<&'static str>,
    default: Value,
    default_server: Option<i64>,
    default_auto: Option<i64>,
    only: Option<Side>,
}

/// [`Flag::since`] of an option that kcptun does not have.
pub const KARST: u16 = u16::MAX;

/// [`Flag::since`] of an option that only kcptunB has.
pub const KCPTUNB: u16 = u16::MAX - 1;

/// A row: an option that both sides have since 2021, whose JSON key is its name.
pub const fn flag(name: &'static str, group: Group, default: Value, meaning: &'static str) -> Flag {
    Flag {
        name,
        group,
        aliases: &[],
        json: Some(name),
        json_alias: None,
        env: None,
        since: 2021,
        expert: false,
        file: false,
        list: false,
        signed: false,
        kind: Kind::Text,
        meaning,
        words: Vec::new,
        default,
        default_server: None,
        default_auto: None,
        only: None,
    }
}

/// What makes a row differ from [`flag`].
impl Flag {
    /// Another spelling.
    pub const fn alias(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// A key in JSON files that is not the name, or none.
    pub const fn json(mut self, key: Option<&'static str>) -> Self {
        self.json = key;
        self
    }

    /// Another program's key for it in JSON files.
    pub const fn json_alias(mut self, key: &'static str) -> Self {
        self.json_alias = Some(key);
        self
    }

    /// An environment variable that replaces the default.
    pub const fn env(mut self, variable: &'static str) -> Self {
        self.env = Some(variable);
        self
    }

    /// Year of the first kcptun that has it, [`KARST`] or [`KCPTUNB`].
    pub const fn since(mut self, year: u16) -> Self {
        self.since = year;
        self
    }

    /// Listed by `--help-all` only.
    pub const fn expert(mut self) -> Self {
        self.expert = true;
        self
    }

    /// A negative number has a meaning, or an error of its own.
    pub const fn signed(mut self) -> Self {
        self.signed = true;
        self
    }

    /// The value names a file.
    pub const fn file(mut self) -> Self {
        self.file = true;
        self
    }

    /// The value is a list, which may be an array in JSON files.
    pub const fn list(mut self) -> Self {
        self.list = true;
        self
    }

    /// Only that side has the option.
    pub const fn only(mut self, side: Side) -> Self {
        self.only = Some(side);
        self
    }

    /// Another default on the server.
    pub const fn server(mut self, default: i64) -> Self {
        self.default_server = Some(default);
        self
    }

    /// Another default in the mode `auto`, on both sides.
    pub const fn auto(mut self, default: i64) -> Self {
        self.default_auto = Some(default);
        self
    }

    /// The type of the field that holds the value.
    #[doc(hidden)]
    pub const fn of<T: Typed>(mut self) -> Self {
        self.kind = T::KIND;
        self.words = T::words;
        self
    }
}

impl Flag {
    /// Whether `side` has the option.
    pub fn is_on(&self, side: Side) -> bool {
        self.only.is_none_or(|only| only == side)
    }

    /// The default on that side; `None` when the side does not have the option.
    pub fn default_for(&self, side: Side) -> Option<Value> {
        self.is_on(side).then(|| self.default_in(side, Mode::Fast))
    }

    /// What the option does, and the names that it knows, for the help.
    pub fn help(&self) -> String {
        let words = self.words().join(", ");
        match (self.meaning, words.as_str()) {
            (meaning, "") => meaning.into(),
            ("", words) => words.into(),
            (meaning, words) => format!("{meaning}: {words}"),
        }
    }

    /// The values of an option that takes one of a few names; empty for any other.
    pub fn words(&self) -> Vec<&'static str> {
        (self.words)()
    }

    /// Whether `spelling` is the name or an alias.
    pub fn answers_to(&self, spelling: &str) -> bool {
        self.name == spelling || self.aliases.contains(&spelling)
    }

    /// The default of a field of type `T`.
    #[doc(hidden)]
    pub fn typed_default<T: Typed>(&self, side: Side, mode: Mode) -> T {
        T::read(&self.default_in(side, mode)).expect("the table's defaults have the types of their fields")
    }

    fn default_in(&self, side: Side, mode: Mode) -> Value {
        let by_side = self.default_server.filter(|_| side == Side::Server);
        let by_mode = self.default_auto.filter(|_| mode == Mode::Auto);
        by_mode.or(by_side).map_or_else(|| self.default.clone(), Value::Int)
    }
}

/// A chapter of the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Where connections come from and go to.
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
