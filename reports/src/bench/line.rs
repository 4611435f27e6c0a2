//! A bad line between the programs: the links of a scenario, made real by `karst-interop`.

use super::pair::{free_udp, local};
use super::process::{Process, Protocol};
use crate::performance::{LineFacts, Trial};
use anyhow::{Context, bail, ensure};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Rate of the lines that the curves over loss and round trip are measured on.
pub(crate) const RATE_KBIT: u64 = 100_000;

/// Their queue.
pub(crate) const QUEUE_BYTES: u64 = 750_000;

/// Where direct TCP finds its target.
const DIRECT_TARGET: &str = "10.77.0.2:5201";

/// Two links.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) facts: LineFacts,
    /// The scenario file.
    file: PathBuf,
    /// The program.
    interop: PathBuf,
    /// Whether the file is this program's own.
    made: bool,
}

/// A running relay.
pub(crate) struct Relay {
    _process: Process,
    pub(crate) address: SocketAddr,
}

impl Line {
    /// A line that loses `loss_pct` percent both ways and has a round trip of `rtt_ms`.
    pub(crate) fn of_curve(
        curve: &str,
        loss_pct: f64,
        rtt_ms: f64,
        at: f64,
        interop: &Path,
    ) -> anyhow::Result<Self> {
        let name = format!("bench-{curve}-{at}");
        let link = serde_json::json!({
            "mtu_bytes": 1500,
            "rate_kbit": RATE_KBIT,
            "queue_bytes": QUEUE_BYTES,
            "delay_ms": (rtt_ms / 2.0).to_string(),
            "loss_pct": loss_pct.to_string(),
        });
        let scenario = serde_json::json!({
            "name": name,
            "description": "A point of a curve.",
            "seed": 1,
            "duration_ms": 1000,
            "links": { "up": link, "down": link },
            // Nobody plays it, but every scenario has one.
            "workloads": [{ "echo": { "name": "echo", "message_bytes": 64, "interval_ms": 100 } }],
        });
        let file = std::env::temp_dir().join(format!("karst-{name}-{}.json", std::process::id()));
        std::fs::write(&file, scenario.to_string()).with_context(|| file.display().to_string())?;
        let links = format!(
            "{} Mbit/s, round trip {rtt_ms} ms, loss {loss_pct} % each way, queue {} kB",
            RATE_KBIT / 1000,
            QUEUE_BYTES / 1000
        );
        let facts = LineFacts { curve: curve.to_owned(), at: Some(at), links, path: None };
        Ok(Self { facts, file, interop: interop.to_owned(), made: true })
    }

    /// The links of a scenario file.
    pub(crate) fn of_scenario(file: &Path, interop: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let scenario: serde_json::Value =
            serde_json::from_str(&text).with_context(|| file.display().to_string())?;
        let said = |key: &str| scenario[key].as_str().map(str::to_owned);
        let name = said("name").with_context(|| format!("{}: a scenario has a name", file.display()))?;
        let links = said("description").unwrap_or_default();
        let facts = LineFacts { curve: name, at: None, links, path: None };
        Ok(Self { facts, file: file.to_owned(), interop: interop.to_owned(), made: false })
    }

    /// A relay in front of `server`.
    pub(super) fn relay(&self, server: SocketAddr, seed: u64) -> anyhow::Result<Relay> {
        let address = local(free_udp()?);
        let file = self.file.display().to_string();
        let flags = ["relay", &file, "--listen", &address.to_string(), "--to", &server.to_string()];
        let flags = flags.map(str::to_owned).into_iter().chain(["--seed".to_owned(), seed.to_string()]);
        let mut process = Process::start(&self.interop, &flags.collect::<Vec<_>>(), None)?;
        process.listens(Protocol::Udp, address.port())?;
        Ok(Relay { _process: process, address })
    }

    /// What TCP without a tunnel makes of the line: this program at both ends, in namespaces of their own.
    pub(super) fn direct(&self, control: &str, seed: u64, time: Duration) -> anyhow::Result<(Trial, String)> {
        let own = std::env::current_exe()?.display().to_string();
        let right = format!("exec '{own}' bench-target {DIRECT_TARGET}");
        let mut command = Command::new(&self.interop);
        command.arg("netns").arg(&self.file).args(["--seed", &seed.to_string(), "--right", &right, "--"]);
        command.args([&own, "bench-probe", DIRECT_TARGET, control, &time.as_millis().to_string()]);
        let output = command.stdin(Stdio::null()).output().context("starting karst-interop")?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            // What of the scenario does not matter here is said first.
            let words: Vec<&str> =
                said.lines().filter(|line| !line.contains("not applied in real time")).collect();
            bail!("karst-interop netns ({}): {}", output.status, words.join(" / "));
        }
        let trial = serde_json::from_slice(&output.stdout).with_context(|| format!("{control}: {said}"))?;
        Ok((trial, format!("kernel TCP with {control} over karst-interop netns")))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.made {
            let _ = std::fs::remove_file(&self.file);
        }
    }
}

/// `karst-interop`: the given one, or the one next to this program.
pub(crate) fn interop(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let beside = || Ok::<_, std::io::Error>(std::env::current_exe()?.with_file_name("karst-interop"));
    let path = given.map_or_else(beside, |path| Ok(path.to_owned()))?;
    ensure!(path.is_file(), "{}: no such program; lines need karst-interop (--interop)", path.display());
    Ok(path)
}
