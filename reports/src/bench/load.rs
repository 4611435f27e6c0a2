//! The load: a target that echoes or counts, bulk streams, and requests whose answers are timed.

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes of a request, and of its answer.
const REQUEST_BYTES: usize = 64;

/// Written and read at once by bulk streams.
const BLOCK_BYTES: usize = 128 * 1024;

/// How often a counting target says what it has.
const REPORT_EVERY: Duration = Duration::from_millis(20);

/// A request without an answer for so long is an error.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Latencies up to a minute, to three digits.
const HIGHEST_US: u64 = 60_000_000;

/// What the target does with a connection: its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Sends everything back.
    Echo = b'E' as isize,
    /// Counts, and sends back how many bytes came so far, now and then.
    Count = b'C' as isize,
}

/// A service behind the tunnel.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    over: Arc<AtomicBool>,
}

impl Target {
    /// Port 0 picks one.
    pub(crate) fn start(listen: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(listen).with_context(|| format!("listening on {listen}"))?;
        let address = listener.local_addr()?;
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if seen.load(Ordering::Relaxed) {
                    return;
                }
                std::thread::spawn(move || serve(stream));
            }
        });
        Ok(Self { address, over })
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Lets it see that.
        let _ = TcpStream::connect(self.address);
    }
}

/// A connection that breaks is over; who made it notices.
fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut work = [0];
    stream.read_exact(&mut work)?;
    let mut block = vec![0; BLOCK_BYTES];
    let (mut total, mut told) = (0_u64, Instant::now());
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
        if told.elapsed() >= REPORT_EVERY {
            told = Instant::now();
            stream.write_all(&total.to_be_bytes())?;
        }
    }
}

/// Where connections begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) address: SocketAddr,
    /// Congestion control; none for the machine's own.
    pub(crate) control: Option<&'a str>,
}

impl From<SocketAddr> for Entry<'_> {
    fn from(address: SocketAddr) -> Self {
        Self { address, control: None }
    }
}

/// A connection for that work.
pub(crate) fn connect(entry: Entry<'_>, work: Work) -> anyhow::Result<TcpStream> {
    let address = entry.address;
    let mut stream = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
    if let Some(control) = entry.control {
        let set = socket2::SockRef::from(&stream).set_tcp_congestion(control.as_bytes());
        set.with_context(|| format!("congestion control {control}"))?;
    }
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.write_all(&[work as u8])?;
    Ok(stream)
}

/// Sends a request and waits for its answer.
pub(crate) fn ask(stream: &mut TcpStream) -> anyhow::Result<Duration> {
    let (request, mut answer) = ([b'x'; REQUEST_BYTES], [0; REQUEST_BYTES]);
    let start = Instant::now();
    stream.write_all(&request).context("sending a request")?;
    stream.read_exact(&mut answer).context("waiting for an answer")?;
    let time = start.elapsed();
    ensure!(answer == request, "an answer differs from its request");
    Ok(time)
}

/// Requests one after the other on a connection of their own, with `gap` between them, for `time`: microseconds.
pub(crate) fn latencies(entry: Entry<'_>, gap: Duration, time: Duration) -> anyhow::Result<Histogram<u64>> {
    let mut latencies = Histogram::new_with_bounds(1, HIGHEST_US, 3)?;
    let mut stream = connect(entry, Work::Echo)?;
    // The first one opens the stream, perhaps the session.
    ask(&mut stream)?;
    let start = Instant::now();
    while start.elapsed() < time {
        latencies.saturating_record(ask(&mut stream)?.as_micros() as u64);
        std::thread::sleep(gap);
    }
    Ok(latencies)
}

/// A stream that carries as much as it can until it is dropped.
pub(crate) struct Bulk {
    stream: TcpStream,
    /// Bytes that came to where they should.
    arrived: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Bulk {
    pub(crate) fn start(entry: Entry<'_>, work: Work) -> anyhow::Result<Self> {
        let stream = connect(entry, work)?;
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

    /// Bytes that arrived so far.
    pub(crate) fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }
}

/// Bytes that came back, or what the target says it has.
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

/// Bytes that do not compress, always the same.
pub(crate) fn noise(len: usize) -> Vec<u8> {
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

    fn target() -> Target {
        Target::start("127.0.0.1:0".parse().unwrap()).unwrap()
    }

    #[test]
    fn requests_are_timed() {
        let target = target();
        let found =
            latencies(target.address.into(), Duration::from_millis(1), Duration::from_millis(100)).unwrap();
        assert!(found.len() > 10 && found.value_at_quantile(0.5) < 50_000, "{}", found.len());
    }

    #[test]
    fn both_kinds_of_bulk_say_what_arrived() {
        let target = target();
        for work in [Work::Echo, Work::Count] {
            let bulk = Bulk::start(target.address.into(), work).unwrap();
            std::thread::sleep(Duration::from_millis(300));
            assert!(bulk.arrived() > 1_000_000, "{work:?}: {}", bulk.arrived());
        }
    }

    #[test]
    fn a_target_that_is_gone_is_an_error_with_its_address() {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let said = format!("{:#}", Bulk::start(gone.into(), Work::Count).err().unwrap());
        assert!(said.contains(&gone.to_string()), "{said}");
    }
}
