//! `karst-sim pins`: the determinism gate.

use super::pool::Jobs;
use super::{load, name_below, scenario_files, to_stdout};
use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use sim::outcome::Verdict;
use sim::scenario::prefix;
use sim::tools::gate::{self, Divergence};
use sim::{Outcome, ScenarioFile};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const FORMAT: &str = "karst-pins/1";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// File of pinned hashes. It covers the scenario files in its folder and below, except in folders with their own
    /// pins.
    #[arg(value_name = "PINS.json", default_value = "scenarios/pins.json")]
    pins: PathBuf,
    /// Write the hashes of these runs to the file.
    #[arg(long)]
    update: bool,
    /// Play only scenarios whose pinned run has at most this many events.
    #[arg(long, value_name = "N", conflicts_with = "update")]
    events_max: Option<u64>,
    /// Play every scenario only once, to compare builds.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    jobs: Jobs,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pins {
    format: String,
    /// Pins by path relative to the folder of the file.
    pins: BTreeMap<String, Pin>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    seed: u64,
    trace_hash: String,
    events: u64,
}

pub(crate) fn main(args: &Args) -> anyhow::Result<bool> {
    let folder = args.pins.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let pinned = if args.update && !args.pins.exists() { BTreeMap::new() } else { read(&args.pins)? };
    let mut files = Vec::new();
    for path in scenario_files(folder)? {
        if has_own_pins(&path, folder, &args.pins) {
            continue;
        }
        let name = name_below(&path, folder);
        let is_short = |pin: &Pin| args.events_max.is_none_or(|most| pin.events <= most);
        if pinned.get(&name).is_none_or(is_short) {
            files.push((name, load(&path)?));
        }
    }
    let all = args.jobs.run(&files, |(_, file)| played(file, args.once))?;
    let verdicts: Vec<_> = files.iter().map(|(name, _)| name.as_str()).zip(&all).collect();
    if args.update { update(args, &verdicts) } else { compare(args, folder, &pinned, &verdicts) }
}

/// Whether a folder between `root`, the folder of `pins`, and the scenario has its own file of pins.
fn has_own_pins(scenario: &Path, root: &Path, pins: &Path) -> bool {
    let mut between = scenario.ancestors().skip(1).take_while(|folder| *folder != root);
    pins.file_name().is_some_and(|name| between.any(|folder| folder.join(name).exists()))
}

fn read(path: &Path) -> anyhow::Result<BTreeMap<String, Pin>> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| name.clone())?;
    let pins: Pins = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(&text))
        .map_err(|error| anyhow::anyhow!("{name}: {}{}", prefix(&error.path().to_string()), error.inner()))?;
    ensure!(pins.format == FORMAT, "{name}: format: is `{}`, not `{FORMAT}`", pins.format);
    Ok(pins.pins)
}

type Played = Result<Outcome, Divergence>;

fn played(file: &ScenarioFile, once: bool) -> anyhow::Result<Played> {
    let (seed, scenario) = (file.seed(), file.draw(file.seed())?);
    Ok(if once { Ok(sim::play(&scenario, seed)) } else { gate::play_twice(&scenario, seed) })
}

/// The entry of a run in the file of pins.
pub(crate) fn entry(outcome: &Outcome) -> anyhow::Result<String> {
    Ok(serde_json::to_string(&pin(outcome))?)
}

fn pin(outcome: &Outcome) -> Pin {
    let Outcome { seed, trace_hash, events, .. } = *outcome;
    Pin { seed, trace_hash: format!("{trace_hash:016x}"), events }
}

/// Prints the mismatches; returns whether there are none.
fn compare(
    args: &Args,
    folder: &Path,
    pinned: &BTreeMap<String, Pin>,
    verdicts: &[(&str, &Played)],
) -> anyhow::Result<bool> {
    let mut good = 0;
    for (name, verdict) in verdicts {
        match complaint(pinned.get(*name), verdict) {
            Some(complaint) => to_stdout(&format!("{name}: {complaint}\n"))?,
            None => good += 1,
        }
    }
    let mut vanished = pinned.keys().filter(|name| !folder.join(name).exists()).peekable();
    let complete = vanished.peek().is_none();
    for name in vanished {
        to_stdout(&format!("{name}: pinned, but the file is missing\n"))?;
    }
    let times = if args.once { "once" } else { "twice" };
    let skipped = pinned.len().saturating_sub(verdicts.len());
    to_stdout(&format!(
        "{}: {good} of {} runs as pinned, each played {times}",
        args.pins.display(),
        verdicts.len()
    ))?;
    to_stdout(&if skipped == 0 { "\n".into() } else { format!("; {skipped} not played\n") })?;
    Ok(complete && good == verdicts.len() && good > 0)
}

fn complaint(pinned: Option<&Pin>, verdict: &Played) -> Option<String> {
    let outcome = match verdict {
        Ok(outcome) => outcome,
        Err(divergence) => return Some(format!("two runs with one seed differ: {divergence}")),
    };
    if let Some(failure) = failure(outcome) {
        return Some(failure);
    }
    let found = pin(outcome);
    match pinned {
        None => Some(format!("not pinned; hash {}", found.trace_hash)),
        Some(pinned) if *pinned == found => None,
        Some(pinned) => Some(format!(
            "hash {}, {} events, seed {}; pinned are {}, {} events, seed {}",
            found.trace_hash, found.events, found.seed, pinned.trace_hash, pinned.events, pinned.seed
        )),
    }
}

fn failure(outcome: &Outcome) -> Option<String> {
    if let Some(violation) = outcome.violations.first() {
        return Some(format!("FAILED {}: {}", violation.rule, violation.detail));
    }
    if outcome.verdict() == Verdict::Incomplete {
        return Some(format!("{}: not everything arrived in time", Verdict::Incomplete));
    }
    let unmet = outcome.expectations.iter().find(|expectation| !expectation.ok)?;
    Some(format!("FAILED expectation: {}", unmet.quantity))
}

/// Writes the pins, one line each. A file whose runs differ or fail is not pinned.
fn update(args: &Args, verdicts: &[(&str, &Played)]) -> anyhow::Result<bool> {
    let mut lines = Vec::new();
    let mut passed = true;
    for (name, verdict) in verdicts {
        match verdict {
            Ok(outcome) if outcome.passed() => {
                let name = serde_json::to_string(name)?;
                lines.push(format!("    {name}: {}", serde_json::to_string(&pin(outcome))?));
            }
            _ => {
                passed = false;
                let complaint = complaint(None, verdict).unwrap_or_default();
                to_stdout(&format!("{name}: not pinned: {complaint}\n"))?;
            }
        }
    }
    let text = format!("{{\n  \"format\": \"{FORMAT}\",\n  \"pins\": {{\n{}\n  }}\n}}\n", lines.join(",\n"));
    std::fs::write(&args.pins, text).with_context(|| args.pins.display().to_string())?;
    to_stdout(&format!("{}: {} runs pinned\n", args.pins.display(), lines.len()))?;
    Ok(passed)
}
