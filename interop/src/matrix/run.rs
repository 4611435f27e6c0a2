//! A run of the matrix: cells in parallel, controls, deliberate faults, progress.

use super::case::Case;
use super::cell::{Cell, Fault, Ran};
use super::judge::Workload;
use super::launcher::Launcher;
use crate::program::{Program, check_names};
use anyhow::{Context, ensure};
use lab::conformance::{CellResult, CellRun, Conformance, FORMAT, Placement, Role, Sabotaged, Verdict};
use lab::measure::machine::{commit, machine};
use lab::path::Conditions;
use lab::results::Skipped;
use lab::sys;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Lines of output kept of a program that passed.
const PASSED_LINES: usize = 3;

/// Parameters of a run.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// Client programs.
    pub clients: Vec<Program>,
    /// Server programs.
    pub servers: Vec<Program>,
    /// Name of the pair whose own cells are the controls; it is a client and a server.
    pub reference: String,
    /// The cases.
    pub cases: Vec<Case>,
    /// Impairments that replace the paths of all cases.
    pub link: Option<Conditions>,
    /// Cells that run at the same time.
    pub jobs: usize,
    /// Runs of each cell.
    pub runs: u64,
    /// Seed of the paths.
    pub seed: u64,
    /// Whether forged TCP can be used here.
    pub can_forge: bool,
    /// Runs the cells instead of this program.
    pub launcher: Option<Launcher>,
    /// Title of the run, for the page.
    pub title: Option<String>,
    /// The command line, for the result file.
    pub command: String,
    /// Arguments of the command that repeats a cell, besides programs and the name of the case.
    pub replay: String,
    /// Replaces the time limits of the workloads.
    pub limit: Option<Duration>,
}

/// A finished cell.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Finished cells, and all.
    pub done: [usize; 2],
    /// `CLIENT -> SERVER`, or the deliberate fault.
    pub pairing: &'a str,
    /// Name of the case.
    pub case: &'a str,
    /// The run.
    pub run: &'a CellRun,
}

/// A cell to run: its case and programs, or a fault of the reference pair.
#[derive(Debug, Clone, Copy)]
struct Job<'a> {
    case: &'a Case,
    client: &'a Program,
    server: &'a Program,
    fault: Option<Fault>,
}

impl Matrix {
    /// Runs all cells, and passes each finished one to `print`.
    ///
    /// # Errors
    /// Two programs have one name, the reference is not a client and a server, a program cannot be read, or a signal.
    pub fn run(&self, print: &(dyn Fn(Progress<'_>) + Sync)) -> anyhow::Result<Conformance> {
        check_names(&self.clients)?;
        check_names(&self.servers)?;
        let facts = |programs: &[Program], role| {
            let one = |program: &Program| match &self.launcher {
                Some(launcher) => launcher.facts(program, role),
                None => program.facts(role),
            };
            programs.iter().map(one).collect::<anyhow::Result<Vec<_>>>()
        };
        let programs = [facts(&self.clients, Role::Client)?, facts(&self.servers, Role::Server)?].concat();
        let (jobs, skipped) = self.jobs()?;
        let mut runs = self.execute(&jobs, print);
        ensure!(!sys::is_stopping(), "stopped by a signal");
        let mut found = Conformance {
            format: FORMAT.to_owned(),
            machine: machine(),
            commit: commit(),
            command: self.command.clone(),
            placement: self.launcher.as_ref().map_or(Placement::Native, |_| Placement::Containers),
            title: self.title.clone(),
            seed: self.seed,
            runs: self.runs,
            reference: self.reference.clone(),
            programs,
            cases: self.cases.iter().map(Case::facts).collect(),
            cells: Vec::new(),
            sabotaged: Vec::new(),
            skipped,
        };
        for (at, job) in jobs.iter().enumerate() {
            let Some(ran) = runs.remove(&at) else { continue };
            match job.fault {
                None => found.cells.push(self.cell(job, ran)),
                Some(fault) => found.sabotaged.extend(ran.into_iter().take(1).map(|ran| Sabotaged {
                    case: job.case.name.clone(),
                    fault: fault.about().to_owned(),
                    caught: fault.is_caught(&ran.run),
                    run: ran.run,
                })),
            }
        }
        found.apply_controls();
        // A fault proves nothing in a case that fails without it.
        let green =
            |case: &str| found.cells.iter().any(|cell| cell.case == case && cell.verdict == Verdict::Pass);
        let proving: Vec<Sabotaged> =
            found.sabotaged.iter().filter(|one| green(&one.case)).cloned().collect();
        found.sabotaged = proving;
        Ok(found)
    }

    fn named<'a>(&self, programs: &'a [Program], role: Role) -> anyhow::Result<&'a Program> {
        let found = programs.iter().find(|program| program.name == self.reference);
        found.with_context(|| format!("the reference {:?} is not a {}", self.reference, role.name()))
    }

