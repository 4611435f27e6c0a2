//! `karst-interop reality`.

use super::{found_tunnels, print_left_out, read_scenario};
use anyhow::{Context, bail};
use clap::Args;
use lab::contest::Contestant;
use lab::peers::Peer;
use lab::reality::{Comparison, Page};
use lab::sys;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
#[command(after_help = "\
Each scenario runs in the simulator under several seeds, and several times with real programs in turn through a relay
with the scenario's links. Run it on an idle machine: two programs, the load and the relay
need about one core at 20 Mbit/s.")]
pub(crate) struct RealityArgs {
    /// Scenarios of the simulator, or folders of them
    #[arg(value_name = "SCENARIO", default_value = "scenarios/reality")]
    files: Vec<PathBuf>,
    /// Write the page to this file instead of the standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Also write all figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Markdown file appended to the page
    #[arg(long, value_name = "FILE")]
    notes: Option<PathBuf>,
    /// Real runs of each program on each scenario, with seeds from 1 on
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    repeats: u64,
    /// Simulated runs of each scenario, with seeds from 1 on
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// A pair of kcptun programs; may be repeated [default: karst next to this program or in KARST_BIN_DIR, kcptun of the PATH]
    #[arg(long, value_name = "NAME=CLIENT,SERVER[,FLAG...]", value_parser = Peer::parse)]
    peer: Vec<Peer>,
}

impl RealityArgs {
    /// Simulates and runs all scenarios, then writes the page.
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        let notes = self
            .notes
            .as_deref()
            .map(|path| std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display())));
        let mut page = Page { notes: notes.transpose()?.unwrap_or_default(), ..Page::default() };
        let files = self.files()?;
        sys::watch_signals();
        for file in files {
            page.comparisons.push(self.compare(&file)?);
        }
        match &self.out {
            Some(path) => std::fs::write(path, page.to_string())
                .with_context(|| format!("writing {}", path.display()))?,
            None => print!("{page}"),
        }
        crate::write_json(self.json.as_deref(), &page.to_json())?;
        Ok(ExitCode::SUCCESS)
    }

    /// Compares with the kernel's TCP if the scenario names a baseline, otherwise with tunnels.
    fn compare(&self, file: &std::path::Path) -> anyhow::Result<Comparison> {
        let (scenario, _) = read_scenario(file, None)?;
        let contestants = match scenario.baseline {
            Some(baseline) => vec![Contestant::Tcp(baseline.name().to_owned())],
            None => self.tunnels()?,
        };
        eprintln!("{}: simulating", scenario.name);
        let mut comparison = Comparison::simulate(&scenario, self.seeds).map_err(anyhow::Error::msg)?;
        print_left_out(file, &comparison.left_out);
        for seed in 1..=self.repeats {
            for contestant in &contestants {
                eprintln!("{}: {}, run {seed} of {}", scenario.name, contestant.name(), self.repeats);
                comparison.add_real(&scenario, contestant, seed);
                if sys::is_stopping() {
                    bail!("stopped by a signal");
                }
            }
        }
        Ok(comparison)
    }

    fn tunnels(&self) -> anyhow::Result<Vec<Contestant>> {
        let mut contestants = if self.peer.is_empty() {
            found_tunnels()
        } else {
            self.peer.iter().cloned().map(Contestant::Tunnel).collect()
        };
        contestants.sort_by_key(|contestant| contestant.name() != "karst");
        if contestants.is_empty() {
            bail!("no programs to compare: give them with --peer");
        }
        Ok(contestants)
    }

    /// The scenario files; those of a folder sorted by name.
    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for path in &self.files {
            if !path.is_dir() {
                files.push(path.clone());
                continue;
            }
            let entries = std::fs::read_dir(path).with_context(|| format!("reading {}", path.display()))?;
            let mut inside: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
            inside.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
            inside.sort();
            files.extend(inside);
        }
        if files.is_empty() { bail!("no scenario") } else { Ok(files) }
    }
}
