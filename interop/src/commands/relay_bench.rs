//! `karst-interop relay-bench`.

use clap::Args;
use lab::relay::{Bench, BenchReport};
use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

/// Loads at which the added delay is measured, datagrams per second: with 1350 bytes 650 and 130 Mbit/s.
const LOADS_PER_S: [u64; 2] = [60_000, 12_000];

#[derive(Args)]
pub(crate) struct RelayBenchArgs {
    /// Seconds of each part
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    time: u64,
    /// Bytes of the datagrams
    #[arg(long, default_value_t = 1350, value_parser = clap::value_parser!(u32).range(1..=65_000))]
    bytes: u32,
    /// Fail when one core forwards fewer datagrams per second
    #[arg(long, default_value_t = 60_000)]
    at_least: u64,
}

impl RelayBenchArgs {
    /// Measures at full speed, then at fixed rates.
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        let full = self.part(None)?;
        println!("as fast as possible: {}", Part(&full));
        for load in LOADS_PER_S {
            println!("at {load}/s: {}", Part(&self.part(Some(load))?));
        }
        let enough = full.per_cpu_s() >= self.at_least;
        if !enough {
            eprintln!("karst-interop: fewer than {} datagrams/s on one core", self.at_least);
        }
        Ok(if enough { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn part(&self, datagrams_per_s: Option<u64>) -> anyhow::Result<BenchReport> {
        let time = Duration::from_secs(self.time);
        Ok(Bench { datagram_bytes: self.bytes as usize, datagrams_per_s, time }.run()?)
    }
}

struct Part<'a>(&'a BenchReport);

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let lost = report.sent - report.relay.links[0].sent_packets;
        writeln!(f, "{} datagrams/s, {} per second of processor time", report.per_s(), report.per_cpu_s())?;
        writeln!(f, "  {} sent, {lost} of them dropped before the relay read them", report.sent)?;
        write!(f, "  added delay: {}", report.relay.added())
    }
}
