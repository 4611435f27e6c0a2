//! One run of one cell: starts the programs, has the judge send its streams, stops the programs.

use super::KEY;
use super::case::Case;
use super::judge::{Finding, Head, Task, Why, judge};
use super::path;
use super::placed::{NetPair, Placed};
use crate::Program;
use lab::conformance::{CellRun, Verdict};
use lab::mihomo;
use lab::pair::{Pair, Setup};
use lab::path::Conditions;
use lab::peers::Peer;
use lab::ports::local;
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// Starts of a cell whose ports another program took first.
const STARTS: usize = 3;

/// Lines of output kept per program, and their length.
const LOG_LINES: usize = 8;
const LOG_COLUMNS: usize = 200;

/// A deliberate fault, which must be found.
#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The server has another key.
    WrongKey,
    /// The target alters one byte.
    WrongByte,
}

impl Fault {
    /// Description for result files.
    pub const fn about(self) -> &'static str {
        match self {
            Self::WrongKey => "the server has another key",
            Self::WrongByte => "the target alters one byte of each stream",
        }
    }

    /// Whether the run failed because of the fault.
    pub fn is_caught(self, run: &CellRun) -> bool {
        let why = run.why.as_deref().unwrap_or_default();
        run.verdict == Verdict::Fail && (self == Self::WrongKey || why.contains("wrong byte"))
    }

    /// Time limit of a cell with the fault: with another key, nothing ever arrives.
    const fn limit(self) -> Duration {
        Duration::from_secs(if matches!(self, Self::WrongKey) { 6 } else { 30 })
    }
}

/// A client and a server in a case.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    /// The case.
    pub case: &'a Case,
    /// The client program.
    pub client: &'a Program,
    /// The server program.
    pub server: &'a Program,
    /// Impairments that replace the path of the case.
    pub link: Option<&'a Conditions>,
    /// Seed of the path.
    pub seed: u64,
    /// A deliberate fault.
    pub fault: Option<Fault>,
    /// Replaces the workload's own time limit.
    pub limit: Option<Duration>,
}

/// A run with its evidence.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Ran {
    /// The verdict.
    pub run: CellRun,
    /// Command lines: server, client.
    pub commands: Vec<String>,
    /// Last lines of output: server, client.
    pub logs: Vec<String>,
}

impl Ran {
    /// A run without programs.
    pub fn without(verdict: Verdict, why: String) -> Self {
        let run = CellRun { verdict, ending: None, why: Some(why), elapsed_ms: 0, bytes: 0, relay: None };
        Self { run, commands: Vec::new(), logs: Vec::new() }
    }
}

