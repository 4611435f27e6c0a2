//! Writing and parsing the headers of forged segments, beside `pnet_packet`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::forged::{DATA, HEADERS_MAX, Header, Segment, WINDOW};
use pnet_packet::{ipv4, tcp};
use std::hint::black_box;
use std::net::SocketAddr;

const PAYLOAD: usize = 1350;

fn write_with_pnet(packet: &mut [u8], from: SocketAddr, to: SocketAddr) {
    let (SocketAddr::V4(from), SocketAddr::V4(to)) = (from, to) else { return };
    let total = packet.len() as u16;
    let (header, body) = packet.split_at_mut(20);
    if let Some(mut segment) = tcp::MutableTcpPacket::new(body) {
        segment.set_source(from.port());
        segment.set_destination(to.port());
        segment.set_sequence(1);
        segment.set_acknowledgement(2);
        segment.set_data_offset(5);
        segment.set_flags(DATA.0);
        segment.set_window(WINDOW);
        segment.set_checksum(0);
        let checksum = tcp::ipv4_checksum(&segment.to_immutable(), from.ip(), to.ip());
        segment.set_checksum(checksum);
    }
    if let Some(mut packet) = ipv4::MutableIpv4Packet::new(header) {
        packet.set_version(4);
        packet.set_header_length(5);
        packet.set_total_length(total);
        packet.set_flags(ipv4::Ipv4Flags::DontFragment);
        packet.set_ttl(64);
        packet.set_next_level_protocol(pnet_packet::ip::IpNextHeaderProtocols::Tcp);
        packet.set_source(*from.ip());
        packet.set_destination(*to.ip());
        packet.set_checksum(0);
        let checksum = ipv4::checksum(&packet.to_immutable());
        packet.set_checksum(checksum);
    }
}

fn benches(criterion: &mut Criterion) {
    let from = SocketAddr::from(([10, 1, 0, 2], 40_000));
    let to = SocketAddr::from(([10, 2, 0, 2], 29_900));
    let payload = vec![7; PAYLOAD];
    let header = Header {
        from,
        to,
        traffic_class: 0,
        hop_limit: 64,
        id: 1,
        flow_label: 0,
        seq: 1,
        ack: 2,
        flags: DATA,
        window: WINDOW,
        options: &[],
    };
    let mut out = [0; HEADERS_MAX];
    let mut packet = vec![0; 40 + PAYLOAD];
    packet[40..].copy_from_slice(&payload);
    let mut group = criterion.benchmark_group("forged");
    group.throughput(Throughput::Bytes(PAYLOAD as u64));
    group.bench_function("write", |b| b.iter(|| header.write(black_box(&payload), &mut out)));
    group.bench_function("write, pnet_packet", |b| {
        b.iter(|| write_with_pnet(black_box(&mut packet), from, to))
    });
    group.bench_function("parse", |b| b.iter(|| Segment::parse(black_box(&packet)).is_ok()));
    group.bench_function("parse, pnet_packet", |b| {
        b.iter(|| {
            let ip = ipv4::Ipv4Packet::new(black_box(&packet))?;
            let segment = tcp::TcpPacket::new(&packet[20..])?;
            let valid = tcp::ipv4_checksum(&segment, &ip.get_source(), &ip.get_destination())
                == segment.get_checksum();
            Some((valid, ipv4::checksum(&ip) == ip.get_checksum(), segment.get_sequence()))
        });
    });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
