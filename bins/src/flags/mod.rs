//! The options of both programs, Go's command-line syntax, and the help generated from the tables.

mod completions;
mod go;
mod help;
mod man;
mod markdown;
mod parse;
mod program;
mod tcp;

pub use completions::{Shell, completions};
pub use engine::options::Side;
pub use go::{GoError, parse_bool, parse_int};
pub use help::help;
pub use man::man;
pub use markdown::markdown;
pub use parse::{CommandLine, UsageError, parse};
pub(crate) use parse::{DASHES, did_you_mean, nearest};
pub use program::Program;
pub use tcp::Tcp;

use engine::Settings;
use engine::options::{Flag, Mode, Value};

/// Every option of both programs: the engine's, then the programs' own.
pub fn table() -> impl Iterator<Item = &'static Flag> {
    Settings::TABLE.iter().chain(Program::TABLE)
}

/// The options of one program.
pub fn of(side: Side) -> impl Iterator<Item = &'static Flag> {
    table().filter(move |flag| flag.is_on(side))
}

/// The option of that spelling, if `side` has it.
pub fn find(side: Side, spelling: &str) -> Option<&'static Flag> {
    of(side).find(|flag| flag.answers_to(spelling))
}

/// A word as the value of a switch that knows it.
pub(crate) fn word(flag: &Flag, word: &str) -> Option<Value> {
    let value = Value::Text(word.to_owned().into());
    let known = Program::defaults(Side::Client, Mode::Fast).set(flag, &value);
    known.is_ok_and(|known| known).then_some(value)
}