    /// The cells of the reference pair first: they are the controls.
    fn jobs(&self) -> anyhow::Result<(Vec<Job<'_>>, Vec<Skipped>)> {
        let client = self.named(&self.clients, Role::Client)?;
        let server = self.named(&self.servers, Role::Server)?;
        let is_possible = |case: &&Case| self.can_forge || !case.tcp;
        let cases: Vec<&Case> = self.cases.iter().filter(is_possible).collect();
        ensure!(!cases.is_empty(), "no case to run");
        let mut skipped = Vec::new();
        if cases.len() < self.cases.len() {
            let reason = "forged TCP needs root and a network namespace".to_owned();
            skipped.push(Skipped { name: "cases with tcp".to_owned(), reason });
        }
        let mut pairings = vec![(client, server)];
        for one in &self.clients {
            let others =
                self.servers.iter().filter(|other| (&one.name, &other.name) != (&client.name, &server.name));
            pairings.extend(others.map(|other| (one, other)));
        }
        let mut jobs = Vec::new();
        for (client, server) in pairings {
            jobs.extend(cases.iter().map(|case| Job { case, client, server, fault: None }));
        }
        // One fault for each workload of the run; a fault is found at once or at the short limit.
        let sabotaged = |fault, case| Job { case, client, server, fault: Some(fault) };
        let slow = [Workload::Restart, Workload::Reconnect, Workload::LongIdle];
        for work in Workload::ALL.iter().filter(|work| !slow.contains(work)) {
            let case = cases.iter().find(|case| case.work == *work && !case.tcp);
            jobs.extend(case.map(|case| sabotaged(Fault::WrongByte, case)));
        }
        jobs.extend(
            cases.iter().find(|case| case.crypt != "none").map(|case| sabotaged(Fault::WrongKey, case)),
        );
        Ok((jobs, skipped))
    }

    fn execute(&self, jobs: &[Job<'_>], print: &(dyn Fn(Progress<'_>) + Sync)) -> BTreeMap<usize, Vec<Ran>> {
        let (next, done, all) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
        // Programs end with the thread that started them.
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(|| {
                    while let Some((at, job)) =
                        jobs.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed))
                    {
                        if sys::is_stopping() {
                            return;
                        }
                        let ran = self.repeated(job);
                        let done = [done.fetch_add(1, Ordering::Relaxed) + 1, jobs.len()];
                        let pairing = job.fault.map_or_else(
                            || format!("{} -> {}", job.client.name, job.server.name),
                            |fault| fault.about().to_owned(),
                        );
                        if let Some(worst) = ran.iter().max_by_key(|ran| ran.run.verdict) {
                            print(Progress {
                                done,
                                pairing: &pairing,
                                case: &job.case.name,
                                run: &worst.run,
                            });
                        }
                        all.lock().unwrap_or_else(|held| held.into_inner()).insert(at, ran);
                    }
                });
            }
        });
        all.into_inner().unwrap_or_else(|held| held.into_inner())
    }

    fn repeated(&self, job: &Job<'_>) -> Vec<Ran> {
        let runs = if job.fault.is_some() { 1 } else { self.runs };
        let cell = |number| Cell {
            case: job.case,
            client: job.client,
            server: job.server,
            link: self.link.as_ref(),
            seed: self.seed + number,
            fault: job.fault,
            limit: self.limit,
        };
        let run = |number| match &self.launcher {
            Some(launcher) => launcher.run(&cell(number)),
            None => cell(number).run(),
        };
        (0..runs).map(run).collect()
    }

    fn cell(&self, job: &Job<'_>, ran: Vec<Ran>) -> CellResult {
        let observed = ran.iter().map(|ran| ran.run.verdict).max().unwrap_or(Verdict::NotMeasured);
        let last = ran.last();
        let lines = if observed == Verdict::Pass { PASSED_LINES } else { usize::MAX };
        let logs = last.map(|ran| ran.logs.iter().map(|log| tail(log, lines)).collect());
        CellResult {
            case: job.case.name.clone(),
            client: job.client.name.clone(),
            server: job.server.name.clone(),
            verdict: observed,
            observed,
            commands: last.map(|ran| ran.commands.clone()).unwrap_or_default(),
            logs: logs.unwrap_or_default(),
            replay: self.replay_of(job),
            runs: ran.into_iter().map(|ran| ran.run).collect(),
        }
    }

    fn replay_of(&self, job: &Job<'_>) -> String {
        let mut words = vec!["karst-interop matrix".to_owned()];
        let mut add = |flag: &str, of: &[Program], one: &Program| {
            let both = of.iter().filter(|other| other.name == one.name || other.name == self.reference);
            words.extend(both.map(|program| format!("{flag} '{}'", program.argument())));
        };
        add("--client", &self.clients, job.client);
        add("--server", &self.servers, job.server);
        words.push(format!("--reference {} {}--case '{}'", self.reference, self.replay, job.case.name));
        words.join(" ")
    }
}

/// The last `count` lines.
fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
