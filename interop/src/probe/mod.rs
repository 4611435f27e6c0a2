//! Black-box conformance: one end of a session, played by this kit, against a server or a client of any origin.
//!
//! Each check is about a requirement that can be observed from outside, and keeps the datagrams that show its verdict. The kit
//! knows the protocol and nothing of the program.

mod client;
mod parity;
pub(crate) mod peer;
mod report;
mod server;
pub(crate) mod target;

use crate::decode;
use engine::Entropy;
use engine::crypt::{Cipher, MasterKey, Suite};
use engine::fec::Shape;
use lab::conformance::Verdict;
use lab::probe::{FORMAT, Probe, ProbeCase};
use peer::{Common, Peer};
use sha2::{Digest, Sha256};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use target::Target;

pub use report::{Table, junit};

/// Checks that run at the same time.
const AT_ONCE: usize = 4;

/// Datagrams that a verdict shows.
const SHOWN: usize = 10;

/// Ends a check before its end.
enum Stop {
    /// The verdict, and why.
    Verdict(Verdict, String),
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

type Checked = Result<(), Stop>;

fn fail<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Verdict(Verdict::Fail, why.into()))
}

fn not_measured<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Verdict(Verdict::NotMeasured, why.into()))
}

fn unsupported<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Verdict(Verdict::Unsupported, why.into()))
}

fn require(holds: bool, otherwise: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { fail(otherwise()) }
}

/// What both ends share, as on the command line of kcptun.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The key.
    pub key: Vec<u8>,
    /// The cipher.
    pub cipher: Cipher,
    /// Version of smux.
    pub smux: u8,
    /// Without compression.
    pub nocomp: bool,
    /// Data and parity shards; `None` without FEC.
    pub fec: Option<Shape>,
    /// Each stream begins with an address, as shadowsocks without a cipher writes it (mihomo).
    pub shadowsocks: bool,
}

impl Settings {
    /// In words, as on pages.
    fn words(&self) -> String {
        let fec =
            self.fec.map_or("no FEC".to_owned(), |shape| format!("FEC {}:{}", shape.data(), shape.parity()));
        let compressed = if self.nocomp { "not compressed" } else { "compressed" };
        format!("{}, smux {}, {compressed}, {fec}", self.cipher.name(), self.smux)
    }

    fn common(&self) -> Common {
        Common {
            suite: Suite::new(self.cipher, &MasterKey::derive(&self.key)),
            compressed: !self.nocomp,
            smux: self.smux,
            shape: self.fec,
            shadowsocks: self.shadowsocks,
        }
    }
}

/// A check of one requirement, or of more that are seen together.
struct Check<S> {
    ids: &'static [&'static str],
    title: &'static str,
    run: fn(&mut Bench<'_, S>) -> Checked,
}

/// The place of one running check.
struct Bench<'b, S> {
    subject: &'b S,
    common: Common,
    entropy: Entropy,
    /// The ends whose datagrams are evidence.
    shown: Vec<String>,
    tokens: u32,
}

impl<S> Bench<'_, S> {
    /// Keeps the last datagrams of an end as evidence.
    fn show(&mut self, peer: &Peer, kit_is_client: bool) {
        let Ok(local) = peer.local() else { return };
        let all = peer.log.iter().map(|logged| (logged.at, logged.sent, logged.bytes.as_slice()));
        let words =
            decode::exchanged(&peer.common.suite, peer.common.shape, [local, peer.to], kit_is_client, all);
        let from = words.len().saturating_sub(SHOWN);
        self.shown.extend(words.into_iter().skip(from));
    }

    /// A name that no other connection of this run has, always of the same length.
    fn token(&mut self) -> String {
        self.tokens += 1;
        format!("t{:08x}{:02x}", self.entropy.next_u32(), self.tokens)
    }
}

/// A server under test.
pub struct ServerSubject {
    server: SocketAddr,
    target: Option<Target>,
}

/// A client under test: a shell command with `{server}` and `{listen}` for addresses.
pub struct ClientSubject {
    command: String,
}

/// Checks the server at `server`. Its connections to `target` reach this process, which listens there.
///
/// # Errors
/// `target` cannot be bound.
pub fn probe_server(
    server: SocketAddr,
    target: Option<SocketAddr>,
    settings: &Settings,
    only: &str,
) -> io::Result<Probe> {
    let target = target.map(Target::listen).transpose()?;
    let subject = ServerSubject { server, target };
    Ok(run(&subject, &format!("server {server}"), server::CHECKS, settings, only))
}

/// Checks the client that `command` starts.
pub fn probe_client(command: &str, settings: &Settings, only: &str) -> Probe {
    let subject = ClientSubject { command: command.to_owned() };
    run(&subject, &format!("client {command}"), client::CHECKS, settings, only)
}

fn run<S: Sync>(subject: &S, name: &str, checks: &[Check<S>], settings: &Settings, only: &str) -> Probe {
    let wanted: Vec<&Check<S>> =
        checks.iter().filter(|check| check.title.contains(only) || check.ids.contains(&only)).collect();
    let next = AtomicUsize::new(0);
    let cases = Mutex::new(Vec::new());
    let common = settings.common();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(check) = wanted.get(at) else { return };
                    let case = run_one(subject, check, &common);
                    cases.lock().unwrap_or_else(PoisonError::into_inner).push((at, case));
                }
            });
        }
    });
    let mut cases = cases.into_inner().unwrap_or_else(PoisonError::into_inner);
    cases.sort_by_key(|(at, _)| *at);
    Probe {
        format: FORMAT.to_owned(),
        subject: name.to_owned(),
        settings: settings.words(),
        cases: cases.into_iter().map(|(_, case)| case).collect(),
    }
}

fn run_one<S>(subject: &S, check: &Check<S>, common: &Common) -> ProbeCase {
    let started = Instant::now();
    let entropy = entropy(check.title);
    let mut bench = Bench { subject, common: common.clone(), entropy, shown: Vec::new(), tokens: 0 };
    let (verdict, why) = match (check.run)(&mut bench) {
        Ok(()) => (Verdict::Pass, String::new()),
        Err(Stop::Verdict(verdict, why)) => (verdict, why),
        Err(Stop::Io(error)) => (Verdict::Error, error.to_string()),
    };
    ProbeCase {
        ids: check.ids.iter().map(ToString::to_string).collect(),
        title: check.title.to_owned(),
        verdict,
        why,
        ms: started.elapsed().as_millis() as u64,
        datagrams: bench.shown,
    }
}

/// Random numbers of this process and check.
pub(crate) fn entropy(name: &str) -> Entropy {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let text = format!("{name} {} {}", std::process::id(), now.as_nanos());
    Entropy::from_seed(Sha256::digest(text).into())
}
