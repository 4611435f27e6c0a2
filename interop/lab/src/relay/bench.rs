//! Benchmark of the relay: datagrams per second, and added delay.

use super::Relay;
use crate::path::Report;
use sim::plan::{LinkPlan, QueuePlan};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const DELAY: Duration = Duration::from_millis(20);

/// Datagrams sent between two reads of the clock.
const BURST: u64 = 16;

/// A load for the relay: datagrams in one direction over a link with a rate, a queue and 20 ms of delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bench {
    /// Size of the datagrams.
    pub datagram_bytes: usize,
    /// Datagrams per second; None for as many as possible.
    pub datagrams_per_s: Option<u64>,
    /// Duration of the load.
    pub time: Duration,
}

/// Result of a benchmark.
#[derive(Debug, Clone)]
pub struct BenchReport {
    /// Datagrams sent to the relay.
    pub sent: u64,
    /// Datagrams received at the other end.
    pub received: u64,
    /// Time between the first datagram sent and the last one received.
    pub elapsed: Duration,
    /// Processor time of the relay's thread.
    pub cpu: Duration,
    /// Counters of the relay.
    pub relay: Report,
}

impl BenchReport {
    /// Datagrams forwarded per second of real time.
    pub fn per_s(&self) -> u64 {
        per_s(self.relay.links[0].delivered_packets, self.elapsed)
    }

    /// Datagrams forwarded per second of processor time, the capacity of one core.
    pub fn per_cpu_s(&self) -> u64 {
        per_s(self.relay.links[0].delivered_packets, self.cpu)
    }
}

fn per_s(count: u64, time: Duration) -> u64 {
    (count as f64 / time.as_secs_f64().max(1e-9)) as u64
}

impl Bench {
    /// Runs the benchmark.
    ///
    /// # Errors
    /// No sockets.
    pub fn run(self) -> io::Result<BenchReport> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (client, server) = (UdpSocket::bind(any)?, UdpSocket::bind(any)?);
        let _ = socket2::SockRef::from(&server).set_recv_buffer_size(4 << 20);
        server.set_read_timeout(Some(Duration::from_millis(200)))?;
        let queue =
            QueuePlan { bits_per_s: 100_000_000_000, bytes_max: 1 << 30, packets_max: 1 << 20, codel: None };
        let plan = LinkPlan {
            queue: Some(queue.into()),
            delay_us: (DELAY.as_micros() as u64).into(),
            ..LinkPlan::default()
        };
        let relay = Relay::start(any, server.local_addr()?, [plan, LinkPlan::default()], 1)?;
        client.connect(relay.address())?;
        let start = Instant::now();
        let (sent, received, last) = self.drive(&client, &server, start);
        // The relay updates its costs twice a second.
        std::thread::sleep(Duration::from_millis(600));
        Ok(BenchReport { sent, received, elapsed: last - start, cpu: relay.cpu(), relay: relay.report() })
    }

    fn drive(self, client: &UdpSocket, server: &UdpSocket, start: Instant) -> (u64, u64, Instant) {
        let (sent, over) = (AtomicU64::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                sent.store(self.send(client, start), Ordering::Relaxed);
                over.store(true, Ordering::Relaxed);
            });
            let (mut received, mut last) = (0, start);
            let mut buffer = vec![0; self.datagram_bytes];
            loop {
                match server.recv(&mut buffer) {
                    Ok(_) => (received, last) = (received + 1, Instant::now()),
                    Err(_) if over.load(Ordering::Relaxed) => break,
                    Err(_) => {}
                }
            }
            (sent.load(Ordering::Relaxed), received, last)
        })
    }

    fn send(self, client: &UdpSocket, start: Instant) -> u64 {
        let datagram = vec![0; self.datagram_bytes];
        let mut sent = 0;
        while start.elapsed() < self.time {
            for _ in 0..BURST {
                sent += u64::from(client.send(&datagram).is_ok());
            }
            let Some(per_s) = self.datagrams_per_s else { continue };
            let due = Duration::from_nanos(sent * 1_000_000_000 / per_s.max(1));
            std::thread::sleep(due.saturating_sub(start.elapsed()));
        }
        sent
    }
}
