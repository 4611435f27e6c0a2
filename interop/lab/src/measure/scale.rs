//! Many sessions, each with many streams, on one server.

use super::jain;
use super::sink::Sink;
use super::traffic::noise;
use super::trial::Amount;
use crate::pair::{Pair, Setup};
use crate::results::Trial;
use crate::sys;
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
pub(super) const STREAMS_PER_SESSION: usize = 10;

/// Steps in which sessions are added; idle memory is sampled after each.
const STEPS: usize = 5;

/// Sessions of the run that the full run is compared with.
const FEW_SESSIONS: usize = 10;

/// Number of streams opened concurrently.
const OPENING: usize = 50;

/// Time limit for a stream to open.
const OPEN_LIMIT: Duration = Duration::from_secs(30);

/// Small, so that data waits in the tunnel rather than in the kernel.
const SEND_BUFFER_BYTES: u32 = 16 * 1024;

/// Time for memory to settle after streams were opened.
const SETTLE: Duration = Duration::from_millis(500);

/// Shares are counted once every stream has delivered data, or after this time.
const WARM_MAX: Duration = Duration::from_secs(60);

/// Bytes a stream writes before the next one takes its turn.
const TURN_BYTES: usize = 8 * 1024;

/// Open files in addition to the connections.
const MORE_FILES: usize = 200;

/// Loads [`FEW_SESSIONS`], then `amount.sessions` sessions: memory while idle, shares of the streams under load.
pub(super) fn run(setup: Setup<'_>, amount: Amount) -> anyhow::Result<(Trial, Vec<String>)> {
    let sessions = amount.sessions.max(STEPS);
    sys::open_files((sessions * STREAMS_PER_SESSION + MORE_FILES) as u64)?;
    let mut trial = Trial::default();
    let few = ManyStreams::start(setup, FEW_SESSIONS.min(sessions))?.loaded(amount.time)?;
    trial.record("few_throughput_mbit", few.mbit());
    let mut streams = ManyStreams::start(setup, sessions)?;
    let memory = streams.grow()?;
    record_memory(&mut trial, &memory);
    // The share of a stream is small compared with a frame, so measure longer.
    let shares = streams.loaded(amount.time * 4)?;
    trial.record("throughput_mbit", shares.mbit());
    trial.record("throughput_kept", shares.mbit() / few.mbit());
    trial.record("jain_index", jain(&shares.bytes.iter().map(|bytes| *bytes as f64).collect::<Vec<_>>()));
    let served = shares.bytes.iter().filter(|bytes| **bytes > 0).count();
    trial.record("streams_served_pct", served as f64 * 100.0 / (sessions * STREAMS_PER_SESSION) as f64);
    trial.record("served_after_s", shares.served_after.as_secs_f64());
    trial.record("memory_peak_mib", streams.pair.memory_mib(true)?);
    trial.record("sessions", sessions as f64);
    trial.record("streams", shares.bytes.len() as f64);
    Ok((trial, streams.pair.commands()))
}

/// A pair of programs and the streams through it.
struct ManyStreams {
    pair: Pair,
    sessions: usize,
    streams: Vec<TcpStream>,
    target: Sink,
    runtime: Runtime,
}

/// Bytes of each stream that arrived in a measured time.
struct Shares {
    bytes: Vec<u64>,
    time: Duration,
    /// Time from the first write until every stream had delivered data.
    served_after: Duration,
}

impl Shares {
    fn mbit(&self) -> f64 {
        self.bytes.iter().sum::<u64>() as f64 * 8.0 / 1e6 / self.time.as_secs_f64()
    }
}

impl ManyStreams {
    fn start(setup: Setup<'_>, sessions: usize) -> anyhow::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let target = Sink::start(sessions * STREAMS_PER_SESSION)?;
        let flags = ["--conn".to_owned(), sessions.to_string()];
        let pair = Pair::start(Setup { client_flags: &flags, ..setup }, target.address)?;
        Ok(Self { pair, sessions, streams: Vec::new(), target, runtime })
    }

    /// Opens streams in steps; returns the number of sessions and the memory of client and server after each.
    fn grow(&mut self) -> anyhow::Result<Vec<(f64, [f64; 2])>> {
        let mut memory = vec![(0.0, self.pair.memories_mib(false)?)];
        for step in 1..=STEPS {
            let sessions = self.sessions * step / STEPS;
            self.open(sessions * STREAMS_PER_SESSION)?;
            sys::pause(SETTLE)?;
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

    /// Writes to all streams at full speed; returns the bytes of each that arrived within `time`.
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
        sys::pause(time)?;
        let (after, time) = (self.target.counts()?, start.elapsed());
        self.pair.check()?;
        ensure!(writers.try_join_next().is_none(), "a stream was cut under load");
        ensure!(before.len() == count, "{} streams reached the target, not {count}", before.len());
        let bytes: Vec<u64> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
        ensure!(bytes.iter().any(|bytes| *bytes > 0), "nothing arrived in {time:?}");
        Ok(Shares { bytes, time, served_after })
    }

    /// Waits until every stream has delivered data; returns the time.
    fn served(&mut self) -> anyhow::Result<Duration> {
        let start = Instant::now();
        while start.elapsed() < WARM_MAX && self.target.counts()?.contains(&0) {
            self.pair.check()?;
            sys::pause(Duration::from_millis(50))?;
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

/// A stream counts as open once the target has answered.
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

/// Records memory per session, and its greatest deviation from a straight line.
fn record_memory(trial: &mut Trial, memory: &[(f64, [f64; 2])]) {
    let points: Vec<[f64; 2]> =
        memory.iter().map(|(sessions, [client, server])| [*sessions, client + server]).collect();
    // The fixed cost of the first session does not belong to the slope.
    let (slope, strays) = line_through(&points[1..]);
    trial.record("memory_kib_per_session", slope * 1024.0);
    trial.record("memory_strays_pct", strays * 100.0);
    let side = |index: usize| memory.iter().map(move |(sessions, of)| [*sessions, of[index]]);
    trial.record_curve("memory_client_mib", side(0));
    trial.record_curve("memory_server_mib", side(1));
}

/// Slope of the least-squares line, and the greatest deviation from it as a share of the total growth.
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
    fn a_bend_deviates_from_the_line() {
        let (slope, strays) = line_through(&[[0.0, 3.0], [1.0, 5.0], [2.0, 7.0]]);
        assert!((slope - 2.0).abs() < 1e-9 && strays < 1e-9);
        let (_, strays) = line_through(&[[0.0, 0.0], [1.0, 0.0], [2.0, 9.0]]);
        assert!(strays > 0.3, "{strays}");
    }
}
