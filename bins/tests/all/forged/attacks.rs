//! A host on the path that sends whatever it likes to a live server and its client, without the key.

use super::moves::{echoes, observe};
use super::net::{Net, SERVER};
use super::{Tunnel, connect, karst_client, karst_server, none_invalid, nothing_left, translate, wire};
use engine::forged::{DATA, Flags, HEADERS_MAX, Header, Segment};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Sends frames from the router to the server's host.
struct Attacker {
    socket: OwnedFd,
    /// Link addresses and protocol.
    ethernet: Vec<u8>,
    server: SocketAddr,
}

impl Attacker {
    fn new(net: &Net) -> Self {
        let socket = net.router.run(|| wire::open("ksr"));
        let address = |space: &super::Space, device| super::double::link_address(space, device);
        let ethernet = [&address(&net.server, "ks")[..], &address(&net.router, "ksr"), &[8, 0]].concat();
        Self { socket, ethernet, server: SocketAddr::new(SERVER.parse().unwrap(), 29_900) }
    }

    fn header<'o>(
        &self,
        from: SocketAddr,
        [seq, ack]: [u32; 2],
        flags: Flags,
        options: &'o [u8],
    ) -> Header<'o> {
        Header {
            from,
            to: self.server,
            traffic_class: 0,
            hop_limit: 63,
            id: 7,
            flow_label: 0,
            seq,
            ack,
            flags,
            window: 4096,
            options,
        }
    }

    /// Sends a segment after `change` was applied to its packet.
    fn send(&self, header: &Header<'_>, payload: &[u8], change: impl FnOnce(&mut Vec<u8>)) {
        let mut out = [0; HEADERS_MAX];
        let len = header.write(payload, &mut out).unwrap();
        let mut packet = [&out[..len], payload].concat();
        change(&mut packet);
        let frame = [&self.ethernet[..], &packet].concat();
        // SAFETY: the pointer and the length describe a live vector. A full queue, or a frame too long, loses it.
        unsafe { libc::send(self.socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
    }
}

fn spoofed(number: u32) -> SocketAddr {
    let [_, b, c, d] = number.wrapping_mul(2_654_435_761).to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(10, 91, b | 4, c), 1024 + u16::from(d)))
}

fn resident_kib(program: &crate::common::Program) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Each attack for a moment, on both variants of addresses: the client's own and invented ones.
// FTCP-3, FTCP-8, FTCP-11, FTCP-12
#[test]
fn a_server_withstands_forged_segments() {
    let Some(net) = Net::routed("a_server_withstands_forged_segments") else { return };
    let tunnel = Tunnel::start(&net, karst_client(), karst_server(), SERVER, &["--mode", "fast2"]);
    tunnel.echo(&net, 41, 300_000);
    let frame = observe(&net, &net.router, "kcr");
    let seen = Segment::parse(&frame[14..]).unwrap();
    let (client, datagram) = (seen.from, seen.payload);
    let attacker = Attacker::new(&net);
    let before = resident_kib(&tunnel.server);
    let sources = |n: u32| if n.is_multiple_of(2) { client } else { spoofed(n) };
    let plain = |_: &mut Vec<u8>| {};
    for n in 0..20_000_u32 {
        let (from, numbers) = (sources(n), [n.wrapping_mul(0x9e37_79b9), n.wrapping_mul(0x85eb_ca6b)]);
        let header = |flags, options| attacker.header(from, numbers, flags, options);
        // SYNs with and without options, of which some are malformed.
        attacker.send(
            &header(Flags::SYN, [&[][..], &[2, 4, 5, 180, 1, 3, 3, 14], &[3, 0, 0, 0]][n as usize % 3]),
            &[],
            plain,
        );
        attacker.send(&header(Flags(n as u8), &[]), &[], plain);
        // Noise as datagrams: too short, of any length.
        attacker.send(&header(DATA, &[]), &vec![n as u8; n as usize % 1400], plain);
        if n % 8 == 0 {
            attacker.send(&header(DATA, &[]), datagram, |packet| packet[36] ^= 0x55);
            attacker.send(&header(DATA, &[]), datagram, |packet| packet[32] = (n as u8) << 4);
            attacker.send(&header(DATA, &[]), datagram, |packet| {
                packet[2..4].copy_from_slice(&(n as u16).to_be_bytes())
            });
            attacker.send(&header(DATA, &[]), datagram, |packet| packet.truncate(20 + n as usize % 30));
            attacker.send(&header(DATA, &[]), datagram, |packet| packet.resize(1500, 0));
        }
    }
    tunnel.echo(&net, 42, 300_000);
    let grown = resident_kib(&tunnel.server).saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB");
    let lines = tunnel.server.log().lines().count();
    assert!(lines < 120, "{lines} lines");
    nothing_left(&net);
}

/// Datagrams of the past, with other numbers and from other addresses, beside a stream through a router that drops what
/// its connection tracking finds invalid.
// FTCP-8
#[test]
fn replayed_datagrams_do_not_move_the_numbers() {
    let Some(net) = Net::routed("replayed_datagrams_do_not_move_the_numbers") else { return };
    translate(&net);
    let tunnel = Tunnel::start(&net, karst_client(), karst_server(), SERVER, &[]);
    tunnel.echo(&net, 43, 50_000);
    // At the server's link, where the addresses are translated.
    let frame = observe(&net, &net.server, "ks");
    let attacker = Arc::new(Attacker::new(&net));
    let stop = Arc::new(AtomicBool::new(false));
    let (ended, by) = (Arc::clone(&stop), Arc::clone(&attacker));
    let thread = thread::spawn(move || {
        let seen = Segment::parse(&frame[14..]).unwrap();
        let mut n = 1_u32;
        while !ended.load(Ordering::Relaxed) {
            let wild = [seen.seq.wrapping_add(n.wrapping_mul(0x0400_0001)), seen.ack.wrapping_add(n << 20)];
            let from = if n.is_multiple_of(3) { spoofed(n) } else { seen.from };
            by.send(&by.header(from, wild, DATA, &[]), seen.payload, |_| {});
            n = n.wrapping_add(1);
            thread::sleep(Duration::from_millis(1));
        }
        n
    });
    let mut stream = net.client.run(connect);
    let start = Instant::now();
    let mut longest = Duration::ZERO;
    while start.elapsed() < Duration::from_secs(4) {
        let since = Instant::now();
        assert!(echoes(&mut stream));
        longest = longest.max(since.elapsed());
    }
    tunnel.echo(&net, 44, 500_000);
    stop.store(true, Ordering::Relaxed);
    assert!(thread.join().unwrap() > 500);
    assert!(longest < Duration::from_millis(900), "{longest:?}");
    none_invalid(&net);
}
