//! `karst-sim compare`.

use super::figures::Figure;
use super::pool::Jobs;
use super::seeds::Seeds;
use super::settings::{self, Setting};
use super::summary::{Spread, spreads};
use super::{load, play, save, to_stdout};
use anyhow::{Context, bail, ensure};
use serde_json::Value;
use sim::report::table;
use sim::stats::Paired;
use sim::{Outcome, ScenarioFile};
use std::path::{Path, PathBuf};

/// Number of seeds unless given.
const SEEDS: u64 = 10;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A scenario file or a results file.
    #[arg(value_name = "A")]
    first: PathBuf,
    /// A second file of the same kind; with --set, the same scenario when absent.
    #[arg(value_name = "B")]
    second: Option<PathBuf>,
    /// Set this value in the second scenario, such as client.mode=fast3.
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<Setting>,
    #[command(flatten)]
    seeds: Seeds,
    #[command(flatten)]
    jobs: Jobs,
    /// Also write both results as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One of the two compared files: its name and its runs.
struct Runs {
    label: String,
    runs: Vec<Value>,
}

pub(crate) fn main(args: &Args) -> anyhow::Result<bool> {
    ensure!(args.second.is_some() || !args.set.is_empty(), "a comparison needs a second file or --set");
    let second = args.second.as_ref().unwrap_or(&args.first);
    let (files, passed) = match (results(&args.first)?, results(second)?) {
        (Some(first), Some(second)) => ([first, second], true),
        (None, None) => played(args, load(&args.first)?, settings::apply(load(second)?, &args.set)?)?,
        _ => bail!("a scenario file and a results file cannot be compared"),
    };
    to_stdout(&shown(&files))?;
    Ok(passed)
}

/// The runs of a results file; `None` for other files.
fn results(path: &Path) -> anyhow::Result<Option<Runs>> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| name.clone())?;
    // Files that are not JSON are refused by the parser of scenario files.
    let Ok(json) = serde_json::from_str::<Value>(&text) else { return Ok(None) };
    if json["format"].as_str() != Some(sim::outcome::FORMAT) {
        return Ok(None);
    }
    let runs = json["runs"].as_array().with_context(|| format!("{name}: runs: must be an array"))?;
    Ok(Some(Runs { label: name, runs: runs.clone() }))
}

/// Plays both with the same seeds; returns the runs, and whether all passed.
fn played(args: &Args, first: ScenarioFile, second: ScenarioFile) -> anyhow::Result<([Runs; 2], bool)> {
    let seeds: Vec<u64> = args.seeds.requested().unwrap_or(1..=SEEDS).collect();
    let both = [&first, &second];
    let items: Vec<_> = both.iter().flat_map(|file| seeds.iter().map(move |&seed| (*file, seed))).collect();
    let mut of_first = args.jobs.run(&items, |&(file, seed)| play(file, seed))?;
    let passed = of_first.iter().all(Outcome::passed);
    let json = |runs: &[Outcome]| runs.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>();
    let of_second = of_first.split_off(seeds.len());
    let label = if args.second.is_some() { second.name().into() } else { settings::words(&args.set) };
    let files = [
        Runs { label: first.name().into(), runs: json(&of_first)? },
        Runs { label, runs: json(&of_second)? },
    ];
    of_first.extend(of_second);
    save(args.json.as_ref(), of_first)?;
    Ok((files, passed))
}

fn shown(files: &[Runs; 2]) -> String {
    let mut out = String::new();
    for (letter, side) in ["A", "B"].iter().zip(files) {
        let failed = side.runs.iter().filter(|run| !passed(run)).count();
        let failures = if failed == 0 { String::new() } else { format!(", {failed} FAILED") };
        out.push_str(&format!("  {letter}  {}, {} runs{failures}\n", side.label, side.runs.len()));
    }
    out.push('\n');
    let [first, second] = files.each_ref().map(|side| spreads(&side.runs));
    let rows: Vec<[String; 9]> = first.iter().filter_map(|spread| row(spread, &second)).collect();
    out.push_str(&table(
        &["", "median A", "B", "", "B / A", "mean B - A", "95 % interval of it", "pairs", "verdict"],
        &rows,
    ));
    out.push_str(
        "\n  Pairs have the same seed. The verdict is that of a sign-flip test at an error rate of 5 % for each row;\n  \
         fewer than six pairs cannot show a difference.\n",
    );
    out
}

/// A row of a figure that both files have.
fn row(first: &Spread, others: &[Spread]) -> Option<[String; 9]> {
    let second = others.iter().find(|other| other.figure == first.figure)?;
    let Figure { name, unit } = &first.figure;
    let (a, b) = (first.median(), second.median());
    let ratio = if a == 0.0 { "-".into() } else { format!("{:.2}", b / a) };
    let both = |(key, &a): (&(u64, usize), &f64)| Some((a, *second.values.get(key)?));
    let pairs: Vec<(f64, f64)> = first.values.iter().filter_map(both).collect();
    let [difference, interval, count, verdict] = match Paired::new(&pairs) {
        None => ["-".into(), "-".into(), "0".into(), "no common seed".into()],
        Some(paired) => {
            let verdict = match (paired.is_seen(), paired.difference > 0.0) {
                (false, _) => "no difference seen",
                (true, true) => "B higher",
                (true, false) => "B lower",
            };
            let interval =
                paired.interval.map(|found| [found.low, found.high].map(|end| unit.signed(end)).join(" .. "));
            let interval = interval.unwrap_or_else(|| "-".into());
            [unit.signed(paired.difference), interval, paired.pairs.to_string(), verdict.into()]
        }
    };
    let [a, b] = [a, b].map(|median| unit.number(median));
    Some([name.clone(), a, b, unit.name().into(), ratio, difference, interval, count, verdict])
}

fn passed(run: &Value) -> bool {
    let unmet = |expectation: &Value| expectation["ok"] == Value::Bool(false);
    let met = !run["expectations"].as_array().is_some_and(|list| list.iter().any(unmet));
    run["ok"] == Value::Bool(true) && met
}
