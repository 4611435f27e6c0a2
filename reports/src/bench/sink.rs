//! A target for thousands of streams, in a process of its own: both ends of that many connections are more files than a
//! process may have open on many machines.

use super::machine::open_files;
use super::pair::local;
use anyhow::{Context, ensure};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

/// What each stream brought, in the order in which they came.
type Counters = Arc<Mutex<Vec<Arc<AtomicU64>>>>;

/// A running target; it ends when this is dropped, or with this program.
pub(super) struct Sink {
    child: Child,
    /// A line asks for the counts.
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    pub(super) address: SocketAddr,
}

impl Sink {
    /// Starts one for so many streams.
    pub(super) fn start(streams: usize) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench-sink", &streams.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("starting the target")?;
        let ask = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().context("the target has no output")?);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let address = line.trim().parse().context("the target did not start")?;
        Ok(Self { child, ask, answers, address })
    }

    /// Bytes of each stream so far.
    pub(super) fn counts(&mut self) -> anyhow::Result<Vec<u64>> {
        let ask = self.ask.as_mut().context("the target has no input")?;
        ask.write_all(b"\n").context("asking the target")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).context("the target's counts")
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.ask = None;
        let _ = self.child.wait();
    }
}

/// `bench-sink`: says where it listens, then answers each line with the counts.
#[derive(clap::Args)]
pub(crate) struct SinkArgs {
    streams: u64,
}

impl SinkArgs {
    pub(crate) fn run(&self) -> anyhow::Result<bool> {
        open_files(self.streams + 100)?;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind(local(0)))?;
        let counters = Counters::default();
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", listener.local_addr()?)?;
        runtime.spawn(accept(listener, Arc::clone(&counters)));
        for line in std::io::stdin().lines() {
            ensure!(line?.is_empty(), "only empty lines are understood");
            let counts: Vec<u64> =
                held(&counters).iter().map(|count| count.load(Ordering::Relaxed)).collect();
            writeln!(out, "{}", serde_json::to_string(&counts)?)?;
        }
        Ok(true)
    }
}

fn held(counters: &Counters) -> std::sync::MutexGuard<'_, Vec<Arc<AtomicU64>>> {
    counters.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, counters: Counters) {
    while let Ok((stream, _)) = listener.accept().await {
        let counter = Arc::new(AtomicU64::new(0));
        held(&counters).push(Arc::clone(&counter));
        tokio::spawn(count(stream, counter));
    }
}

/// Answers the first byte, then counts.
async fn count(mut stream: TcpStream, counter: Arc<AtomicU64>) -> std::io::Result<()> {
    let mut block = vec![0; 16 * 1024];
    stream.read_exact(&mut block[..1]).await?;
    stream.write_all(&block[..1]).await?;
    loop {
        match stream.read(&mut block).await? {
            0 => return Ok(()),
            n => counter.fetch_add(n as u64, Ordering::Relaxed),
        };
    }
}
