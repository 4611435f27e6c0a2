//! Peers that move, restart or are reset, and what outlives it.

use super::net::{Net, SERVER, Space};
use super::{
    COMMON, ENTRY, Tunnel, connect, karst_client, karst_server, nothing_left, serve_echo, translate, wire,
};
use crate::common::PATIENCE;
use engine::forged::{Flags, HEADERS_MAX, Header, Segment};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Sends a word and reads it back; whether that worked.
pub(super) fn echoes(stream: &mut TcpStream) -> bool {
    let mut reply = [0; 5];
    stream.write_all(b"hello").is_ok() && stream.read_exact(&mut reply).is_ok() && reply == *b"hello"
}

/// A stream that works, and the time that its next word takes after `change`.
fn outlives(net: &Net, limit: Duration, change: impl FnOnce()) -> TcpStream {
    let mut stream = net.client.run(connect);
    assert!(echoes(&mut stream));
    change();
    let since = Instant::now();
    assert!(echoes(&mut stream), "after {:?}", since.elapsed());
    assert!(since.elapsed() < limit, "{:?}", since.elapsed());
    stream
}

// FTCP-9, CLI-105
#[test]
fn streams_outlive_another_address_of_the_client() {
    let Some(net) = Net::routed("streams_outlive_another_address") else { return };
    let tunnel = Tunnel::start(&net, karst_client(), karst_server(), SERVER, &[]);
    let mut stream = outlives(&net, Duration::from_secs(12), || {
        net.client.shell(
            "ip addr del 10.91.1.2/24 dev kc; ip addr add 10.91.1.9/24 dev kc; ip route add default via 10.91.1.1",
        );
    });
    tunnel.server.wait_for("moved to 10.91.1.9:");
    assert!(echoes(&mut stream));
    tunnel.echo(&net, 31, 300_000);
}

/// Forgets every connection that the router tracks.
fn forget_tracked(space: &Space) {
    space.run(|| {
        // SAFETY: no pointers are passed; the descriptor is new.
        let socket: OwnedFd = unsafe {
            let fd =
                libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_NETFILTER);
            assert!(fd >= 0);
            std::os::fd::FromRawFd::from_raw_fd(fd)
        };
        // nlmsghdr: length, IPCTNL_MSG_CT_DELETE of NFNL_SUBSYS_CTNETLINK, NLM_F_REQUEST; nfgenmsg: any family.
        let mut request = [0; 20];
        request[..4].copy_from_slice(&20_u32.to_ne_bytes());
        request[4..6].copy_from_slice(&0x0102_u16.to_ne_bytes());
        request[6..8].copy_from_slice(&1_u16.to_ne_bytes());
        // SAFETY: the pointer and the length describe the request.
        let sent = unsafe { libc::send(socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
        assert_eq!(sent, 20);
    });
}

/// The router forgets the flow and gives the next one another port; it drops segments of flows without a handshake.
// FTCP-9
#[test]
fn streams_outlive_a_translator_that_forgets_them() {
    let Some(net) = Net::routed("streams_outlive_a_translator") else { return };
    translate(&net);
    let tunnel = Tunnel::start(&net, karst_client(), karst_server(), SERVER, &[]);
    let mut stream = outlives(&net, Duration::from_secs(12), || {
        net.router.shell(
            "nft flush chain ip karst post
             nft add rule ip karst post oifname ksr meta l4proto tcp masquerade to :50000-50010",
        );
        forget_tracked(&net.router);
    });
    tunnel.server.wait_for("moved to 10.91.2.1:500");
    assert!(echoes(&mut stream));
    tunnel.echo(&net, 32, 300_000);
}

/// The frame of a datagram of the client, as it arrives at a device.
pub(super) fn observe(net: &Net, space: &Space, device: &'static str) -> Vec<u8> {
    let socket = space.run(move || wire::open(device));
    let _writer = net.client.run(connect).write_all(b"observed");
    let mut buffer = [0; 4096];
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        // SAFETY: the pointer and the length describe the buffer. Times out after a millisecond.
        let len = unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        let Ok(len) = usize::try_from(len) else { continue };
        let found = buffer.get(14..len).and_then(|packet| Segment::parse(packet).ok());
        if found.is_some_and(|segment| segment.datagram().is_some()) {
            return buffer[..len].to_vec();
        }
    }
    panic!("no datagram");
}

