//! Scenario files: what is simulated, as data. The format is JSON; see [`Scenario::parse`] for its keys.

mod adversary;
mod draw;
mod expect;
mod faults;
mod file;
mod hosts;
mod json;
mod links;
mod path;
mod rules;
mod sides;
mod source;
mod work;

pub(crate) use file::schema as file_schema;
pub use path::prefix;
pub use source::ScenarioFile;

use crate::plan::Scenario;
use path::Path;

/// Why a scenario file was refused: one line of file, place in the file, and reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {}{reason}", path::prefix(.path))]
pub struct ScenarioError {
    /// Name of the file as given.
    pub file: String,
    /// JSON path such as `links.down.rate_kbit`; `.` is the whole file.
    pub path: String,
    /// What is wrong there.
    pub reason: String,
}

impl Scenario {
    /// Reads the text of a scenario file; `file` only names it in errors.
    ///
    /// Times are milliseconds with up to three decimals and shares are percent with up to four: `20`, `22.5`. They are read
    /// digit by digit, so `0.1` is exact; a string (`"22.5"`) is as good. Unknown keys are refused.
    ///
    /// Any number may be left to the seed as a range, `"10..80"` or `"0.5..2.5"` with both ends included, and any value
    /// as `{"choice": [...]}`; this function draws them for the file's own seed, [`ScenarioFile`] for any.
    ///
    /// Every key is described in the schema of the file (`karst-sim schema scenario`), from which the tables of sim/README.md
    /// are made.
    ///
    /// Any value of a link may instead be a schedule over time, an array of `[at_ms, value]` pairs that starts at 0:
    /// `"delay_ms": [[0, 20], [5000, 80], [8000, 20]]`.
    ///
    /// The adversary observes a datagram as it is sent, before a link can lose or queue it, and reacts at once. What it
    /// injects has the link's delay and passes no other element. It never decrypts; it knows the session of a datagram
    /// and its number among those of its session and direction.
    ///
    /// # Errors
    /// The first thing that is not JSON, unknown, missing, or impossible.
    pub fn parse(file: &str, text: &str) -> Result<Self, ScenarioError> {
        let source = ScenarioFile::parse(file, text)?;
        source.draw(source.seed())
    }

    /// As [`Scenario::parse`], of JSON in which nothing is left to the seed; `file` only names it in errors.
    ///
    /// # Errors
    /// The first thing that is unknown, missing, or impossible.
    pub fn of_json(file: &str, tree: serde_json::Value) -> Result<Self, ScenarioError> {
        json::tree(&tree.to_string())
            .and_then(json::typed)
            .and_then(file::build)
            .map_err(|refusal| source::refused(file, refusal))
    }
}

/// Place in the file, and reason.
type Refusal = (String, String);