impl Cell<'_> {
    /// Runs the cell. A program that exits before it listens does not support the case, if the programs start without its
    /// flags.
    pub fn run(&self) -> Ran {
        if let Some(why) = self.lacks() {
            return Ran::without(Verdict::Unsupported, why.to_owned());
        }
        match self.start() {
            Ok((placed, target)) => self.judged(placed, &target),
            Err(error) => {
                let refused = error.kind() == ErrorKind::BrokenPipe && self.starts_plainly();
                let verdict = if refused { Verdict::Unsupported } else { Verdict::Error };
                Ran::without(verdict, clipped(&error.to_string()))
            }
        }
    }

    /// Flags of both programs; more flags of the client; more flags of the server.
    pub(super) fn flags(&self) -> [Vec<String>; 3] {
        let key = ["--key".to_owned(), KEY.to_owned()];
        let flags: Vec<String> = key.into_iter().chain(self.case.flags()).collect();
        let client_flags = [self.case.client_flags(), self.client.flags.clone()].concat();
        let mut server_flags = self.server.flags.clone();
        if self.fault == Some(Fault::WrongKey) {
            server_flags.extend(["--key".to_owned(), "another".to_owned()]);
        }
        [flags, client_flags, server_flags]
    }

    /// What the judge has to do.
    pub(super) fn task(&self) -> Task {
        Task {
            work: self.case.work,
            ways: self.case.direction,
            alters_byte: self.fault == Some(Fault::WrongByte),
            limit: self.fault.map(Fault::limit).or(self.limit),
        }
    }

    fn start(&self) -> io::Result<(Placed<'_>, TcpListener)> {
        let conditions = self.link.cloned().or_else(|| path::conditions(&self.case.path, self.seed));
        let [flags, client_flags, server_flags] = self.flags();
        if self.case.tcp {
            let all = [[flags.clone(), client_flags].concat(), [flags, server_flags].concat()];
            let programs = [self.client.path.as_path(), &self.server.path];
            let (pair, target) = NetPair::start(programs, all, &conditions.unwrap_or_default())?;
            return Ok((Placed::Net(pair), target));
        }
        let peer = self.peer();
        let setup = Setup {
            path: conditions.as_ref(),
            client_flags: &client_flags,
            server_flags: &server_flags,
            ..Setup::new(&peer, &flags)
        };
        let target = TcpListener::bind(local(0))?;
        let address = target.local_addr()?;
        let mut started = Pair::start(setup, address);
        for _ in 1..STARTS {
            let is_taken = |error: &io::Error| error.to_string().contains("in use");
            if !started.as_ref().is_err_and(is_taken) {
                break;
            }
            started = Pair::start(setup, address);
        }
        Ok((Placed::Host { pair: started?, server: &self.server.path }, target))
    }

    fn peer(&self) -> Peer {
        Peer {
            name: String::new(),
            client: self.client.path.clone(),
            server: self.server.path.clone(),
            extra: Vec::new(),
        }
    }

    /// Whether both programs listen when they get addresses, a key and their own flags only.
    fn starts_plainly(&self) -> bool {
        let (peer, flags) = (self.peer(), ["--key".to_owned(), KEY.to_owned()]);
        let setup = Setup {
            client_flags: &self.client.flags,
            server_flags: &self.server.flags,
            ..Setup::new(&peer, &flags)
        };
        Pair::start(setup, local(9)).is_ok()
    }

    /// What mihomo writes in front of each stream and other servers do not remove, or the other way round.
    fn head(&self, target: SocketAddr) -> Head {
        let head = mihomo::head(target);
        match [&self.client.path, &self.server.path].map(|path| mihomo::is(path)) {
            [true, false] => Head { skipped: head.len(), ..Head::default() },
            [false, true] => Head { sent: head, ..Head::default() },
            _ => Head::default(),
        }
    }

    /// Why a program has no such case although it starts with its flags.
    fn lacks(&self) -> Option<&'static str> {
        let [client, server] = [&self.client.path, &self.server.path].map(|path| mihomo::is(path));
        if !client && !server {
            return None;
        }
        match self.case {
            case if case.tcp => Some("mihomo has no forged TCP"),
            case if case.fec == "0:0" => Some("mihomo always sends parity"),
            case if case.crypt == "sm4" => Some("mihomo does not know sm4"),
            _ => None,
        }
    }

    fn judged(&self, mut placed: Placed<'_>, target: &TcpListener) -> Ran {
        let head = target.local_addr().map(|at| self.head(at)).unwrap_or_default();
        let finding = judge(self.task(), &head, &mut placed, target);
        let logs = placed.outputs().iter().map(|output| clipped(output)).collect();
        Ran { run: verdict(finding, placed.relayed()), commands: placed.commands(), logs }
    }
}

/// The verdict of a finding.
pub fn verdict(finding: Finding, relay: Option<[u64; 2]>) -> CellRun {
    let (verdict, why) = match finding.why {
        None => (Verdict::Pass, None),
        Some(Why::Stream(why)) => (Verdict::Fail, Some(why)),
        Some(Why::Program(why)) => (Verdict::Error, Some(clipped(&why))),
    };
    let elapsed_ms = finding.elapsed.as_millis() as u64;
    CellRun { verdict, ending: Some(finding.ending), why, elapsed_ms, bytes: finding.bytes, relay }
}

/// The last lines, shortened.
pub(super) fn clipped(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let cut = |line: &&str| line.chars().take(LOG_COLUMNS).collect::<String>();
    let kept: Vec<String> = lines[lines.len().saturating_sub(LOG_LINES)..].iter().map(cut).collect();
    kept.join("\n")
}
