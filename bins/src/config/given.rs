//! The values that were given, and where: the environment, a plugin host, the command line, and the JSON file, in this order.

use super::{Config, ConfigError};
use crate::flags::{self, Side};
use engine::options::{Compat, Flag, Mode, Value};
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
pub struct Given {
    values: Vec<(&'static Flag, Value, Origin)>,
    /// The mode given last, if it has no such name.
    unknown_mode: Option<String>,
}

impl Given {
    /// Adds values, which count more than those before. Any unknown mode is `manual` (CLI-14).
    pub(super) fn add(&mut self, values: impl IntoIterator<Item = (&'static Flag, Value)>, origin: &Origin) {
        for (flag, mut value) in values {
            if let Value::Text(name) = &value
                && flag.name == "mode"
            {
                self.unknown_mode = Some(name.to_string()).filter(|name| Mode::from_name(name).is_none());
                if self.unknown_mode.is_some() {
                    value = Value::text(Mode::Manual.name());
                }
            }
            self.values.push((flag, value, origin.clone()));
        }
    }

    /// The warning about a mode that is manual because it has no known name (CLI-14).
    pub(super) fn unknown_mode(&self) -> Option<String> {
        let name = self.unknown_mode.as_ref()?;
        let names = || Mode::ALL.iter().map(|mode| mode.name());
        let hint = match flags::nearest(name, names()) {
            None => format!("; known are {}", names().collect::<Vec<_>>().join(", ")),
            nearest => flags::did_you_mean(nearest),
        };
        Some(format!("mode {name:?} is unknown and works like manual{hint}"))
    }

    /// The configuration, and the first value that no option can have.
    pub(super) fn config(&self, side: Side) -> (Config, Option<ConfigError>) {
        let mode = match self.last("mode") {
            Some((_, Value::Text(name), _)) => Mode::from_name(name),
            _ => None,
        };
        let compat = match self.last("compat") {
            Some((_, Value::Text(name), _)) => Compat::from_name(name),
            _ => None,
        };
        let mut config = Config::new(side, mode.unwrap_or(Mode::Fast), compat);
        let mut refused = None;
        for (flag, value, _) in flags::of(side).filter_map(|flag| self.last(flag.name)) {
            if let Err(reason) = config.set(flag, value) {
                let reason = reason + &correction(flag, value);
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

    /// Whether an option has a value that is not its default by omission.
    pub fn has(&self, name: &str) -> bool {
        self.last(name).is_some()
    }

    fn last(&self, name: &str) -> Option<&(&'static Flag, Value, Origin)> {
        self.values.iter().rev().find(|(flag, ..)| flag.name == name)
    }
}

/// The value that an unknown name was probably meant to be.
fn correction(flag: &Flag, value: &Value) -> String {
    let Value::Text(name) = value else { return String::new() };
    let name = name.to_lowercase();
    let meant = match name.as_str() {
        // Names of other programs.
        "aes-256" | "aes256" | "aes-256-cfb" | "aes-cfb" => Some("aes"),
        "aes-192-cfb" | "aes192" => Some("aes-192"),
        "aes-128-cfb" | "aes128" => Some("aes-128"),
        "aes-256-gcm" | "aes-gcm" | "gcm" => Some("aes-128-gcm"),
        "des3" | "tripledes" | "des-ede3" => Some("3des"),
        "off" | "plain" => Some("none"),
        name => flags::nearest(name, flag.words().into_iter()),
    };
    let meant = meant.filter(|meant| flag.words().contains(meant));
    meant.map_or(String::new(), |meant| format!("; use {meant}"))
}
