//! Throughput of the code in bytes of data, at the shape and size kcptun uses by default: 10 + 3 packets of
//! 1350 bytes.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use engine::Generation;
use engine::fec::{Decoder, Encoder, Shape};

const PACKET_BYTES: usize = 1350;

fn group(shape: Shape) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(shape);
    let mut packets = Vec::new();
    for number in 0..shape.data() {
        let mut packet: Vec<u8> = (0..PACKET_BYTES).map(|at| (at * 31 + number * 7) as u8).collect();
        encoder.encode(0, &mut packet);
        packets.push(packet);
    }
    while let Some(len) = encoder.parity_pending() {
        packets.push(vec![0; len]);
        packets.last_mut().map(|packet| encoder.poll_parity(packet));
    }
    packets
}

fn encode(criterion: &mut Criterion, shape: Shape) {
    let mut packets = group(shape);
    packets.truncate(shape.data());
    let mut encoder = Encoder::new(shape);
    let mut out = [0; 1500];
    let mut bench = criterion.benchmark_group("fec");
    bench.throughput(Throughput::Bytes((shape.data() * PACKET_BYTES) as u64));
    bench.bench_function(format!("encode {}+{}", shape.data(), shape.parity()), |bencher| {
        bencher.iter(|| {
            for packet in &mut packets {
                encoder.encode(0, packet);
            }
            while encoder.poll_parity(&mut out).is_some() {}
        });
    });
    bench.finish();
}

/// Stores `data` packets of a group and rebuilds the `lost` ones.
fn reconstruct(criterion: &mut Criterion, shape: Shape, lost: usize) {
    let packets = group(shape);
    let kept = &packets[lost..lost + shape.data()];
    let mut bench = criterion.benchmark_group("fec");
    bench.throughput(Throughput::Bytes((shape.data() * PACKET_BYTES) as u64));
    bench.bench_function(format!("reconstruct {lost} of {}+{}", shape.data(), shape.parity()), |bencher| {
        let mut decoder = Decoder::new(Some(shape), Generation::Go2026);
        let mut group = 0_u32;
        bencher.iter_batched_ref(
            || {
                group += 1;
                let mut packets = kept.to_vec();
                for (packet, at) in packets.iter_mut().zip(lost as u32..) {
                    packet[..4].copy_from_slice(&(group * shape.total() as u32 + at).to_le_bytes());
                }
                packets
            },
            |packets| {
                for packet in packets {
                    decoder.decode(0, packet);
                }
                while decoder.poll_recovered().is_some() {}
            },
            BatchSize::SmallInput,
        );
        assert!(lost == 0 || decoder.counters().recovered > 0);
    });
    bench.finish();
}

fn benches(criterion: &mut Criterion) {
    let shape = |data, parity| Shape::new(data, parity).unwrap_or(Shape::ONE_TO_ONE);
    encode(criterion, shape(10, 3));
    encode(criterion, shape(70, 30));
    for lost in [0, 1, 3] {
        reconstruct(criterion, shape(10, 3), lost);
    }
    reconstruct(criterion, shape(70, 30), 30);
}

criterion_group!(fec, benches);
criterion_main!(fec);
