//! `karst-interop matrix`.

use super::read_scenario;
use anyhow::{Context, ensure};
use clap::Args;
use interop::Program;
use interop::matrix::{Case, Launcher, Matrix, Progress, Ratchet, all, core, junit};
use lab::conformance::{Conformance, Verdict};
use lab::mihomo;
use lab::netns::Network;
use lab::path::Conditions;
use lab::peers::Peer;
use lab::shell::{own_command, quoted};
use lab::sys;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

#[derive(Args)]
#[command(after_help = "\
Every case runs between every client and every server. A cell counts only if the cell of the reference pair passes in the same
run; otherwise it is not measured. Cells with deliberate faults must fail, or the run fails.

Verdicts: pass; fail: the programs ran, and a stream misbehaved; error: a program ended, did not start or did not listen;
unsupported: it refused the flags of the case, and starts without them; not measured. Exit status 1: a cell failed or had an error,
a cell of the ratchet did not pass, or the judge missed a fault.

A case file is a JSON list such as [{\"crypt\": \"none\", \"work\": \"storm\", \"path\": \"loss-10\", \"flags\": [\"--sndwnd\", \"16\"]}];
--print-cases prints the built-in ones in that form. Cases with forged TCP run as root, in network namespaces.")]
pub(crate) struct MatrixArgs {
    /// Client program; may be repeated [default: kcptun-client and mihomo of the PATH, karst-client next to this program]
    #[arg(long, value_name = "NAME=PATH[,FLAG...]")]
    client: Vec<String>,
    /// Server program; may be repeated [default: kcptun-server and mihomo of the PATH, karst-server next to this program]
    #[arg(long, value_name = "NAME=PATH[,FLAG...]")]
    server: Vec<String>,
    /// Name of the client and server whose cells are the controls [default: kcptun, or the first client that is a server too]
    #[arg(long, value_name = "NAME")]
    reference: Option<String>,
    /// Run these cases
    #[arg(long, value_name = "FILE", conflicts_with = "core")]
    cases: Option<PathBuf>,
    /// Run the core of the built-in cases, in less than two minutes
    #[arg(long)]
    core: bool,
    /// Run only cases whose name contains this text
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Run only the case of this name; may be repeated
    #[arg(long, value_name = "NAME")]
    case: Vec<String>,
    /// Replace the path of every case by the links and faults of this scenario
    #[arg(long, value_name = "SCENARIO")]
    link: Option<PathBuf>,
    /// Cells that run at the same time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=64))]
    jobs: u64,
    /// Runs of each cell; the worst verdict counts
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    runs: u64,
    /// Seed of the covering cases and of the paths
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Time limit of a workload instead of its own, seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    limit: Option<u64>,
    /// Write the results as JSON, for `karst-report html` and `md`
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the results as a self-contained HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// List of cells that passed once and must not fail
    #[arg(long, value_name = "FILE")]
    ratchet: Option<PathBuf>,
    /// Add the cells that passed to the list
    #[arg(long, requires = "ratchet")]
    update: bool,
    /// Run each cell by this program, which starts client, server, path and judge elsewhere; NAME=PATH then has what it takes for PATH
    #[arg(long, value_name = "COMMAND", requires = "client", requires = "server", conflicts_with = "link")]
    launcher: Option<PathBuf>,
    /// Title of the run on the page
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Print the selected cases as a case file, and exit
    #[arg(long)]
    print_cases: bool,
}

impl MatrixArgs {
    /// Runs the matrix; exit status 1 if a cell is red.
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        let cases = self.selected()?;
        if self.print_cases {
            println!("{}", serde_json::to_string_pretty(&cases)?);
            return Ok(ExitCode::SUCCESS);
        }
        ensure!(!cases.is_empty(), "no case has that name; --print-cases lists them");
        let matrix = self.matrix(cases)?;
        sys::watch_signals();
        let found = matrix.run(&print)?;
        if let Some(path) = &self.json {
            write(path, &found.to_text()?)?;
        }
        if let Some(path) = &self.html {
            write(path, &reports::conformance_page(vec![found.clone()], Vec::new()))?;
        }
        if let Some(path) = &self.junit {
            write(path, &junit(&found))?;
        }
        let broken = self.ratchet(&found)?;
        summarize(&found, &broken);
        let red = found.cells.iter().any(|cell| cell.verdict.is_red());
        Ok(crate::exit(!red && broken.is_empty() && found.is_judge_sighted()))
    }

    fn selected(&self) -> anyhow::Result<Vec<Case>> {
        let mut cases = match &self.cases {
            Some(path) => Case::read(path)?,
            None if self.core => core(),
            None => all(self.seed),
        };
        cases.retain(|case| case.name.contains(&self.only));
        cases.retain(|case| self.case.is_empty() || self.case.contains(&case.name));
        Ok(cases)
    }

    fn matrix(&self, cases: Vec<Case>) -> anyhow::Result<Matrix> {
        let [clients, servers] = self.programs();
        let reference = match &self.reference {
            Some(name) => name.clone(),
            None => {
                reference(&clients, &servers).context("no client is a server, too; name a --reference")?
            }
        };
        let link = self.link.as_ref().map(|path| -> anyhow::Result<Conditions> {
            let (scenario, seed) = read_scenario(path, Some(self.seed))?;
            Ok(Conditions::of(&scenario, seed).without_restarts())
        });
        let can_forge =
            cases.iter().any(|case| case.tcp) && Network::start(&Conditions::default(), None).is_ok();
        Ok(Matrix {
            clients,
            servers,
            reference,
            cases,
            link: link.transpose()?,
            jobs: self.jobs as usize,
            runs: self.runs,
            seed: self.seed,
            can_forge,
            launcher: self.launcher.clone().map(Launcher),
            title: self.title.clone(),
            command: own_command("karst-interop"),
            replay: self.replay(),
            limit: self.limit.map(Duration::from_secs),
        })
    }

    /// The given programs, or those of this machine: the reference first.
    fn programs(&self) -> [Vec<Program>; 2] {
        let (found, mihomo) = (Peer::find(), mihomo::find());
        if self.client.is_empty() || self.server.is_empty() {
            for missing in found.missing.iter().chain(mihomo.as_ref().err()) {
                eprintln!("SKIPPED {}: {}", missing.name, missing.reason);
            }
        }
        let [clients, servers] = Program::of_peers(&found.peers);
        let of_role = |programs: Vec<Program>| {
            // The name of the program, not of its language.
            let named = |program: Program| match program.name.as_str() {
                "go" => Program { name: "kcptun".into(), ..program },
                _ => program,
            };
            let mihomo = mihomo.as_ref().ok().map(|path| Program::new(mihomo::NAME, path));
            programs.into_iter().map(named).chain(mihomo).collect()
        };
        [Program::given(&self.client, of_role(clients)), Program::given(&self.server, of_role(servers))]
    }

    /// The arguments that determine a cell, besides its programs and case; with a space at the end.
    fn replay(&self) -> String {
        let mut words = String::new();
        let mut add = |flag: &str, value: Option<String>| {
            if let Some(value) = value {
                words.push_str(&format!("{flag} {} ", quoted(&value)));
            }
        };
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        add("--cases", path(&self.cases));
        add("--link", path(&self.link));
        add("--launcher", path(&self.launcher));
        add("--seed", (self.seed != 1).then(|| self.seed.to_string()));
        add("--limit", self.limit.map(|limit| limit.to_string()));
        words
    }

    /// The cells of the list that did not pass. The list grows only if none is missing.
    fn ratchet(&self, found: &Conformance) -> anyhow::Result<Vec<String>> {
        let Some(path) = &self.ratchet else { return Ok(Vec::new()) };
        let mut list = Ratchet::read(path)?;
        let broken = list.broken(found);
        if self.update && broken.is_empty() && found.is_judge_sighted() {
            list.add(found);
            list.write(path)?;
        }
        Ok(broken)
    }
}

fn reference(clients: &[Program], servers: &[Program]) -> Option<String> {
    let both = |client: &&Program| servers.iter().any(|server| server.name == client.name);
    let mut names = clients.iter().filter(both).map(|client| client.name.clone());
    let first = names.next()?;
    Some(if first == "kcptun" { first } else { names.find(|name| name == "kcptun").unwrap_or(first) })
}

fn print(progress: Progress<'_>) {
    let Progress { done: [done, all], pairing, case, run } = progress;
    let width = all.to_string().len();
    let ending = run.ending.map_or("", |ending| ending.name());
    let why =
        run.why.as_ref().map(|why| format!("\n      {}", why.replace('\n', "\n      "))).unwrap_or_default();
    println!(
        "{done:width$}/{all}  {:12} {ending:7} {:7.1} s  {pairing}  {case}{why}",
        run.verdict.name(),
        run.elapsed_ms as f64 / 1e3
    );
}

fn summarize(found: &Conformance, broken: &[String]) {
    for one in found.sabotaged.iter().filter(|one| !one.caught) {
        println!("the judge missed a fault: {}: {}", one.case, one.fault);
    }
    for line in broken {
        println!("passed before: {line}");
    }
    for skipped in &found.skipped {
        println!("SKIPPED {}: {}", skipped.name, skipped.reason);
    }
    let counts: Vec<String> =
        Verdict::ALL.iter().map(|verdict| format!("{} {}", found.count(*verdict), verdict.name())).collect();
    let caught = found.sabotaged.iter().filter(|one| one.caught).count();
    println!(
        "{} cells: {}; {caught} of {} deliberate faults found",
        found.cells.len(),
        counts.join(", "),
        found.sabotaged.len()
    );
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
