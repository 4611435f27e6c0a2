//! Differential runs: the same generated conversations against several servers, and what differs between them.

mod conversation;
mod explained;
mod play;
mod programs;

pub use conversation::{Conversation, Odd, Step, Target};
pub use explained::{EXPLAINED, Explained};
pub use play::{Observed, ObservedStream};

use crate::Program;
use crate::probe::{entropy, target};
use explained::explain;
use programs::Server;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time in which a server that was started plays its first conversation.
const START: Duration = Duration::from_secs(10);

/// Replays of a difference before it counts.
const CONFIRMATIONS: usize = 2;

/// Unexplained differences that are minimized; later ones are listed only.
const MINIMIZED_MAX: usize = 20;

/// What to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The servers; the first one is what others are compared with.
    pub servers: Vec<Program>,
    /// First seed.
    pub first: u64,
    /// Number of conversations.
    pub count: u64,
    /// Conversations at the same time.
    pub jobs: usize,
    /// Known differences: [`EXPLAINED`], or fewer.
    pub explained: &'static [Explained],
}

/// A difference that no rule explains.
#[derive(Debug, Clone, Serialize)]
pub struct Difference {
    /// The conversation, minimized.
    pub conversation: Conversation,
    /// What each server shows.
    pub observed: BTreeMap<String, Observed>,
}

/// Result of a run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Differences {
    /// Conversations that were played.
    pub conversations: u64,
    /// Conversations in which all servers show the same.
    pub equal: u64,
    /// Conversations with known differences, by rule.
    pub explained: BTreeMap<String, u64>,
    /// Conversations whose first difference did not occur again.
    pub unrepeated: u64,
    /// Differences that no rule explains.
    pub unexplained: Vec<Difference>,
    /// Why the run ended early.
    pub error: Option<String>,
    /// Seconds.
    pub seconds: f64,
}

impl Plan {
    /// Starts the servers and plays the conversations of all seeds.
    ///
    /// # Errors
    /// A server does not start, or plays not even a simple conversation.
    pub fn run(&self, progress: impl Fn(u64) + Sync) -> anyhow::Result<Differences> {
        let seeds = self.first..self.first + self.count;
        self.run_on(|at| seeds.clone().nth(at as usize).map(Conversation::generate), progress)
    }

    /// Plays given conversations.
    ///
    /// # Errors
    /// As [`Plan::run`].
    pub fn replay(&self, conversations: &[Conversation]) -> anyhow::Result<Differences> {
        self.run_on(|at| conversations.get(at as usize).cloned(), |_| {})
    }

    fn run_on(
        &self,
        conversation: impl Fn(u64) -> Option<Conversation> + Sync,
        progress: impl Fn(u64) + Sync,
    ) -> anyhow::Result<Differences> {
        let targets = target::Target::listen("127.0.0.1:0".parse()?)?;
        let servers = self.servers.iter().map(|program| Server::start(program, targets.address()));
        let explained = self.explained;
        let mut stage = Stage { targets: &targets, explained, servers: servers.collect::<Result<_, _>>()? };
        stage.warm_up()?;
        let started = Instant::now();
        let (next, found) = (AtomicU64::new(0), Mutex::new(Differences::default()));
        std::thread::scope(|scope| {
            for worker in 0..self.jobs.max(1) {
                let (stage, next, found) = (&stage, &next, &found);
                let (conversation, progress) = (&conversation, &progress);
                scope.spawn(move || {
                    let mut player =
                        Player { stage, entropy: entropy(&format!("worker {worker}")), played: 0, worker };
                    while let Some(conversation) = conversation(next.fetch_add(1, Ordering::Relaxed)) {
                        let minimizes = lock(found).unexplained.len() < MINIMIZED_MAX;
                        let judged = player.judge(&conversation, minimizes);
                        let mut found = lock(found);
                        found.add(judged);
                        progress(found.conversations);
                        if found.error.is_some() {
                            return;
                        }
                    }
                });
            }
        });
        let mut differences = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let ended = stage.servers.iter_mut().find_map(Server::ended);
        differences.error = ended.or(differences.error);
        differences.seconds = started.elapsed().as_secs_f64();
        Ok(differences)
    }
}

