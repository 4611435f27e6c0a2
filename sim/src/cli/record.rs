//! Recorded runs.

use super::timed;
use anyhow::{Context, ensure};
use engine::Instant;
use sim::plan::Transport;
use sim::record::{Files, Header, Recording};
use sim::{Outcome, ScenarioFile, World};
use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;

/// Recordings of a run, in addition to its results.
#[derive(clap::Args)]
pub(crate) struct Outputs {
    /// Record the run as JSON lines, one event per line; `karst-sim schema events` describes them.
    #[arg(long, value_name = "FILE.jsonl")]
    events: Option<PathBuf>,
    /// Capture the datagrams on the wire, for packet analysers.
    #[arg(long, value_name = "FILE.pcapng")]
    pcap: Option<PathBuf>,
    /// Capture the decrypted datagrams: FEC header, if any, and KCP segments.
    #[arg(long, value_name = "FILE.pcapng")]
    pcap_clear: Option<PathBuf>,
}

impl Outputs {
    /// Whether a recording is requested; fails unless there is a single run.
    pub(super) fn requested(&self, runs: usize) -> anyhow::Result<bool> {
        let requested = self.events.is_some() || self.pcap.is_some() || self.pcap_clear.is_some();
        ensure!(!requested || runs == 1, "only a single run can be recorded: one file, one seed, no --tcp");
        Ok(requested)
    }

    /// Plays `file` with the random values of `seed`, and writes the recordings.
    pub(super) fn play(&self, file: &ScenarioFile, seed: u64) -> anyhow::Result<Outcome> {
        let scenario = file.draw(seed)?;
        ensure!(
            self.pcap_clear.is_none() || scenario.transport() == Transport::Karst,
            "--pcap-clear: {} is not encrypted; --pcap captures its datagrams as they are",
            scenario.transport()
        );
        let header = Header::new(&scenario, seed);
        let [events, pcap, clear] = [&self.events, &self.pcap, &self.pcap_clear].map(create);
        let mut files = Files::begin(&header, events?, pcap?, clear?)?;
        let outcome = timed(|| {
            let mut run = World::new(&scenario, seed);
            run.record(files.captures());
            let mut running = true;
            while running {
                running = run.step();
                run.recorder().map_or(Ok(()), |recorder| files.take(recorder))?;
            }
            Ok(run.finish())
        })?;
        files.end(Instant::from_micros(outcome.sim_us), &outcome).context("writing the recording")?;
        Ok(outcome)
    }
}

/// Plays `file` with the random values of `seed`; returns the recording.
pub(super) fn recorded(file: &ScenarioFile, seed: u64) -> anyhow::Result<Recording> {
    let scenario = file.draw(seed)?;
    let mut run = World::new(&scenario, seed);
    run.record(false);
    let mut events = Vec::new();
    let mut running = true;
    while running {
        running = run.step();
        events.extend(run.recorder().map(sim::record::Recorder::take_events).into_iter().flatten());
    }
    Ok(Recording { header: Header::new(&scenario, seed), events })
}

fn create(path: &Option<PathBuf>) -> anyhow::Result<Option<BufWriter<File>>> {
    let open = |path: &PathBuf| File::create(path).with_context(|| path.display().to_string());
    Ok(path.as_ref().map(open).transpose()?.map(BufWriter::new))
}
