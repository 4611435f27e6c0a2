//! The rules of the simulated TCP (`engine/requirements/TCP.md`), over two ends with a fixed delay and a hand-stepped clock.

use engine::Instant;
use sim::plan::Baseline;
use sim::tcp::{Connection, Endpoints, Role};
use std::collections::VecDeque;
use std::time::Duration;

const DELAY: Duration = Duration::from_millis(50);
const HEADERS: usize = 52;

/// A packet that left: when, from which end (the client is 0), and its bytes.
type Left = (Instant, usize, Vec<u8>);

struct Pair {
    now: Instant,
    ends: [Connection; 2],
    on_the_way: VecDeque<(Instant, usize, Vec<u8>)>,
    log: Vec<Left>,
    /// Whether a packet is dropped, from its end, its number there and its length.
    drops: fn(usize, usize, usize) -> bool,
    numbers: [usize; 2],
    /// The server reads what arrives.
    reads: bool,
    read: usize,
    delay: Duration,
}

impl Pair {
    fn new(baseline: Baseline, drops: fn(usize, usize, usize) -> bool) -> Self {
        let at = Instant::ZERO;
        let client = Endpoints { hosts: [1, 2], ports: [1024, 5201] };
        let server = Endpoints { hosts: [2, 1], ports: [5201, 1024] };
        let ends = [(Role::Client, client), (Role::Server, server)]
            .map(|(role, endpoints)| Connection::new(role, baseline, endpoints, u64::MAX - 9, at));
        Self {
            now: at,
            ends,
            on_the_way: VecDeque::new(),
            log: Vec::new(),
            drops,
            numbers: [0; 2],
            reads: true,
            read: 0,
            delay: DELAY,
        }
    }

    fn cubic() -> Self {
        Self::new(Baseline::Cubic, |_, _, _| false)
    }

    /// Sends what can be sent, and reads what can be read.
    fn settle(&mut self) {
        for from in 0..2 {
            while self.reads && from == 1 {
                let Ok(n @ 1..) = self.ends[1].peek().map(<[u8]>::len) else { break };
                self.ends[1].consume(self.now, n);
                self.read += n;
            }
            while let Some(packet) = self.ends[from].transmit(self.now) {
                let dropped = (self.drops)(from, self.numbers[from], packet.len());
                self.numbers[from] += 1;
                self.log.push((self.now, from, packet.clone()));
                if !dropped {
                    self.on_the_way.push_back((self.now + self.delay, 1 - from, packet));
                }
            }
        }
    }

    fn run(&mut self, until_ms: u64) {
        let until = Instant::from_millis(until_ms);
        self.settle();
        loop {
            let arrival = self.on_the_way.front().map(|&(at, ..)| at);
            let timers = self.ends.iter().filter_map(Connection::deadline);
            let Some(at) = timers.chain(arrival).min().filter(|&at| at <= until) else { break };
            self.now = at.max(self.now);
            while let Some((_, to, packet)) = self.on_the_way.pop_front_if(|(at, ..)| *at <= self.now) {
                self.ends[to].take(self.now, &packet);
                self.settle();
            }
            for end in &mut self.ends {
                if end.deadline().is_some_and(|at| at <= self.now) {
                    end.expire(self.now);
                }
            }
            self.settle();
        }
        self.now = until;
    }

    fn write(&mut self, bytes: usize) -> usize {
        let written = self.ends[0].write(&vec![7; bytes]).unwrap_or(0);
        self.settle();
        written
    }

    /// Times in milliseconds at which the client sent packets with payload from `from_ms` on.
    fn data_ms(&self, from_ms: u64) -> Vec<u64> {
        let data = self.log.iter().filter(|(_, from, packet)| *from == 0 && packet.len() > HEADERS + 12);
        data.map(|(at, ..)| at.as_millis()).filter(|&ms| ms >= from_ms).collect()
    }

    /// Times in milliseconds at which the server sent acknowledgements from `from_ms` on.
    fn acks_ms(&self, from_ms: u64) -> Vec<u64> {
        let acks = self.log.iter().filter(|(_, from, _)| *from == 1);
        acks.map(|(at, ..)| at.as_millis()).filter(|&ms| ms >= from_ms).collect()
    }
}

/// TCP-2.
#[test]
fn ten_segments_leave_first_and_twice_as_many_then() {
    let mut pair = Pair::cubic();
    pair.run(150);
    pair.write(40_000);
    pair.run(249);
    assert_eq!((pair.data_ms(150).len(), pair.read), (10, 14_480));
    pair.run(349);
    assert_eq!((pair.data_ms(150).len(), pair.read), (28, 40_000));
}

/// TCP-3.
#[test]
fn a_syn_is_repeated_every_second() {
    let mut pair = Pair::new(Baseline::Cubic, |from, _, _| from == 0);
    pair.run(7_500);
    let times: Vec<u64> = pair.log.iter().map(|(at, ..)| at.as_millis()).collect();
    assert_eq!(times, [0, 1_000, 2_000, 3_000, 4_000, 5_000, 7_000]);
}

