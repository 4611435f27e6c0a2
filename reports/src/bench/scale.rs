//! Many sessions, each with many streams, on one server.

use super::load::noise;
use super::machine;
use super::pair::{Pair, Setup};
use super::sink::Sink;
use super::trial::Amount;
use crate::performance::Trial;
use anyhow::{Context, bail, ensure};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Streams of each session.
pub(crate) const STREAMS_PER_SESSION: usize = 10;

/// Shares of the sessions at which idle memory is looked at.
const STEPS: usize = 5;

/// Sessions of the run that the full one is compared with.
const FEW_SESSIONS: usize = 10;

/// Streams that are opened at the same time.
const OPENING: usize = 50;

/// A stream must be open after this.
const OPEN_LIMIT: Duration = Duration::from_secs(30);

/// What waits for the tunnel, waits in it rather than in the kernel.
const SEND_BUFFER_BYTES: u32 = 16 * 1024;

/// Time for memory to settle after streams were opened.
const SETTLE: Duration = Duration::from_millis(500);

/// Shares are counted when every stream has brought something, or after this.
const WARM_MAX: Duration = Duration::from_secs(60);

/// Written at once by a stream before it is the next one's turn.
const TURN_BYTES: usize = 8 * 1024;

/// Files that this program has open beside its connections.
const MORE_FILES: usize = 200;

/// Few sessions under load, then `amount.sessions` of them: their memory while they do nothing, and their shares under load.
pub(super) fn run(setup: Setup<'_>, amount: Amount) -> anyhow::Result<(Trial, Vec<String>)> {
    let sessions = amount.sessions.max(STEPS);
    machine::open_files((sessions * STREAMS_PER_SESSION + MORE_FILES) as u64)?;
    let mut trial = Trial::default();
    let few = Crowd::start(setup, FEW_SESSIONS.min(sessions))?.loaded(amount.time)?;
    trial.note("few_throughput_mbit", few.mbit());
    let mut crowd = Crowd::start(setup, sessions)?;
    let memory = crowd.grow()?;
    note_memory(&mut trial, &memory);
    // Shares are small, and frames are not.
    let shares = crowd.loaded(amount.time * 4)?;
    trial.note("throughput_mbit", shares.mbit());
    trial.note("throughput_kept", shares.mbit() / few.mbit());
    trial.note("jain_index", jain(&shares.bytes));
    let served = shares.bytes.iter().filter(|bytes| **bytes > 0).count();
    trial.note("streams_served_pct", served as f64 * 100.0 / (sessions * STREAMS_PER_SESSION) as f64);
    trial.note("served_after_s", shares.served_after.as_secs_f64());
    trial.note("memory_peak_mib", crowd.pair.memory_mib(true)?);
    trial.note("sessions", sessions as f64);
    trial.note("streams", shares.bytes.len() as f64);
    Ok((trial, crowd.pair.commands()))
}

/// A pair of programs with streams through it.
struct Crowd {
    pair: Pair,
    sessions: usize,
    streams: Vec<TcpStream>,
    target: Sink,
    runtime: Runtime,
}

/// What arrived of each stream in a time.
struct Shares {
    bytes: Vec<u64>,
    time: Duration,
    /// From the first write until every stream had brought something.
    served_after: Duration,
}

impl Shares {
    fn mbit(&self) -> f64 {
        self.bytes.iter().sum::<u64>() as f64 * 8.0 / 1e6 / self.time.as_secs_f64()
    }
}

impl Crowd {
    fn start(setup: Setup<'_>, sessions: usize) -> anyhow::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let target = Sink::start(sessions * STREAMS_PER_SESSION)?;
        let flags = ["--conn".to_owned(), sessions.to_string()];
        let pair = Pair::start(Setup { client_flags: &flags, ..setup }, target.address)?;
        Ok(Self { pair, sessions, streams: Vec::new(), target, runtime })
    }

    /// Opens streams step by step: sessions, and the memory of client and server with them.
    fn grow(&mut self) -> anyhow::Result<Vec<(f64, [f64; 2])>> {
        let mut memory = vec![(0.0, self.pair.memories_mib(false)?)];
        for step in 1..=STEPS {
            let sessions = self.sessions * step / STEPS;
            self.open(sessions * STREAMS_PER_SESSION)?;
            std::thread::sleep(SETTLE);
            memory.push((sessions as f64, self.pair.memories_mib(false)?));
        }
        Ok(memory)
    }

    fn open(&mut self, count: usize) -> anyhow::Result<()> {
        let entry = self.pair.entry;
        let missing = count.saturating_sub(self.streams.len());
        let opened = self.runtime.block_on(open(entry, missing));
        self.pair.check()?;
        let opened = opened.with_context(|| format!("after {} streams", self.streams.len()))?;
        self.streams.extend(opened);
        Ok(())
    }

