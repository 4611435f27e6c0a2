use super::draw::{Draw, drawn, probes};
use super::{Refusal, ScenarioError, file, json};
use crate::plan::Scenario;
use crate::rng::Seed;
use serde_json::{Map, Value};

/// A scenario file as it was written, in which some values may be left to the seed.
#[derive(Clone, Debug)]
pub struct ScenarioFile {
    file: String,
    tree: Value,
    name: String,
    description: String,
    seed: u64,
}

impl ScenarioFile {
    /// Reads the text of a scenario file; `file` only names it in errors. For its keys see [`Scenario::parse`].
    ///
    /// Every alternative of a choice and both ends of every range are tried, so that what is impossible is refused here
    /// and not at the seed that draws it first.
    ///
    /// # Errors
    /// The first thing that is not JSON, unknown, missing, or impossible.
    pub fn parse(file: &str, text: &str) -> Result<Self, ScenarioError> {
        json::tree(text).and_then(|tree| Self::new(file, tree)).map_err(|refusal| refused(file, refusal))
    }

    /// The scenario as this seed draws it.
    ///
    /// # Errors
    /// Values drawn together that do not go together.
    pub fn draw(&self, seed: u64) -> Result<Scenario, ScenarioError> {
        plan(&self.tree, Draw::Seed(Seed(seed))).map_err(|refusal| refused(&self.file, refusal))
    }

    /// The same file, for a run in simulated time: in real time, time passes without a link that makes it.
    ///
    /// # Errors
    /// A transfer without end over a link without rate and delay.
    pub fn for_simulation(self) -> Result<Self, ScenarioError> {
        let scenario = self.draw(self.seed())?;
        file::time_passes(&scenario).map_err(|refusal| refused(&self.file, refusal))?;
        Ok(self)
    }

    /// The scenario as this seed draws it, as JSON in which nothing is left to the seed.
    ///
    /// # Errors
    /// As [`ScenarioFile::draw`].
    pub fn drawn(&self, seed: u64) -> Result<Value, ScenarioError> {
        drawn(self.tree.clone(), Draw::Seed(Seed(seed))).map_err(|refusal| refused(&self.file, refusal))
    }

    /// The text of a JSON value as [`ScenarioFile::with`] takes it, decimals exact; `None` when it is not JSON.
    pub fn value(text: &str) -> Option<Value> {
        json::tree(text).ok()
    }

    /// The same file with another value at `path`, such as `client.mode` or `workloads[0].bulk.bytes`. Objects on the
    /// way are made where they are missing, arrays are not.
    ///
    /// # Errors
    /// A path that leads nowhere, or a value that is impossible there.
    pub fn with(&self, path: &str, value: Value) -> Result<Self, ScenarioError> {
        let mut tree = self.tree.clone();
        let changed = json::tree(&value.to_string()).and_then(|value| {
            *place(&mut tree, path).map_err(|reason| (path.to_owned(), reason))? = value;
            Self::new(&self.file, tree)
        });
        changed.map_err(|refusal| refused(&self.file, refusal))
    }

    /// What the file is called in errors.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The scenario's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it shows.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The seed to use when none is given.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    fn new(file: &str, tree: Value) -> Result<Self, Refusal> {
        let first = plan(&tree, Draw::Probe(0))?;
        for number in 1..probes(&tree) {
            plan(&tree, Draw::Probe(number))?;
        }
        let Scenario { name, description, seed, .. } = first;
        Ok(Self { file: file.into(), tree, name, description, seed })
    }
}

fn plan(tree: &Value, draw: Draw) -> Result<Scenario, Refusal> {
    drawn(tree.clone(), draw).and_then(json::typed).and_then(file::build)
}

pub(super) fn refused(file: &str, (path, reason): Refusal) -> ScenarioError {
    ScenarioError { file: file.into(), path, reason }
}

/// The place that `path` names; otherwise what is at the part of the path that exists.
fn place<'t>(tree: &'t mut Value, path: &str) -> Result<&'t mut Value, String> {
    path.split('.').try_fold(tree, |parent, step| {
        let (key, indices) = step.split_at(step.find('[').unwrap_or(step.len()));
        if parent.is_null() {
            *parent = Value::Object(Map::new());
        }
        let has = contents(parent);
        let object =
            parent.as_object_mut().ok_or_else(|| format!("`{key}` does not exist: there is {has}"))?;
        let entry = object.entry(key).or_insert(Value::Null);
        let mut indices = indices.split_terminator(']');
        indices.try_fold(entry, |list, index| {
            let missing = format!("`{key}{index}]` does not exist: there is {}", contents(list));
            let number = index.strip_prefix('[').and_then(|index| index.parse::<usize>().ok());
            number.and_then(|number| list.get_mut(number)).ok_or(missing)
        })
    })
}

/// The entries of a value, in words.
fn contents(value: &Value) -> String {
    match value {
        Value::Array(list) if list.is_empty() => "an array without entries".into(),
        Value::Array(list) => format!("an array with the entries 0 to {}", list.len() - 1),
        Value::Object(object) => {
            let keys: Vec<&str> = object.keys().map(String::as_str).collect();
            format!("an object with the keys {}", keys.join(", "))
        }
        Value::Null => "nothing".into(),
        other => format!("the value {other}"),
    }
}
