//! A test double of kcptun(tcp), written from its specification (kcptun-tcp.md sections 2 to 5): Debian's kcptun speaks UDP on
//! one side, and its datagrams are forged segments on the other.

use super::net::{Net, Space};
use engine::forged::{Flags, HEADERS_MAX, Header, Segment};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The forging half of one connection.
struct Double {
    socket: Arc<OwnedFd>,
    /// Own link address, then the gateway's.
    ethernet: [[u8; 6]; 2],
    own: SocketAddr,
    peer: SocketAddr,
    seq: u32,
    ack: u32,
    id: u16,
    window: u16,
}

impl Double {
    fn segment(&mut self, flags: Flags, payload: &[u8]) {
        self.id = self.id.wrapping_add(1);
        // "New random value 128 .. 16411 in every segment".
        self.window = self.window.wrapping_mul(31_421).wrapping_add(6_927);
        let header = Header {
            from: self.own,
            to: self.peer,
            traffic_class: 0,
            hop_limit: 64,
            id: self.id,
            flow_label: 0,
            seq: self.seq,
            ack: self.ack,
            flags,
            window: 128 + self.window % 16_284,
            options: &[],
        };
        let mut out = [0; HEADERS_MAX];
        let len = header.write(payload, &mut out).unwrap();
        let [own, gateway] = self.ethernet;
        let mut frame = [&gateway[..], &own, &[8, 0], &out[..len], payload].concat();
        // Ethernet's shortest frame.
        frame.resize(frame.len().max(60), 0);
        // SAFETY: the pointer and the length describe a live vector. A full queue loses the frame.
        unsafe { libc::send(self.socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
    }

    fn data(&mut self, payload: &[u8]) {
        self.segment(Flags::PSH.and(Flags::ACK), payload);
        self.seq = self.seq.wrapping_add(payload.len() as u32);
    }

    /// The next segment to the own port within a few milliseconds.
    fn receive<'b>(&self, buffer: &'b mut [u8]) -> Option<Segment<'b>> {
        // SAFETY: the pointer and the length describe the buffer.
        let len = unsafe { libc::recv(self.socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        let frame = buffer.get(14..usize::try_from(len).ok()?)?;
        Segment::parse(frame).ok().filter(|segment| segment.to == self.own)
    }
}

/// Keeps the kernel of a host from answering, as the program does with a rule of its own.
fn silence(space: &Space) {
    space.shell(
        "nft add table ip double; nft 'add chain ip double in { type filter hook input priority 0; }'
         nft add rule ip double in tcp dport { 29900, 31234 } drop",
    );
}

pub(super) fn link_address(space: &Space, device: &str) -> [u8; 6] {
    let text = space.shell(&format!("ip -br link show dev {device}"));
    let address = text.split_whitespace().find(|word| word.len() == 17).unwrap().to_owned();
    let octets: Vec<u8> = address.split(':').map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect();
    octets.try_into().unwrap()
}

/// A kcptun(tcp) client at the client's host: what arrives at UDP port 29901 there goes to `server`.
pub(super) fn client(net: &Net, server: SocketAddr) {
    silence(&net.client);
    let socket = Arc::new(net.client.run(|| super::wire::open("kc")));
    let udp = net.client.run(|| UdpSocket::bind("127.0.0.1:29901").unwrap());
    let ethernet = [link_address(&net.client, "kc"), link_address(&net.router, "kcr")];
    let own = SocketAddr::from(([10, 91, 1, 2], 31_234));
    let mut double = Double { socket, ethernet, own, peer: server, seq: 7, ack: 0, id: 9, window: 1 };
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        let isn = double.seq;
        // "SYN is repeated every 3 s with the same seq".
        let (mut connected, mut syn_at) = (false, Instant::now());
        while !connected {
            if Instant::now() >= syn_at {
                double.segment(Flags::SYN, &[]);
                syn_at += Duration::from_secs(3);
            }
            let answer =
                double.receive(&mut buffer).filter(|segment| segment.flags == Flags::SYN.and(Flags::ACK));
            let Some(answer) = answer.filter(|answer| answer.ack == isn.wrapping_add(1)) else { continue };
            (double.seq, double.ack, connected) = (isn.wrapping_add(1), answer.seq.wrapping_add(1), true);
        }
        // "Both ACKs are always sent".
        double.segment(Flags::ACK, &[]);
        double.segment(Flags::ACK, &[]);
        carry(double, &udp, None);
    });
}

/// A kcptun(tcp) server at the server's host, port 29900, for one client; its datagrams go to UDP port 29901 there.
pub(super) fn server(net: &Net) {
    silence(&net.server);
    let socket = Arc::new(net.server.run(|| super::wire::open("ks")));
    let udp = net.server.run(|| UdpSocket::bind("127.0.0.1:0").unwrap());
    let ethernet = [link_address(&net.server, "ks"), link_address(&net.router, "ksr")];
    let own = SocketAddr::from(([10, 91, 2, 2], 29_900));
    let mut double = Double { socket, ethernet, own, peer: own, seq: 77, ack: 0, id: 3, window: 2 };
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        loop {
            let syn = double.receive(&mut buffer).filter(|segment| segment.flags == Flags::SYN);
            let Some((peer, seq)) = syn.map(|syn| (syn.from, syn.seq)) else { continue };
            (double.peer, double.ack) = (peer, seq.wrapping_add(1));
            double.segment(Flags::SYN.and(Flags::ACK), &[]);
            break;
        }
        carry(double, &udp, Some(SocketAddr::from(([127, 0, 0, 1], 29_901))));
    });
}

/// Datagrams in both directions.
fn carry(mut double: Double, udp: &UdpSocket, mut local: Option<SocketAddr>) {
    udp.set_nonblocking(true).unwrap();
    let (mut buffer, mut datagram) = ([0; 4096], [0; 2048]);
    let isn = double.seq;
    loop {
        while let Ok((len, from)) = udp.recv_from(&mut datagram) {
            local = Some(from);
            double.data(&datagram[..len]);
        }
        let Some(segment) = double.receive(&mut buffer) else { continue };
        if segment.from != double.peer {
            continue;
        }
        if segment.flags.has(Flags::PSH.and(Flags::ACK)) {
            // "ack = segment.seq (NOT seq + length)".
            double.ack = segment.seq;
            local.map(|local| udp.send_to(segment.payload, local));
        } else if segment.flags.has(Flags::SYN) {
            double.segment(Flags::SYN.and(Flags::ACK), &[]);
        } else if segment.ack == isn.wrapping_add(1) && double.seq == isn {
            double.seq = isn.wrapping_add(1);
        }
    }
}
