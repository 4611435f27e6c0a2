//! Fairness of two senders under the controller of `--mode auto` that share a bottleneck.

use engine::arq::{Arq, Flush, Recovery, Source, Tuning};
use engine::congestion::Auto;
use engine::{Generation, Instant};
use std::collections::VecDeque;

const MTU: usize = 1_322;
const STEP_US: u64 = 200;
const ONE_WAY_US: u64 = 30_000;
const BYTES_S: u64 = 2_500_000;
const QUEUE_PACKETS: usize = 100;
/// Largest share of one sender, thousandths: Jain's index is 0.9 at two thirds.
const SHARE_MAX: u64 = 667;

fn arq(conv: u32) -> Arq {
    let mut arq = Arq::new(conv, Generation::Go2026);
    arq.set_tuning(Tuning { nodelay: true, interval_ms: 10, resend: 2, nc: true });
    arq.set_windows(8_192, 8_192);
    assert!(arq.set_mtu(MTU));
    arq.set_controller(Box::new(Auto::new(MTU, 0)), Recovery::Timed);
    arq
}

struct Pair {
    sender: Arq,
    receiver: Arq,
    starts_ms: u64,
    back: VecDeque<(u64, Vec<u8>)>,
    read: u64,
}

/// One bottleneck for the data of all pairs: a queue, a rate, and a delay. Acknowledgements have a path without queue.
struct Line {
    us: u64,
    pairs: Vec<Pair>,
    queue: VecDeque<(usize, Vec<u8>)>,
    free_at_us: u64,
    under_way: VecDeque<(u64, usize, Vec<u8>)>,
}

impl Line {
    fn new(starts_ms: &[u64]) -> Self {
        let pair = |(index, starts_ms): (usize, &u64)| Pair {
            sender: arq(index as u32 + 1),
            receiver: arq(index as u32 + 1),
            starts_ms: *starts_ms,
            back: VecDeque::new(),
            read: 0,
        };
        let pairs = starts_ms.iter().enumerate().map(pair).collect();
        Self { us: 0, pairs, queue: VecDeque::new(), free_at_us: 0, under_way: VecDeque::new() }
    }

    /// Runs for `ms`; returns the bytes that each pair delivered in that time.
    fn run(&mut self, ms: u64) -> Vec<u64> {
        let before: Vec<u64> = self.pairs.iter().map(|pair| pair.read).collect();
        for _ in 0..ms * 1_000 / STEP_US {
            self.us += STEP_US;
            self.step();
        }
        self.pairs.iter().zip(before).map(|(pair, before)| pair.read - before).collect()
    }

    fn step(&mut self) {
        let (us, now) = (self.us, Instant::from_micros(10_000_000 + self.us));
        for (index, pair) in self.pairs.iter_mut().enumerate() {
            while pair.starts_ms * 1_000 <= us && pair.sender.wants_data() {
                pair.sender.send(&[7; MTU - 24]).unwrap();
            }
            while pair.back.front().is_some_and(|(at, _)| *at <= us) {
                let (_, datagram) = pair.back.pop_front().unwrap();
                pair.sender.input(now, &datagram, Source::Regular, false).unwrap();
            }
            for datagram in drain(&mut pair.sender, now) {
                if self.queue.len() < QUEUE_PACKETS {
                    self.queue.push_back((index, datagram));
                }
            }
        }
        while self.free_at_us <= us && !self.queue.is_empty() {
            let (index, datagram) = self.queue.pop_front().unwrap();
            self.free_at_us = self.free_at_us.max(us - STEP_US) + datagram.len() as u64 * 1_000_000 / BYTES_S;
            self.under_way.push_back((us + ONE_WAY_US, index, datagram));
        }
        while self.under_way.front().is_some_and(|(at, ..)| *at <= us) {
            let (_, index, datagram) = self.under_way.pop_front().unwrap();
            self.pairs[index].receiver.input(now, &datagram, Source::Regular, false).unwrap();
        }
        for pair in &mut self.pairs {
            while let Some(bytes) = pair.receiver.take() {
                pair.read += bytes.len() as u64;
            }
            let answers = drain(&mut pair.receiver, now);
            pair.back.extend(answers.into_iter().map(|datagram| (us + ONE_WAY_US, datagram)));
        }
    }
}

fn drain(arq: &mut Arq, now: Instant) -> Vec<Vec<u8>> {
    arq.handle_timeout(now);
    if now.as_micros().is_multiple_of(10_000) {
        arq.flush(now, Flush::Full);
    }
    let mut out = [0; MTU];
    std::iter::from_fn(|| arq.poll_transmit(now, &mut out).map(|len| out[..len].to_vec())).collect()
}

// CC-15
#[test]
fn two_share_a_line() {
    for second_ms in [100, 5_000] {
        let mut line = Line::new(&[0, second_ms]);
        line.run(second_ms + 20_000);
        let read = line.run(10_000);
        let all: u64 = read.iter().sum();
        assert!(all > 9 * BYTES_S, "{read:?} of {} bytes", 10 * BYTES_S);
        let most = *read.iter().max().unwrap();
        assert!(most * 1_000 <= all * SHARE_MAX, "the second began after {second_ms} ms: {read:?}");
    }
}
