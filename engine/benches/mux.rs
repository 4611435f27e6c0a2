//! Cost of multiplexing and of compression, per frame of a usual size.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark may panic; a macro generates its entry")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::mux::{Mux, Role, Settings, Smux};
use engine::snappy::{Decoder, Encoder};
use engine::{Entropy, Instant, StreamId};
use std::hint::black_box;

/// Payload of one PSH of kcptun, and of a message of a game, bytes.
const FRAME_BYTES: [usize; 2] = [8192, 64];

/// Writes, frames, carries and reads, UPDs included, with other streams open.
fn smux(c: &mut Criterion) {
    let mut group = c.benchmark_group("smux");
    for len in FRAME_BYTES {
        group.throughput(Throughput::Bytes(len as u64));
        for streams in [1, 1000] {
            let mut transfer = Transfer::new(streams);
            let data = vec![7; len];
            group.bench_function(format!("{len} bytes, {streams} streams"), |b| {
                b.iter(|| transfer.frame(&data))
            });
        }
    }
    group.finish();
}

struct Transfer {
    client: Smux,
    server: Smux,
    wire: Vec<u8>,
    ids: Vec<StreamId>,
    turn: usize,
}

impl Transfer {
    fn new(streams: usize) -> Self {
        let [mut client, server] =
            [Role::Client, Role::Server].map(|role| Smux::new(Settings::default(), role, Instant::ZERO));
        let ids = (0..streams).map(|_| client.open().unwrap()).collect();
        let mut transfer = Self { client, server, wire: Vec::new(), ids, turn: 0 };
        transfer.carry();
        transfer
    }

    fn frame(&mut self, data: &[u8]) {
        self.turn = (self.turn + 1) % self.ids.len();
        let id = self.ids[self.turn];
        assert_eq!(self.client.write(id, data), Ok(data.len()));
        self.carry();
        let n = black_box(self.server.peek(id).unwrap()).len();
        self.server.consume(id, n);
        self.carry();
    }

    fn carry(&mut self) {
        carry(&mut self.client, &mut self.server, &mut self.wire);
        carry(&mut self.server, &mut self.client, &mut self.wire);
    }
}

fn carry(from: &mut Smux, to: &mut Smux, wire: &mut Vec<u8>) {
    while from.poll_frame(wire) {
        assert_eq!(to.input(wire), Ok(wire.len()));
        wire.clear();
    }
    while from.poll_event().is_some() {}
}

fn text(len: usize) -> Vec<u8> {
    let words = "the of and to in is that for it as was with be by on not he his but at are this have from or had an they";
    let words: Vec<&str> = words.split(' ').collect();
    let mut entropy = Entropy::from_seed([1; 32]);
    let mut text = Vec::new();
    while text.len() < len {
        text.extend_from_slice(words[entropy.next_u32() as usize % words.len()].as_bytes());
        text.push(b' ');
    }
    text.truncate(len);
    text
}

fn random(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Entropy::from_seed([2; 32]).fill(&mut bytes);
    bytes
}

fn snappy(c: &mut Criterion) {
    let mut group = c.benchmark_group("snappy");
    for (name, frame) in [("text", text(8192)), ("random", random(8192)), ("text", text(64))] {
        let len = frame.len();
        group.throughput(Throughput::Bytes(len as u64));
        let mut encoder = Encoder::new();
        let mut out = Vec::new();
        encoder.encode(&frame, &mut out);
        group.bench_function(format!("encode {len} bytes of {name}"), |b| {
            b.iter(|| {
                out.clear();
                encoder.encode(black_box(&frame), &mut out);
            });
        });
        let mut decoder = Decoder::new();
        decoder.push(b"\xff\x06\x00\x00sNaPpY").unwrap();
        group.bench_function(format!("decode {len} bytes of {name}"), |b| {
            b.iter(|| {
                // In messages of one segment, as the ARQ delivers them.
                for message in black_box(&out).chunks(1326) {
                    decoder.push(message).unwrap();
                }
                assert_eq!(decoder.decoded().len(), len);
                decoder.consume(len);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, smux, snappy);
criterion_main!(benches);