fn lock(found: &Mutex<Differences>) -> std::sync::MutexGuard<'_, Differences> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Judged {
    Equal,
    Explained(Vec<&'static str>),
    Unrepeated,
    Unexplained(Difference),
    Error(String),
}

impl Differences {
    fn add(&mut self, judged: Judged) {
        self.conversations += 1;
        match judged {
            Judged::Equal => self.equal += 1,
            Judged::Explained(rules) => {
                rules.into_iter().for_each(|rule| *self.explained.entry(rule.to_owned()).or_default() += 1);
            }
            Judged::Unrepeated => self.unrepeated += 1,
            Judged::Unexplained(difference) => self.unexplained.push(difference),
            Judged::Error(why) => drop(self.error.get_or_insert(why)),
        }
    }
}

/// Running servers and their target.
struct Stage<'s> {
    targets: &'s target::Target,
    explained: &'static [Explained],
    servers: Vec<Server>,
}

impl Stage<'_> {
    /// Waits until each server plays a simple conversation.
    fn warm_up(&self) -> anyhow::Result<()> {
        let mut entropy = entropy("first conversations");
        let steps = vec![Step::Open(0, Target::Echo), Step::Data(0, 100)];
        for server in &self.servers {
            for smux in [1, 2] {
                let simple = Conversation { seed: 0, smux, steps: steps.clone() };
                let started = Instant::now();
                loop {
                    let attempt = format!("w{}", entropy.next_u32());
                    let observed = play::play(&simple, server, self.targets, &attempt, &mut entropy)?;
                    if observed.alive && observed.streams[&0].down == 100 {
                        break;
                    }
                    anyhow::ensure!(started.elapsed() < START, "{}: smux {smux}: {observed:?}", server.name);
                }
            }
        }
        Ok(())
    }
}

struct Player<'p> {
    stage: &'p Stage<'p>,
    entropy: engine::Entropy,
    played: u64,
    worker: usize,
}

type Shown = BTreeMap<String, Observed>;

impl Player<'_> {
    fn judge(&mut self, conversation: &Conversation, minimizes: bool) -> Judged {
        match self.judged(conversation, minimizes) {
            Ok(judged) => judged,
            Err(error) => Judged::Error(error.to_string()),
        }
    }

    fn judged(&mut self, conversation: &Conversation, minimizes: bool) -> std::io::Result<Judged> {
        let mut shown = self.play(conversation)?;
        match self.compared(conversation, &shown) {
            Some(rules) if rules.is_empty() => return Ok(Judged::Equal),
            Some(rules) => return Ok(Judged::Explained(rules)),
            None => {}
        }
        for _ in 0..CONFIRMATIONS {
            shown = self.play(conversation)?;
            if self.compared(conversation, &shown).is_some() {
                return Ok(Judged::Unrepeated);
            }
        }
        let mut smallest = conversation.clone();
        let mut at = 0;
        while minimizes && at < smallest.steps.len() {
            let shorter = smallest.without(at);
            let now = self.play(&shorter)?;
            // Twice, so that chance does not lead the way.
            let again = |player: &mut Self| -> std::io::Result<bool> {
                let shown = player.play(&shorter)?;
                Ok(player.compared(&shorter, &shown).is_none())
            };
            if self.compared(&shorter, &now).is_none() && again(self)? {
                (smallest, shown) = (shorter, now);
            } else {
                at += 1;
            }
        }
        Ok(Judged::Unexplained(Difference { conversation: smallest, observed: shown }))
    }

    fn play(&mut self, conversation: &Conversation) -> std::io::Result<Shown> {
        let mut shown = Shown::new();
        for server in &self.stage.servers {
            self.played += 1;
            let attempt = format!("d{}-{}", self.worker, self.played);
            let observed = play::play(conversation, server, self.stage.targets, &attempt, &mut self.entropy)?;
            shown.insert(server.name.clone(), observed);
        }
        Ok(shown)
    }

    /// The rules that explain all differences; `None` if something is left.
    fn compared(&self, conversation: &Conversation, shown: &Shown) -> Option<Vec<&'static str>> {
        let mut rules = Vec::new();
        let all: Vec<&Observed> = shown.values().collect();
        for pair in all.windows(2) {
            for rule in explain(self.stage.explained, conversation, pair[0], pair[1])? {
                if !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
        }
        Some(rules)
    }
}
