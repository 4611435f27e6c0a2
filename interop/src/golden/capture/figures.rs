//! Comparison of recorded figures with counted ones.

use super::{Checked, broken, differs};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Names and counts of one direction; nested objects are flattened to `mux_frames.PSH`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Figures(BTreeMap<String, u64>);

impl Figures {
    /// Parses recorded figures.
    pub(super) fn recorded(object: &Map<String, Value>) -> Checked<Self> {
        let mut figures = Self::default();
        figures.read("", object)?;
        Ok(figures)
    }

    fn read(&mut self, prefix: &str, object: &Map<String, Value>) -> Checked<()> {
        for (name, value) in object {
            match value {
                Value::Object(inner) => self.read(&format!("{prefix}{name}."), inner)?,
                value => match value.as_u64() {
                    Some(count) => self.set(&format!("{prefix}{name}"), count),
                    None => return broken(format!("figure {prefix}{name} is not a count: {value}")),
                },
            }
        }
        Ok(())
    }

    /// Sets a count, also to zero.
    pub(super) fn set(&mut self, name: &str, count: u64) {
        self.0.insert(name.to_owned(), count);
    }

    /// Sets a count that is only recorded when it is not zero.
    pub(super) fn set_nonzero(&mut self, name: &str, count: u64) {
        if count > 0 {
            self.set(name, count);
        }
    }

    /// Increments a count.
    pub(super) fn add(&mut self, name: &str) {
        *self.0.entry(name.to_owned()).or_default() += 1;
    }

    /// A count; zero if absent.
    pub(super) fn count(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Compares all figures whose name passes `within`; returns their number.
    pub(super) fn compare(&self, recorded: &Self, within: impl Fn(&str) -> bool) -> Checked<usize> {
        let names: Vec<&String> =
            self.0.keys().chain(recorded.0.keys()).filter(|name| within(name)).collect();
        for name in &names {
            let (want, have) = (recorded.0.get(*name), self.0.get(*name));
            if want != have {
                return differs(format!("figure {name}: recorded {}, found {}", shown(want), shown(have)));
            }
        }
        Ok(names.len().div_ceil(2))
    }
}

fn shown(count: Option<&u64>) -> String {
    count.map_or_else(|| "none".to_owned(), u64::to_string)
}
