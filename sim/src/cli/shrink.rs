//! `karst-sim shrink`.

use super::swarm::{EVENTS_MAX, Generator};
use super::{load, pins, to_stdout};
use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use sim::Scenario;
use sim::tools::shrink::{Shrinker, pretty};
use sim::tools::swarm::{self, Verdict};
use std::io::{IsTerminal, Write, stderr};
use std::path::PathBuf;

/// Number of other link seeds with which the result is played.
const OTHER_LINK_SEEDS: u64 = 4;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Scenario file.
    #[arg(value_name = "FILE", required_unless_present = "swarm_seed")]
    file: Option<PathBuf>,
    /// Use this seed instead of the scenario's own.
    #[arg(long, value_name = "S", requires = "file")]
    seed: Option<u64>,
    /// Start from the swarm scenario of this seed.
    #[arg(long, value_name = "S", conflicts_with = "file")]
    swarm_seed: Option<u64>,
    #[command(flatten)]
    generator: Generator,
    /// Output file [default: scenarios/regressions/FAILURE-NAME.json].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn main(args: &Args) -> anyhow::Result<bool> {
    let (tree, origin) = start(args)?;
    let name = tree["name"].as_str().unwrap_or("scenario").to_string();
    // Hundreds of runs may panic; the result has the message of the last panic.
    std::panic::set_hook(Box::new(|_| {}));
    let prepare = args.generator.prepare();
    let Some(mut shrinker) = Shrinker::new(tree, EVENTS_MAX, &prepare) else {
        let _ = std::panic::take_hook();
        bail!("{origin} does not fail");
    };
    let terminal = stderr().is_terminal();
    shrinker.shrink(&mut |so_far| {
        if terminal {
            let text = format!("\r{} runs, {} events left\x1b[K", so_far.runs(), so_far.events());
            // Progress is not part of the output.
            let _ = stderr().write_all(text.as_bytes());
        }
    });
    if terminal {
        let _ = stderr().write_all(b"\r\x1b[K");
    }
    let finished = finish(args, &shrinker, &name, &origin);
    let _ = std::panic::take_hook();
    finished
}

/// The initial scenario and a description of its origin.
fn start(args: &Args) -> anyhow::Result<(Value, String)> {
    if let Some(seed) = args.swarm_seed {
        return Ok((swarm::scenario(&args.generator.weights()?, seed), format!("swarm seed {seed}")));
    }
    let Some(path) = &args.file else { bail!("shrink needs a file or --swarm-seed") };
    let file = load(path)?;
    let seed = args.seed.unwrap_or(file.seed());
    let mut tree = file.drawn(seed)?;
    tree["seed"] = json!(seed);
    ensure!(tree.get("baseline").is_none(), "{}: baseline: direct TCP cannot be shrunk", path.display());
    Ok((tree, format!("{}, seed {seed},", path.display())))
}

fn finish(args: &Args, shrinker: &Shrinker<'_>, name: &str, origin: &str) -> anyhow::Result<bool> {
    let failure = shrinker.failure();
    let verdict = shrinker.verdict();
    let hash = verdict.as_ref().and_then(Verdict::outcome).map(|outcome| outcome.trace_hash);
    let hash = hash.map_or("none".into(), |hash| format!("{hash:016x}"));
    let mut tree = shrinker.best().clone();
    let short = format!("{}-{name}", failure.kind);
    tree["name"] = json!(short);
    let origin = origin.trim_end_matches(',');
    tree["description"] = json!(format!("Fails with `{failure}`, trace hash {hash}; shrunk from {origin}."));
    let path =
        args.out.clone().unwrap_or_else(|| PathBuf::from(format!("scenarios/regressions/{short}.json")));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let text = pretty(&tree);
    std::fs::write(&path, &text).with_context(|| path.display().to_string())?;
    to_stdout(&format!(
        "{text}FAILED {failure}\n{} runs; {} events left, trace hash {hash}\n{}\nwritten to {}\n{}\n",
        shrinker.runs(),
        shrinker.events(),
        links(shrinker),
        path.display(),
        pin(&tree)?,
    ))?;
    Ok(true)
}

/// The elements of the result that are still random.
fn links(shrinker: &Shrinker<'_>) -> String {
    let same = (1..=OTHER_LINK_SEEDS).filter(|&seed| shrinker.fails_with_links_seed(seed)).count();
    let random = shrinker.random();
    let kept = if random.is_empty() {
        "no random element remains".into()
    } else {
        format!(
            "random elements remain, because lists of packets do not reproduce the failure: {}",
            random.join(", ")
        )
    };
    format!("links: {kept}; fails with {same} of {OTHER_LINK_SEEDS} other link seeds")
}

/// The pin of the result, if its run passes without the seeded bug.
fn pin(tree: &Value) -> anyhow::Result<String> {
    let scenario = Scenario::of_json("result", tree.clone())?;
    let verdict = Verdict::of(&scenario, scenario.seed, EVENTS_MAX);
    let good = verdict.outcome().filter(|_| verdict.failure().is_none());
    match good {
        Some(outcome) => Ok(format!("pin: {}", pins::entry(outcome)?)),
        None => Ok("no pin while the run fails; once fixed, ci/determinism.sh --update adds it".into()),
    }
}
