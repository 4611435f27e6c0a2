//! Sealing and opening at 1350 bytes for each cipher, and sealing a run of 16 datagrams.
//!
//! `cargo bench -p engine --bench crypt -- --quick`, or with part of a name: `-- seal_run/aes`.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use engine::Entropy;
use engine::crypt::{Cipher, MasterKey, Suite};
use engine::qpp::Pads;
use std::hint::black_box;

const SECRET: &[u8] = b"it's a secrect";
const DATAGRAM_LEN: usize = 1350;
const RUN_DATAGRAMS: usize = 16;

fn suites() -> impl Iterator<Item = (&'static str, Suite)> {
    let key = MasterKey::derive(SECRET);
    Cipher::ALL.iter().map(move |&cipher| (cipher.name(), Suite::new(cipher, &key)))
}

fn seal(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("seal");
    group.throughput(Throughput::Bytes(DATAGRAM_LEN as u64));
    for (name, suite) in suites() {
        let mut datagram = [0; DATAGRAM_LEN];
        let nonce = &[7; 16][..suite.cipher().nonce_len()];
        group.bench_function(name, |bencher| bencher.iter(|| suite.seal(nonce, black_box(&mut datagram))));
    }
}

fn open(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("open");
    group.throughput(Throughput::Bytes(DATAGRAM_LEN as u64));
    for (name, suite) in suites() {
        let mut sealed = [0; DATAGRAM_LEN];
        suite.seal(&[7; 16][..suite.cipher().nonce_len()], &mut sealed);
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(|| sealed, |datagram| suite.open(datagram), BatchSize::SmallInput);
        });
    }
}

fn seal_run(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("seal_run");
    group.throughput(Throughput::Bytes((RUN_DATAGRAMS * DATAGRAM_LEN) as u64));
    for (name, suite) in suites() {
        let mut run = [0; RUN_DATAGRAMS * DATAGRAM_LEN];
        let mut nonces = Entropy::from_seed([7; 32]).nonces();
        group.bench_function(name, |bencher| {
            bencher.iter(|| suite.seal_run(&mut nonces, black_box(&mut run), DATAGRAM_LEN));
        });
    }
}

fn qpp(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("qpp");
    group.bench_function("61 pads", |bencher| bencher.iter(|| Pads::new(black_box(SECRET), 61)));
    let Ok(pads) = Pads::new(SECRET, 61) else { return };
    let (mut generator, mut bytes) = (pads.generator(), [0; 8192]);
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("encrypt", |bencher| {
        bencher.iter(|| generator.encrypt(&pads, black_box(&mut bytes)))
    });
}

criterion_group!(benches, seal, open, seal_run, qpp);
criterion_main!(benches);