/// Sends segments of a flow with these flags to both ends, with the numbers that each expects.
fn forge(net: &Net, frame: &[u8], flags: Flags) {
    let segment = Segment::parse(&frame[14..]).unwrap();
    let end = segment.seq.wrapping_add(segment.payload.len() as u32);
    let header = Header {
        from: segment.from,
        to: segment.to,
        traffic_class: 0,
        hop_limit: 64,
        id: 1,
        flow_label: 0,
        seq: end,
        ack: segment.ack,
        flags,
        window: 1000,
        options: &[],
    };
    let back = Header { from: segment.to, to: segment.from, seq: segment.ack, ack: end, ..header };
    let mut out = [0; HEADERS_MAX];
    let len = header.write(&[], &mut out).unwrap();
    let up = [&frame[..14], &out[..len]].concat();
    let socket = net.client.run(|| wire::open("kc"));
    // SAFETY: the pointer and the length describe a live vector.
    assert!(unsafe { libc::send(socket.as_raw_fd(), up.as_ptr().cast(), up.len(), 0) } > 0);
    let len = back.write(&[], &mut out).unwrap();
    // The router's address for the client, then the client's.
    let down = [&frame[6..12], &frame[..6], &[8, 0], &out[..len]].concat();
    let socket = net.router.run(|| wire::open("kcr"));
    // SAFETY: as above.
    assert!(unsafe { libc::send(socket.as_raw_fd(), down.as_ptr().cast(), down.len(), 0) } > 0);
}

/// With the numbers of the flow, so that the router's connection tracking takes it for closed and forgets it after a second.
// FTCP-8, FTCP-9, FTCP-16
#[test]
fn streams_outlive_resets_and_fins_from_the_path() {
    for flags in [Flags::RST, Flags::RST.and(Flags::ACK), Flags::FIN.and(Flags::ACK)] {
        let Some(net) = Net::routed("streams_outlive_resets_and_fins") else { return };
        translate(&net);
        net.router.shell(
            "for state in close close_wait fin_wait last_ack time_wait; do sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_$state=1; done",
        );
        let tunnel = Tunnel::start(&net, karst_client(), karst_server(), SERVER, &[]);
        let mut stream = outlives(&net, Duration::from_secs(15), || {
            let frame = observe(&net, &net.router, "kcr");
            forge(&net, &frame, flags);
            std::thread::sleep(Duration::from_millis(2500));
        });
        assert!(echoes(&mut stream));
        tunnel.echo(&net, 33, 200_000);
    }
}

fn start_server(net: &Net) -> crate::common::Program {
    let words = ["-t", "127.0.0.1:7007", "-l", ":29900", "--tcp"];
    let server = net.server.start(karst_server(), &[&words[..], &COMMON].concat());
    server.wait_for("/tcp");
    server
}

/// As over UDP: streams of a server that died end, new ones wait for the next server.
// KCP-60, CLI-101, FTCP-16
#[test]
fn streams_of_a_dead_server_end_and_new_ones_wait() {
    let Some(net) = Net::routed("streams_of_a_dead_server_end") else { return };
    let mut tunnel = Tunnel::start(&net, karst_client(), karst_server(), SERVER, &[]);
    let mut old = net.client.run(connect);
    assert!(echoes(&mut old));
    tunnel.server.signal(libc::SIGKILL);
    tunnel.server.wait(PATIENCE);
    nothing_left(&net);
    let died = Instant::now();
    old.write_all(b"are you there?").unwrap();
    let end = old.read(&mut [0; 100]);
    assert!(end.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset), "{end:?}");
    assert!(died.elapsed() < Duration::from_secs(10), "{:?}", died.elapsed());
    tunnel
        .client
        .wait_for("nothing listens on the peer's port (does it run with --tcp?): new connections wait");
    let mut new = net.client.run(connect);
    new.write_all(b"hello").unwrap();
    new.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let waits = new.read(&mut [0; 100]).unwrap_err().kind();
    assert!(matches!(waits, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{waits:?}");
    tunnel.server = start_server(&net);
    new.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut reply = [0; 5];
    new.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"hello");
}

// KCP-60, CLI-50, FTCP-16
#[test]
fn a_server_that_is_not_there_is_reported_at_once() {
    let Some(net) = Net::routed("a_server_that_is_not_there") else { return };
    serve_echo(&net.server);
    let words = ["-r", "10.91.2.2:29900", "-l", ENTRY, "--tcp"];
    let client = net.client.start(karst_client(), &[&words[..], &COMMON].concat());
    client.wait_for("key derivation done");
    let since = Instant::now();
    let mut waiting = net.client.run(connect);
    client.wait_for("nothing listens on the peer's port (does it run with --tcp?): new connections wait");
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    let _server = start_server(&net);
    assert!(echoes(&mut waiting));
    nothing_left(&net);
}
