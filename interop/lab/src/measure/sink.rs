//! A target for thousands of streams, in a separate process: both ends of the connections would exceed the limit of open
//! files of one process on many machines.

use crate::ports::local;
use crate::process::Running;
use crate::sys::open_files;
use anyhow::{Context, ensure};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

/// Open files in addition to the connections.
const MORE_FILES: u64 = 100;

/// Bytes received of each stream, in the order in which they were accepted.
type Counters = Arc<Mutex<Vec<Arc<AtomicU64>>>>;

/// A running target process; killed when dropped, and when this program ends.
pub(super) struct Sink {
    _child: Running,
    /// An empty line requests the counts.
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub(super) address: SocketAddr,
}

impl Sink {
    /// Starts a target for that many streams: this program with the argument `bench-sink`, which must call [`serve`].
    pub(super) fn start(streams: usize) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench-sink", &streams.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = Running::spawn(&mut command).context("starting the target")?;
        let (requests, answers) = child.pipes().context("the target has no pipes")?;
        let mut answers = BufReader::new(answers);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let address = line.trim().parse().context("the target did not start")?;
        Ok(Self { _child: child, requests, answers, address })
    }

    /// Bytes of each stream so far.
    pub(super) fn counts(&mut self) -> anyhow::Result<Vec<u64>> {
        self.requests.write_all(b"\n").context("requesting the counts of the target")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).context("the target's counts")
    }
}

/// Runs the target: prints its listen address, then answers each empty line of the standard input with the counts.
///
/// # Errors
/// The limit of open files is too low, or an input line is not empty.
pub fn serve(streams: u64) -> anyhow::Result<()> {
    open_files(streams + MORE_FILES)?;
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind(local(0)))?;
    let counters = Counters::default();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", listener.local_addr()?)?;
    runtime.spawn(accept(listener, Arc::clone(&counters)));
    for line in std::io::stdin().lines() {
        ensure!(line?.is_empty(), "a request is an empty line");
        let counts: Vec<u64> = held(&counters).iter().map(|count| count.load(Ordering::Relaxed)).collect();
        writeln!(out, "{}", serde_json::to_string(&counts)?)?;
    }
    Ok(())
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

/// Echoes the first byte, then counts all others.
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
