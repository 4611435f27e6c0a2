//! `karst-interop netns`.

use super::{found_tunnels, print_left_out, read_scenario, with_left_out};
use anyhow::{Context, bail};
use clap::Args;
use lab::contest::{Contestant, Row, Summary, TrialOutcome, over_network, together};
use lab::left_out::{Scope, left_out};
use lab::netns::{Command, Network, run_commands};
use lab::path::{Capture, Conditions};
use lab::peers::Peer;
use lab::sys;
use sim::Scenario;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Args)]
#[command(after_help = "\
Left is the client's end with address 10.77.0.1, right the server's with 10.77.0.2; commands find them in KARST_LEFT and KARST_RIGHT.
Packets from left to right pass the scenario's link up, packets from right to left its link down. When the left command ends (the
right one if there is no left one), the program ends with its exit status. The namespaces have no names and end with this program.

Without commands the scenario's workloads run over kernel TCP, and over pairs of kcptun programs with the
scenario's options, one after the other, each on a new network with the same seeds. `wire/byte` is bytes of IP packets sent
per byte of payload that arrived, in the direction with more payload; p50 and p99
are latencies of the first workload that has any; `queue` is the median time there beyond the shortest.")]
pub(crate) struct NetnsArgs {
    /// Scenario of the simulator
    #[arg(value_name = "SCENARIO")]
    file: PathBuf,
    /// Command in the left namespace, for `sh -c`
    #[arg(long, value_name = "CMD", conflicts_with = "command")]
    left: Option<String>,
    /// Command in the right namespace, for `sh -c`; started first
    #[arg(long, value_name = "CMD")]
    right: Option<String>,
    /// Seed of the random decisions; the first of several [default: the scenario's]
    #[arg(long)]
    seed: Option<u64>,
    /// With commands: capture arriving and departing packets to a pcapng file
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Kernel TCP with these congestion controls; `none` for none
    #[arg(long, value_delimiter = ',', default_value = "cubic,bbr")]
    tcp: Vec<String>,
    /// A pair of kcptun programs; may be repeated; `none` for none [default: kcptun of the PATH, karst next to this program or in KARST_BIN_DIR]
    #[arg(long, value_name = "NAME=CLIENT,SERVER[,FLAG...]", value_parser = peer)]
    peer: Vec<Option<Contestant>>,
    /// More flags for these programs, separated by spaces
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    flags: String,
    /// Number of seeds; all contestants run with each
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Duration of the workloads in seconds, instead of the scenario's
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    time: Option<u64>,
    /// Also write all trials as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Run all contestants at the same time: the first carries the first workload, the second the second, and so on
    #[arg(long)]
    together: bool,
    /// Add the progress of all workloads every 20 ms to the JSON
    #[arg(long, requires = "json")]
    progress: bool,
    /// Command in the left namespace, in the foreground
    #[arg(last = true)]
    command: Vec<String>,
}

fn peer(text: &str) -> Result<Option<Contestant>, String> {
    if text == "none" { Ok(None) } else { Peer::parse(text).map(|peer| Some(Contestant::Tunnel(peer))) }
}

fn names(group: &[Contestant]) -> String {
    group.iter().map(Contestant::name).collect::<Vec<_>>().join(" + ")
}

impl NetnsArgs {
    /// Runs the commands, or without any measures the contestants.
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        let (scenario, seed) = read_scenario(&self.file, self.seed)?;
        sys::watch_signals();
        if self.left.is_some() || self.right.is_some() || !self.command.is_empty() {
            return self.run_commands(&scenario, seed);
        }
        self.measure(&scenario, seed)
    }

    fn run_commands(&self, scenario: &Scenario, seed: u64) -> anyhow::Result<ExitCode> {
        let conditions = Conditions::of(scenario, seed).without_restarts();
        let left_out = left_out(scenario, Scope::Network);
        print_left_out(&self.file, &left_out);
        let capture = self
            .pcap
            .as_deref()
            .map(|path| Capture::create(path).with_context(|| format!("writing {}", path.display())));
        let network = Network::start(&conditions, capture.transpose()?)?;
        let foreground = (!self.command.is_empty()).then(|| Command::Foreground(self.command.clone()));
        let left = foreground.or_else(|| self.left.clone().map(Command::Shell));
        let right = self.right.clone().map(Command::Shell);
        let status = run_commands(&network, left.as_ref(), right.as_ref())?;
        let report = network.report();
        eprint!("{report}");
        crate::write_json(self.json.as_deref(), &with_left_out(report.to_json(), &left_out))?;
        let code = status.and_then(|status| status.code()).and_then(|code| u8::try_from(code).ok());
        Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
    }

    fn measure(&self, scenario: &Scenario, first: u64) -> anyhow::Result<ExitCode> {
        let contestants = self.contestants()?;
        let scopes: BTreeSet<Scope> = contestants.iter().map(Contestant::scope).collect();
        let mut missing = Vec::new();
        for scope in scopes {
            let more = left_out(scenario, scope);
            missing.extend(more.into_iter().filter(|one| !missing.contains(one)).collect::<Vec<_>>());
        }
        print_left_out(&self.file, &missing);
        let groups: Vec<&[Contestant]> =
            if self.together { vec![&contestants[..]] } else { contestants.chunks(1).collect() };
        let rows = groups.iter().map(|group| Row { name: names(group), ..Row::default() });
        let mut summary =
            Summary { scenario: scenario.name.clone(), rows: rows.collect(), left_out: missing };
        for seed in first..first.saturating_add(self.seeds) {
            let scenario = self.drawn(seed)?;
            for (group, row) in groups.iter().zip(&mut summary.rows) {
                eprintln!("seed {seed}: {}", row.name);
                let trial = match group {
                    [alone] => over_network(&scenario, alone, seed),
                    several => together(&scenario, several, seed),
                };
                let trial = if self.progress { trial } else { trial.map(TrialOutcome::without_progress) };
                if sys::is_stopping() {
                    bail!("stopped by a signal");
                }
                row.trials.push((seed, trial));
            }
        }
        print!("{summary}");
        crate::write_json(self.json.as_deref(), &summary.to_json())?;
        let good = summary.rows.iter().all(|row| row.trials.iter().all(|(_, trial)| trial.is_ok()));
        Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The scenario with the random values of a seed and the duration of --time.
    fn drawn(&self, seed: u64) -> anyhow::Result<Scenario> {
        let (mut scenario, _) = read_scenario(&self.file, Some(seed))?;
        if let Some(time) = self.time {
            scenario.duration_us = Duration::from_secs(time).as_micros() as u64;
        }
        Ok(scenario)
    }

    fn contestants(&self) -> anyhow::Result<Vec<Contestant>> {
        let tcp = self.tcp.iter().filter(|name| !name.is_empty() && *name != "none");
        let mut contestants: Vec<Contestant> = tcp.cloned().map(Contestant::Tcp).collect();
        contestants.extend(if self.peer.is_empty() {
            found_tunnels()
        } else {
            self.peer.iter().flatten().cloned().collect()
        });
        if contestants.is_empty() {
            bail!("no contestants: give programs (--peer) or congestion controls (--tcp)");
        }
        for contestant in &mut contestants {
            if let Contestant::Tunnel(peer) = contestant {
                peer.extra.splice(0..0, self.flags.split_whitespace().map(str::to_owned));
            }
        }
        Ok(contestants)
    }
}
