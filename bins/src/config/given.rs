//! The values that were given, and where: the environment, a plugin host, the command line, and the JSON file, in this order.

use super::{Config, ConfigError};
use crate::flags::{self, Side};
use engine::options::{Flag, Mode, Value};
use engine::settings::SettingsError;

/// Source of a value.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    Environment(&'static str),
    Plugin,
    Flag,
    File(String),
}

/// Every value that is not a default, with its origin; the last one of an option counts.
#[derive(Debug, Default)]
pub struct Given(Vec<(&'static Flag, Value, Origin)>);

impl Given {
    /// Adds values, which count more than those before. Any unknown mode is `manual` (CLI-14).
    pub(super) fn add(&mut self, values: impl IntoIterator<Item = (&'static Flag, Value)>, origin: &Origin) {
        self.0.extend(values.into_iter().map(|(flag, value)| match value {
            Value::Text(text) if flag.name == "mode" && Mode::from_name(&text).is_none() => {
                (flag, Value::text(Mode::Manual.name()), origin.clone())
            }
            value => (flag, value, origin.clone()),
        }));
    }

    /// The configuration, and the first value that no option can have.
    pub(super) fn config(&self, side: Side) -> (Config, Option<ConfigError>) {
        let mode = match self.last("mode") {
            Some((_, Value::Text(name), _)) => Mode::from_name(name),
            _ => None,
        };
        let mut config = Config::new(side, mode.unwrap_or(Mode::Fast));
        let mut refused = None;
        for (flag, value, _) in flags::of(side).filter_map(|flag| self.last(flag.name)) {
            if let Err(reason) = config.set(flag, value) {
                refused = refused.or(Some(self.blame(&SettingsError { flag: flag.name, reason })));
            }
        }
        (config, refused)
    }

    /// The error under the name that gave the value.
    pub fn blame(&self, error: &SettingsError) -> ConfigError {
        let SettingsError { flag: name, reason } = error;
        let (origin, usage) = match self.last(name) {
            Some((_, _, Origin::Environment(variable))) => (format!("${variable}"), false),
            Some((_, _, Origin::Plugin)) => (format!("SS_PLUGIN_OPTIONS: {name}"), false),
            Some((flag, _, Origin::File(path))) => {
                (format!("{path}: key \"{}\"", flag.json.unwrap_or(name)), false)
            }
            Some((_, _, Origin::Flag)) => (format!("--{name}"), true),
            None => (format!("--{name} (default)"), true),
        };
        ConfigError::Value { origin, reason: reason.clone(), usage }
    }

    fn last(&self, name: &str) -> Option<&(&'static Flag, Value, Origin)> {
        self.0.iter().rev().find(|(flag, ..)| flag.name == name)
    }
}
