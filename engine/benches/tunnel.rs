//! The complete path of a byte: mux, compression, ARQ, FEC and cipher at both ends, on one core.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a benchmark may panic; a macro generates its entry"
)]

mod tunnels;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tunnels::{Tunnels, noise};

const BLOCK_BYTES: usize = 128 * 1024;

fn upload(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tunnel");
    group.throughput(Throughput::Bytes(BLOCK_BYTES as u64));
    let (mut tunnels, block) = (Tunnels::new(), noise(BLOCK_BYTES));
    group.bench_function("upload, both ends", |bencher| bencher.iter(|| tunnels.upload(&block)));
    group.finish();
}

criterion_group!(benches, upload);
criterion_main!(benches);
