//! The subcommands and their shared parts. Each returns whether every check passed.

pub(crate) mod compare;
pub(crate) mod explain;
mod figures;
pub(crate) mod list;
pub(crate) mod pins;
mod pool;
mod progress;
mod record;
pub(crate) mod run;
pub(crate) mod schema;
mod seeds;
mod settings;
pub(crate) mod shrink;
mod summary;
pub(crate) mod swarm;
pub(crate) mod trace;

use anyhow::Context;
use sim::ScenarioFile;
use sim::outcome::{Outcome, Results};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes to standard output.
fn to_stdout(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("standard output")
}

fn load(path: &Path) -> anyhow::Result<ScenarioFile> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| name.clone())?;
    Ok(ScenarioFile::parse(&name, &text)?.for_simulation()?)
}

/// A path below `folder` as the documents name it: with slashes, also where the system has other separators (PLAT-5).
fn name_below(path: &Path, folder: &Path) -> String {
    let parts = path.strip_prefix(folder).unwrap_or(path).iter().map(|part| part.to_string_lossy());
    parts.collect::<Vec<_>>().join("/")
}

/// Scenario files below `folder`, sorted by path. Files with a `format` or a `$schema`, and the folder of recordings, are
/// skipped.
fn scenario_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry.with_context(|| folder.display().to_string())?.path();
            if path.is_dir() {
                folders.extend((!path.ends_with("golden")).then_some(path));
            } else if path.extension().is_some_and(|extension| extension == "json") && !is_labelled(&path)? {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Whether the file declares another format.
fn is_labelled(path: &Path) -> anyhow::Result<bool> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let labelled = |json: serde_json::Value| json.get("format").or(json.get("$schema")).is_some();
    Ok(serde_json::from_str(&text).is_ok_and(labelled))
}

/// Plays `file` with the random values of `seed`.
fn play(file: &ScenarioFile, seed: u64) -> anyhow::Result<Outcome> {
    let scenario = file.draw(seed)?;
    timed(|| Ok(sim::play(&scenario, seed)))
}

/// Measures the real time of a run.
#[expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "real time does not affect the run")]
fn timed(run: impl FnOnce() -> anyhow::Result<Outcome>) -> anyhow::Result<Outcome> {
    let start = std::time::Instant::now();
    let mut outcome = run()?;
    outcome.wall_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
    Ok(outcome)
}

/// Writes a results file if `path` is given.
fn save(path: Option<&PathBuf>, runs: Vec<Outcome>) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let mut json = serde_json::to_string_pretty(&Results::new(runs)).context("results")?;
    json.push('\n');
    std::fs::write(path, json).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    // PLAT-5
    #[test]
    fn names_of_scenarios_have_slashes() {
        let folder: PathBuf = ["scenarios"].iter().collect();
        let path: PathBuf = ["scenarios", "hostile", "race.json"].iter().collect();
        assert_eq!(name_below(&path, &folder), "hostile/race.json");
        assert_eq!(name_below(&path, Path::new("elsewhere")), "scenarios/hostile/race.json");
    }
}
