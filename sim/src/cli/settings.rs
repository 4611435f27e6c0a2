//! Values of a scenario file replaced on the command line.

use anyhow::Context;
use serde_json::Value;
use sim::ScenarioFile;

/// `PATH=VALUE`; a value that is not JSON is a string.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    path: String,
    value: Value,
}

impl std::str::FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, value) = text.split_once('=').ok_or("must be PATH=VALUE, such as client.mode=fast3")?;
        let value = ScenarioFile::value(value).unwrap_or_else(|| Value::String(value.into()));
        Ok(Self { path: path.into(), value })
    }
}

/// Replaces values of `file`.
pub(crate) fn apply(file: ScenarioFile, settings: &[Setting]) -> anyhow::Result<ScenarioFile> {
    settings.iter().try_fold(file, |file, Setting { path, value }| {
        file.with(path, value.clone()).with_context(|| format!("--set {path}"))
    })
}

/// The settings as one line.
pub(crate) fn words(settings: &[Setting]) -> String {
    let shown = settings.iter().map(|Setting { path, value }| match value {
        Value::String(text) => format!("{path}={text}"),
        other => format!("{path}={other}"),
    });
    shown.collect::<Vec<_>>().join(" ")
}
