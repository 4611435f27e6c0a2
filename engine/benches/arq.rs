//! Cost of the ARQ per segment: send, flush, receive, acknowledge, read.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::Generation;
use engine::arq::{Arq, Flush, Source, Tuning};
use engine::time::Instant;
use std::hint::black_box;

const WINDOW: u32 = 1024;
const SEGMENTS: usize = 256;
const MTU: usize = 1322;

struct Ends {
    now_ms: u64,
    sender: Arq,
    receiver: Arq,
    datagram: [u8; 1500],
    payload: Vec<u8>,
}

impl Ends {
    fn new() -> Self {
        let arq = || {
            let mut arq = Arq::new(7, Generation::Go2026);
            arq.set_stream(true);
            arq.set_tuning(Tuning { nodelay: true, interval_ms: 10, resend: 2, nc: true });
            arq.set_windows(WINDOW, WINDOW);
            arq.set_mtu(MTU);
            // Both windows open with the first exchange.
            arq
        };
        let payload = vec![0x5a; MTU - engine::arq::OVERHEAD];
        Self { now_ms: 1000, sender: arq(), receiver: arq(), datagram: [0; 1500], payload }
    }

    /// Carries `SEGMENTS` segments across, dropping those in `lost`, until all are acknowledged.
    fn carry(&mut self, lost: impl Fn(usize) -> bool) {
        for _ in 0..SEGMENTS {
            self.sender.send(&self.payload).expect("a full segment is always taken");
        }
        let mut count = 0;
        while self.sender.waitsnd() > 0 {
            let now = Instant::from_millis(self.now_ms);
            self.sender.flush(now, Flush::Full);
            while let Some(len) = self.sender.poll_transmit(now, &mut self.datagram) {
                count += 1;
                if !lost(count) {
                    self.receiver.input(now, &self.datagram[..len], Source::Regular, false).expect("valid");
                }
            }
            self.receiver.flush(now, Flush::Full);
            while let Some(len) = self.receiver.poll_transmit(now, &mut self.datagram) {
                self.sender.input(now, &self.datagram[..len], Source::Regular, false).expect("valid");
            }
            while let Some(segment) = self.receiver.take() {
                black_box(segment.len());
                self.receiver.recycle(segment);
            }
            self.now_ms += 10;
        }
    }
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("arq");
    group.throughput(Throughput::Elements(SEGMENTS as u64));
    let mut clean = Ends::new();
    group.bench_function("segment, clean path", |bench| bench.iter(|| clean.carry(|_| false)));
    let mut lossy = Ends::new();
    group.bench_function("segment, every tenth datagram lost", |bench| {
        bench.iter(|| lossy.carry(|count| count % 10 == 0));
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