/// TCP-6: the last two segments are lost, and no later one reports it: the last one leaves again after two round trips, before
/// the timeout, and its report shows that the other one is lost.
#[test]
fn a_lost_tail_is_probed() {
    let mut pair = Pair::new(Baseline::Cubic, |from, number, _| from == 0 && (5..7).contains(&number));
    pair.run(150);
    pair.write(5 * 1_448);
    pair.run(1_000);
    let times = pair.data_ms(150);
    assert_eq!((times.len(), pair.read), (7, 5 * 1_448), "{times:?}");
    assert!((450..=460).contains(&times[5]) && (550..=560).contains(&times[6]), "{times:?}");
}

/// TCP-9: everything is lost for a time, also the probe: the intervals double.
#[test]
fn timeouts_double() {
    let mut pair = Pair::new(Baseline::Cubic, |from, number, _| from == 0 && (2..8).contains(&number));
    pair.run(150);
    pair.write(1_448);
    pair.run(20_000);
    let times = pair.data_ms(150);
    let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!((times.len(), pair.read), (7, 1_448), "{gaps:?}");
    // The probe of one segment comes no later than the timeout: a round trip, and at least 200 ms.
    assert!((300..=304).contains(&gaps[0]) && (300..=304).contains(&gaps[1]), "{gaps:?}");
    assert!(gaps[2..].windows(2).all(|gaps| gaps[1] == 2 * gaps[0]), "{gaps:?}");
}

/// TCP-10: the path is longer by a second for a while, so that the timeout expires although nothing is lost.
#[test]
fn a_spurious_timeout_is_undone() {
    let mut pair = Pair::cubic();
    pair.run(150);
    pair.write(30 * 1_448);
    pair.run(1_000);
    pair.delay = Duration::from_millis(1_050);
    let before = pair.data_ms(0).len();
    pair.write(10 * 1_448);
    pair.run(1_450);
    pair.delay = DELAY;
    pair.run(9_000);
    // The probe and one retransmission: the rest is not sent again.
    assert_eq!(pair.read, 40 * 1_448);
    assert!(pair.data_ms(0).len() - before <= 13, "{:?}", pair.data_ms(1_000));
}

/// TCP-11.
#[test]
fn every_second_segment_is_acknowledged_and_a_single_one_after_40_ms() {
    let mut pair = Pair::cubic();
    pair.run(150);
    // The first acknowledgements are not delayed.
    for n in 1..=20 {
        pair.write(1_448);
        pair.run(150 + n * 10);
    }
    pair.run(400);
    pair.write(1_448);
    pair.run(1_000);
    let early: Vec<u64> = (0..16).map(|n| 200 + n * 10).collect();
    assert_eq!(pair.acks_ms(200), [early, vec![370, 390, 490]].concat());
}

/// TCP-12: a window of 64 KiB would carry 650 kB in a second.
#[test]
fn the_receive_window_grows_with_the_reader() {
    let mut pair = Pair::cubic();
    pair.run(150);
    let mut written = 0;
    for ms in 0..2_000 {
        written += pair.write(1 << 20);
        pair.run(150 + ms);
    }
    assert!(pair.read > 10_000_000, "{} of {written}", pair.read);
}

/// TCP-13.
#[test]
fn a_closed_window_is_probed_and_opens_again() {
    let mut pair = Pair::cubic();
    pair.reads = false;
    pair.run(150);
    let mut written = 0;
    for ms in 0..1_000 {
        written += pair.write(1 << 20);
        pair.run(150 + ms);
    }
    let sent = pair.log.len();
    pair.run(6_000);
    let probes = pair.log[sent..].iter().filter(|(_, from, _)| *from == 0).count();
    assert!((2..20).contains(&probes), "{probes}");
    pair.reads = true;
    pair.run(20_000);
    assert_eq!(pair.read, written);
}

/// TCP-14.
#[test]
fn an_idle_sender_starts_again_from_its_initial_window() {
    let mut pair = Pair::cubic();
    pair.run(150);
    let mut written = 0;
    while written < 400_000 {
        written += pair.write(400_000 - written);
        let next = pair.now.as_millis() + 10;
        pair.run(next);
    }
    pair.run(5_000);
    assert_eq!(pair.read, 400_000);
    pair.write(60_000);
    pair.run(5_040);
    assert_eq!(pair.data_ms(5_000).len(), 10);
}

/// The FIN of each side is acknowledged, and the connection is over.
#[test]
fn both_directions_end() {
    let mut pair = Pair::new(Baseline::Bbr, |from, number, _| from == 1 && number == 2);
    pair.run(150);
    pair.write(100);
    pair.ends[0].finish();
    pair.run(600);
    assert_eq!(pair.ends[1].peek().map(<[u8]>::len), Ok(0));
    pair.ends[1].finish();
    pair.run(2_000);
    assert_eq!(pair.ends[0].peek().map(<[u8]>::len), Ok(0));
    assert!(pair.ends.iter().all(Connection::is_over));
}
