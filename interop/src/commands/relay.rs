//! `karst-interop relay`.

use super::decimals::{millis, percents};
use super::{print_left_out, read_scenario, with_left_out};
use anyhow::Context;
use clap::Args;
use lab::left_out::{LeftOut, Scope, left_out};
use lab::path::{Capture, Conditions};
use lab::relay::Relay;
use lab::sys;
use sim::Scenario;
use sim::plan::{FaultKind, LinkPlan, LossPlan, ReorderPlan};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const LINK_FLAGS: [&str; 7] = ["loss", "duplicate", "reorder", "reorder_by", "delay", "jitter", "corrupt"];

#[derive(Args)]
#[command(after_help = "\
All clients share the two links. The scenario's time, and with it schedules and faults, starts with the first datagram. A
nat_rebinding, or a mapping that times out (nat.timeout_ms), gives each client a new port towards the server; an
address_change gives it a new loopback address if the server is on one. SIGINT and SIGTERM end the relay, which then
prints its counters; SIGUSR1 prints them without ending it.

Without a scenario, flags define the links. One value applies to both directions; THERE,BACK sets them separately (there: towards
the server).")]
pub(crate) struct RelayArgs {
    /// Take both links from this scenario of the simulator
    #[arg(value_name = "SCENARIO", conflicts_with_all = LINK_FLAGS)]
    file: Option<PathBuf>,
    /// The scenario, as a flag
    #[arg(long, value_name = "FILE", conflicts_with = "file", conflicts_with_all = LINK_FLAGS)]
    scenario: Option<PathBuf>,
    /// Take both links from this path of `karst-interop matrix`; `direct` for perfect ones
    #[arg(long, value_name = "NAME", conflicts_with = "file", conflicts_with = "scenario", conflicts_with_all = LINK_FLAGS)]
    path: Option<String>,
    /// Address for clients
    #[arg(long)]
    listen: SocketAddr,
    /// Address of the server
    #[arg(long)]
    to: SocketAddr,
    /// Seed of the random decisions [default: the scenario's, or 1]
    #[arg(long)]
    seed: Option<u64>,
    /// Capture arriving and departing datagrams to a pcapng file
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Also print the counters at this interval, seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    report_every: Option<u64>,
    /// Write the counters as JSON at the end
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Loss rate, percent, up to four decimals
    #[arg(long, default_value = "0", value_parser = percents)]
    loss: [u32; 2],
    /// Share of duplicated datagrams, percent
    #[arg(long, default_value = "0", value_parser = percents)]
    duplicate: [u32; 2],
    /// Share of reordered datagrams, percent: they are delayed so that later ones overtake them
    #[arg(long, default_value = "0", value_parser = percents)]
    reorder: [u32; 2],
    /// Additional delay of reordered datagrams, milliseconds
    #[arg(long, default_value = "20", value_parser = millis)]
    reorder_by: [u32; 2],
    /// One-way delay of every datagram, milliseconds
    #[arg(long, default_value = "0", value_parser = millis)]
    delay: [u32; 2],
    /// Maximum extra delay, milliseconds; the order does not change
    #[arg(long, default_value = "0", value_parser = millis)]
    jitter: [u32; 2],
    /// Share of datagrams with flipped bits, percent
    #[arg(long, default_value = "0", value_parser = percents)]
    corrupt: [u32; 2],
}

impl RelayArgs {
    /// Runs until a termination signal.
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        let (conditions, left_out) = self.conditions()?;
        let capture = self
            .pcap
            .as_deref()
            .map(|path| Capture::create(path).with_context(|| format!("writing {}", path.display())));
        let relay = Relay::start_captured(self.listen, self.to, &conditions, capture.transpose()?)
            .with_context(|| format!("listening on {}", self.listen))?;
        println!("{} -> {}, seed {}", relay.address(), self.to, conditions.seed);
        sys::watch_signals();
        self.watch(&relay);
        // The relay updates its drop counters twice a second.
        std::thread::sleep(Duration::from_millis(600));
        let report = relay.report();
        print!("{report}");
        crate::write_json(self.json.as_deref(), &with_left_out(report.to_json(), &left_out))?;
        Ok(ExitCode::SUCCESS)
    }

    fn watch(&self, relay: &Relay) {
        let mut printed = Instant::now();
        while !sys::is_stopping() {
            std::thread::sleep(Duration::from_millis(50));
            let due = self.report_every.is_some_and(|every| printed.elapsed() >= Duration::from_secs(every));
            if due || sys::takes_report() {
                printed = Instant::now();
                println!("{}", relay.report());
            }
        }
    }

    fn conditions(&self) -> anyhow::Result<(Conditions, Vec<LeftOut>)> {
        if let Some(name) = &self.path {
            return Ok((self.named(name)?, Vec::new()));
        }
        let Some(path) = self.file.as_ref().or(self.scenario.as_ref()) else {
            let links = [0, 1].map(|at| self.link(at));
            let seed = self.seed.unwrap_or(1);
            return Ok((Conditions { links, seed, ..Conditions::default() }, Vec::new()));
        };
        let (scenario, seed) = read_scenario(path, self.seed)?;
        let mut left_out = left_out(&scenario, Scope::Network);
        if !self.to.ip().is_loopback() || self.to.is_ipv6() {
            left_out.extend(only_ports(&scenario));
        }
        print_left_out(path, &left_out);
        Ok((Conditions::of(&scenario, seed).without_restarts(), left_out))
    }

    fn named(&self, name: &str) -> anyhow::Result<Conditions> {
        let seed = self.seed.unwrap_or(1);
        if name == "direct" {
            return Ok(Conditions { seed, ..Conditions::default() });
        }
        interop::matrix::conditions(name, seed).with_context(|| format!("no path is named {name:?}"))
    }

    fn link(&self, at: usize) -> LinkPlan {
        let reorder = ReorderPlan { ppm: self.reorder[at], extra_us: u64::from(self.reorder_by[at]) };
        LinkPlan {
            loss: LossPlan::Bernoulli { ppm: self.loss[at] }.into(),
            delay_us: u64::from(self.delay[at]).into(),
            jitter_us: u64::from(self.jitter[at]).into(),
            reorder: Some(reorder.into()),
            duplicate_ppm: self.duplicate[at].into(),
            corrupt_ppm: self.corrupt[at].into(),
            ..LinkPlan::default()
        }
    }
}

/// Address changes that the relay applies as port changes.
fn only_ports(scenario: &Scenario) -> impl Iterator<Item = LeftOut> {
    let reason = "only the port changes: the relay has one address towards this server";
    let faults = scenario.faults.iter().enumerate();
    faults
        .filter(|(_, fault)| fault.kind == FaultKind::AddressChange)
        .map(move |(index, _)| LeftOut { path: format!("faults[{index}].address_change"), reason })
}
