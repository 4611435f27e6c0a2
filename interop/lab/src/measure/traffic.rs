//! Traffic at full speed: a target that echoes or counts, bulk streams, and requests whose round trips are timed.
//!
//! Blocking threads, unlike the workloads of [`crate::load`], which wait for sockets and timers on one thread.

use crate::ports::local;
use crate::sys;
use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes of a request, and of its answer.
const REQUEST_BYTES: usize = 64;

/// Size of the reads and writes of bulk streams.
const BLOCK_BYTES: usize = 128 * 1024;

/// Interval of the reports of a counting target.
const REPORT_EVERY: Duration = Duration::from_millis(20);

/// Time limit for the answer to a request.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Upper limit of recorded latencies.
const HIGHEST_US: u64 = 60_000_000;

/// Service that the first byte of a connection selects at the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Echoes all bytes.
    Echo = b'E' as isize,
    /// Counts the bytes, and reports the count every 20 ms.
    Count = b'C' as isize,
}

/// A service behind the tunnel; it accepts no more connections once dropped.
pub(super) struct Target {
    pub(super) address: SocketAddr,
    listener: TcpListener,
}

impl Target {
    /// Listens on a port of this machine.
    pub(super) fn start() -> io::Result<Self> {
        Self::serve(TcpListener::bind(local(0))?)
    }

    /// Serves the connections of `listener`.
    pub(super) fn serve(listener: TcpListener) -> io::Result<Self> {
        let (address, accepting) = (listener.local_addr()?, listener.try_clone()?);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                std::thread::spawn(move || serve(stream));
            }
        });
        Ok(Self { address, listener })
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Wakes the thread that waits for connections.
        let _ = socket2::SockRef::from(&self.listener).shutdown(Shutdown::Both);
    }
}

/// Serves one connection until either end closes it.
fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut work = [0];
    stream.read_exact(&mut work)?;
    let mut block = vec![0; BLOCK_BYTES];
    let (mut total, mut reported) = (0_u64, Instant::now());
    loop {
        let n = stream.read(&mut block)?;
        if n == 0 {
            return Ok(());
        }
        if work[0] == Work::Echo as u8 {
            stream.write_all(&block[..n])?;
            continue;
        }
        total += n as u64;
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            stream.write_all(&total.to_be_bytes())?;
        }
    }
}

/// Makes a connection whose other end is a [`Target`].
pub(super) type Dial<'a> = &'a (dyn Fn() -> anyhow::Result<TcpStream> + Sync);

/// Connects to an address of this machine.
pub(super) fn dial(address: SocketAddr) -> impl Fn() -> anyhow::Result<TcpStream> + Sync {
    move || TcpStream::connect(address).with_context(|| format!("connecting to {address}"))
}

/// Opens a connection and selects the service.
pub(super) fn connect(dial: Dial<'_>, work: Work) -> anyhow::Result<TcpStream> {
    let mut stream = dial()?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.write_all(&[work as u8])?;
    Ok(stream)
}

/// Sends a request and waits for the answer; returns the round-trip time.
pub(super) fn request(stream: &mut TcpStream) -> anyhow::Result<Duration> {
    let (request, mut answer) = ([b'x'; REQUEST_BYTES], [0; REQUEST_BYTES]);
    let start = Instant::now();
    stream.write_all(&request).context("sending a request")?;
    stream.read_exact(&mut answer).context("waiting for an answer")?;
    let time = start.elapsed();
    ensure!(answer == request, "an answer differs from its request");
    Ok(time)
}

/// Round-trip times in microseconds of successive requests on their own connection, with `gap` between them, for `time`.
pub(super) fn latencies(dial: Dial<'_>, gap: Duration, time: Duration) -> anyhow::Result<Histogram<u64>> {
    let mut latencies = Histogram::new_with_bounds(1, HIGHEST_US, 3)?;
    let mut stream = connect(dial, Work::Echo)?;
    // Not timed: the first request opens the stream and possibly the session.
    request(&mut stream)?;
    let start = Instant::now();
    while start.elapsed() < time {
        latencies.saturating_record(request(&mut stream)?.as_micros() as u64);
        sys::pause(gap)?;
    }
    Ok(latencies)
}

/// A stream that sends at full speed until dropped.
pub(super) struct Bulk {
    stream: TcpStream,
    /// Bytes that the target received or echoed.
    arrived: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Bulk {
    pub(super) fn start(dial: Dial<'_>, work: Work) -> anyhow::Result<Self> {
        let stream = connect(dial, work)?;
        let arrived = Arc::new(AtomicU64::new(0));
        let (mut out, mut back, count) = (stream.try_clone()?, stream.try_clone()?, Arc::clone(&arrived));
        let write = move || {
            let block = noise(BLOCK_BYTES);
            while out.write_all(&block).is_ok() {}
        };
        let read = move || {
            let mut block = vec![0; BLOCK_BYTES];
            while let Some(more) = read(&mut back, work, &mut block) {
                match work {
                    Work::Echo => count.fetch_add(more, Ordering::Relaxed),
                    Work::Count => count.swap(more, Ordering::Relaxed),
                };
            }
        };
        Ok(Self { stream, arrived, threads: vec![std::thread::spawn(write), std::thread::spawn(read)] })
    }

    /// Bytes that arrived so far: echoed, or reported by the target.
    pub(super) fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }
}

/// Reads echoed bytes (their number) or a report of the target (its count); None at the end of the stream.
fn read(back: &mut TcpStream, work: Work, block: &mut [u8]) -> Option<u64> {
    match work {
        Work::Echo => back.read(block).ok().filter(|n| *n > 0).map(|n| n as u64),
        Work::Count => {
            let mut total = [0; 8];
            back.read_exact(&mut total).ok().map(|()| u64::from_be_bytes(total))
        }
    }
}

impl Drop for Bulk {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// Incompressible bytes, equal in every run.
pub(super) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| byte()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_timed() {
        let target = Target::start().unwrap();
        let found =
            latencies(&dial(target.address), Duration::from_millis(1), Duration::from_millis(100)).unwrap();
        assert!(found.len() > 10 && found.value_at_quantile(0.5) < 50_000, "{}", found.len());
    }

    #[test]
    fn both_services_count_arrived_bytes() {
        let target = Target::start().unwrap();
        for work in [Work::Echo, Work::Count] {
            let bulk = Bulk::start(&dial(target.address), work).unwrap();
            std::thread::sleep(Duration::from_millis(300));
            assert!(bulk.arrived() > 1_000_000, "{work:?}: {}", bulk.arrived());
        }
    }

    #[test]
    fn a_refused_connection_is_reported_with_its_address() {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let said = format!("{:#}", Bulk::start(&dial(gone), Work::Count).err().unwrap());
        assert!(said.contains(&gone.to_string()), "{said}");
    }
}