    /// Writes to all streams as fast as they take it; what arrived of each after a while.
    fn loaded(&mut self, time: Duration) -> anyhow::Result<Shares> {
        self.open(self.sessions * STREAMS_PER_SESSION)?;
        let block: Arc<[u8]> = noise(TURN_BYTES).into();
        let count = self.streams.len();
        let mut writers = JoinSet::new();
        for stream in self.streams.drain(..) {
            writers.spawn_on(write(stream, Arc::clone(&block)), self.runtime.handle());
        }
        let served_after = self.served()?;
        let (before, start) = (self.target.counts()?, Instant::now());
        std::thread::sleep(time);
        let (after, time) = (self.target.counts()?, start.elapsed());
        self.pair.check()?;
        ensure!(writers.try_join_next().is_none(), "a stream was cut under load");
        ensure!(before.len() == count, "{} streams came to the target, not {count}", before.len());
        let bytes: Vec<u64> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
        ensure!(bytes.iter().any(|bytes| *bytes > 0), "nothing arrived in {time:?}");
        Ok(Shares { bytes, time, served_after })
    }

    /// How long it takes until every stream has brought something.
    fn served(&mut self) -> anyhow::Result<Duration> {
        let start = Instant::now();
        while start.elapsed() < WARM_MAX && self.target.counts()?.contains(&0) {
            self.pair.check()?;
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(start.elapsed())
    }
}

async fn open(entry: SocketAddr, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    let mut streams = Vec::with_capacity(count);
    while streams.len() < count {
        let mut opening = JoinSet::new();
        for _ in 0..OPENING.min(count - streams.len()) {
            opening.spawn(async move { timeout(OPEN_LIMIT, open_one(entry)).await });
        }
        while let Some(opened) = opening.join_next().await {
            match opened? {
                Ok(stream) => streams.push(stream.with_context(|| format!("stream {}", streams.len()))?),
                Err(_) => bail!("{} of {count} streams were open after {OPEN_LIMIT:?}", streams.len()),
            }
        }
    }
    Ok(streams)
}

/// Opened means that the target answered.
async fn open_one(entry: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    let mut stream = socket.connect(entry).await?;
    stream.set_nodelay(true)?;
    stream.write_all(b"?").await?;
    stream.read_exact(&mut [0]).await?;
    Ok(stream)
}

async fn write(mut stream: TcpStream, block: Arc<[u8]>) -> std::io::Result<()> {
    loop {
        stream.write_all(&block).await?;
        tokio::task::yield_now().await;
    }
}

/// Jain's index of fairness: 1 when all shares are equal, 1/n when one has everything.
fn jain(shares: &[u64]) -> f64 {
    let sum: f64 = shares.iter().map(|share| *share as f64).sum();
    let squares: f64 = shares.iter().map(|share| (*share as f64).powi(2)).sum();
    if squares == 0.0 { 0.0 } else { sum * sum / (shares.len() as f64 * squares) }
}

/// What memory costs per session, and how far it strays from a straight line.
fn note_memory(trial: &mut Trial, memory: &[(f64, [f64; 2])]) {
    let points: Vec<[f64; 2]> =
        memory.iter().map(|(sessions, [client, server])| [*sessions, client + server]).collect();
    // What the first session brings with it is no matter of how many there are.
    let (slope, strays) = line_through(&points[1..]);
    trial.note("memory_kib_per_session", slope * 1024.0);
    trial.note("memory_strays_pct", strays * 100.0);
    let side = |index: usize| memory.iter().map(move |(sessions, of)| [*sessions, of[index]]);
    trial.draw("memory_client_mib", side(0));
    trial.draw("memory_server_mib", side(1));
}

/// Slope of the straight line that fits best, and the greatest distance from it as a share of the whole growth.
fn line_through(points: &[[f64; 2]]) -> (f64, f64) {
    let n = points.len() as f64;
    let mean = |of: usize| points.iter().map(|point| point[of]).sum::<f64>() / n;
    let (x, y) = (mean(0), mean(1));
    let along: f64 = points.iter().map(|point| (point[0] - x) * (point[1] - y)).sum();
    let slope = along / points.iter().map(|point| (point[0] - x).powi(2)).sum::<f64>().max(f64::MIN_POSITIVE);
    let far = points.iter().map(|point| (point[1] - y - slope * (point[0] - x)).abs()).fold(0.0, f64::max);
    let growth = points.iter().map(|point| point[1]).fold(f64::MIN, f64::max)
        - points.iter().map(|point| point[1]).fold(f64::MAX, f64::min);
    (slope, if growth > 0.0 { far / growth } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_that_of_jain() {
        assert!((jain(&[5; 100]) - 1.0).abs() < 1e-12);
        assert!((jain(&[7, 0, 0, 0]) - 0.25).abs() < 1e-12);
        assert!((jain(&[1, 2, 3]) - 36.0 / 42.0).abs() < 1e-12 && jain(&[0, 0]) == 0.0);
    }

    #[test]
    fn a_bend_strays_from_the_line() {
        let (slope, strays) = line_through(&[[0.0, 3.0], [1.0, 5.0], [2.0, 7.0]]);
        assert!((slope - 2.0).abs() < 1e-9 && strays < 1e-9);
        let (_, strays) = line_through(&[[0.0, 0.0], [1.0, 0.0], [2.0, 9.0]]);
        assert!(strays > 0.3, "{strays}");
    }
}
