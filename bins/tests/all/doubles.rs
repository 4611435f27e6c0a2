//! Peers that no package provides, written from their descriptions (kcptunb.md; yamux spec.md), against the programs.
//!
//! Below the multiplexer every generation of kcptun is the same, so a double uses the engine's ARQ; its frames are its own.

use crate::common::{PATIENCE, connect, free_udp, start_client, start_server, target};
use engine::arq::{Arq, Flush, Source, Tuning};
use engine::crypt::{Cipher, MasterKey, Suite};
use engine::{Generation, Instant as Moment};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const WORDS: &[&str] = &["--crypt", "none", "--ds", "0", "--nocomp", "--key", "doubles"];

/// A KCP session without FEC and compression, as a stream of bytes.
struct Link {
    socket: UdpSocket,
    peer: Option<SocketAddr>,
    arq: Arq,
    suite: Suite,
    begun: Instant,
    nonce: u128,
    inbox: Vec<u8>,
}

impl Link {
    fn dial(to: SocketAddr) -> Self {
        Self::new(UdpSocket::bind("127.0.0.1:0").unwrap(), Some(to), 0x0102_0304)
    }

    /// Waits for a client.
    fn accept(socket: UdpSocket) -> Self {
        let mut buffer = [0; 2048];
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let (len, from) = socket.peek_from(&mut buffer).unwrap();
        let payload = Self::suite().open(&mut buffer[..len]).unwrap();
        let conv = u32::from_le_bytes(buffer[payload][..4].try_into().unwrap());
        Self::new(socket, Some(from), conv)
    }

    fn new(socket: UdpSocket, peer: Option<SocketAddr>, conv: u32) -> Self {
        socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        let mut arq = Arq::new(conv, Generation::Go2021);
        arq.set_stream(true);
        arq.set_tuning(Tuning { nodelay: true, interval_ms: 10, resend: 2, nc: true });
        arq.set_windows(1024, 1024);
        Self { socket, peer, arq, suite: Self::suite(), begun: Instant::now(), nonce: 0, inbox: Vec::new() }
    }

    fn suite() -> Suite {
        Suite::new(Cipher::None, &MasterKey::derive(b"doubles"))
    }

    /// Receives, runs the timers, sends.
    fn turn(&mut self) {
        let now = Moment::from_micros(1_000_000 + self.begun.elapsed().as_micros() as u64);
        let mut buffer = [0; 2048];
        while let Ok((len, _)) = self.socket.recv_from(&mut buffer) {
            if let Ok(payload) = self.suite.open(&mut buffer[..len]) {
                let _ = self.arq.input(now, &buffer[payload], Source::Regular, true);
            }
        }
        while let Some(segment) = self.arq.take() {
            self.inbox.extend_from_slice(&segment);
        }
        self.arq.handle_timeout(now);
        self.arq.flush(now, Flush::Full);
        let (head, tail) = (self.suite.head_len(), self.suite.tail_len());
        while let Some(len) = self.arq.poll_transmit(now, &mut buffer[head..]) {
            self.nonce += 1;
            let datagram = &mut buffer[..head + len + tail];
            self.suite.seal(&self.nonce.to_le_bytes(), datagram);
            self.peer.map(|peer| self.socket.send_to(datagram, peer));
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(1000) {
            self.arq.send(piece).unwrap();
        }
        self.turn();
    }

    /// The next `len` bytes of the peer.
    fn take(&mut self, len: usize) -> Vec<u8> {
        let until = Instant::now() + PATIENCE;
        while self.inbox.len() < len {
            assert!(Instant::now() < until, "{} of {len} bytes came", self.inbox.len());
            self.turn();
        }
        self.inbox.drain(..len).collect()
    }

    fn pass(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.turn();
        }
    }
}

/// A frame of kcptunB's smux.
fn smuxb(command: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![1, command];
    bytes.extend_from_slice(&(payload.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&id.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

const SYN: u8 = 0;
const FIN: u8 = 1;
const PSH: u8 = 2;
const NOP: u8 = 3;
const ACK: u8 = 4;
const FUL: u8 = 5;
const EMP: u8 = 6;

/// One end of kcptunB.
struct KcptunB {
    link: Link,
    stream_buffers: bool,
    nop: u32,
    /// Numbers of the peer's NOPs, and of its ACKs.
    nops: Vec<u32>,
    acks: Vec<u32>,
    /// The slot of an unread ACK. The original's receive loop hangs when another one comes (kcptunb.md section 3).
    slot: bool,
}

impl KcptunB {
    fn new(link: Link, stream_buffers: bool) -> Self {
        let (nops, acks) = (Vec::new(), Vec::new());
        let mut end = Self { link, stream_buffers, nop: 0, nops, acks, slot: false };
        end.send_nop();
        end
    }

    fn send_nop(&mut self) {
        self.nop += 1;
        self.link.send(&smuxb(NOP, self.nop, b""));
    }

    /// The next frame that is no keepalive.
    fn frame(&mut self) -> (u8, u32, Vec<u8>) {
        loop {
            let head = self.link.take(8);
            let id = u32::from_le_bytes(head[4..].try_into().unwrap());
            let payload = self.link.take(u16::from_le_bytes([head[2], head[3]]).into());
            assert_eq!(head[0], 1, "version");
            match head[1] {
                NOP => {
                    assert_eq!(id as usize, self.nops.len() + 1, "NOPs are numbered from 1");
                    self.nops.push(id);
                    if self.stream_buffers {
                        self.link.send(&smuxb(ACK, id, b""));
                    }
                }
                ACK => {
                    assert!(id <= self.nop && !self.acks.contains(&id), "an ACK without its NOP");
                    assert!(!self.slot, "the second unread ACK stops a kcptunB without stream buffers");
                    self.slot = !self.stream_buffers;
                    self.acks.push(id);
                }
                command => return (command, id, payload),
            }
        }
    }

    /// Handles keepalives for some time; no other frame may come.
    fn idle(&mut self, time: Duration) {
        self.link.pass(time);
        while !self.link.inbox.is_empty() {
            let len = usize::from(u16::from_le_bytes([self.link.inbox[2], self.link.inbox[3]]));
            let whole = 8 + len;
            let rest = self.link.inbox.split_off(whole.min(self.link.inbox.len()));
            assert!(matches!(self.link.inbox[1], NOP | ACK), "command {}", self.link.inbox[1]);
            // A frame that is none of them ends `frame`.
            self.link.inbox.extend_from_slice(&smuxb(77, 0, b""));
            assert_eq!(self.frame().0, 77);
            let arrived = std::mem::replace(&mut self.link.inbox, rest);
            self.link.inbox.extend(arrived);
        }
    }

    fn bytes(&mut self, id: u32, len: usize) -> Vec<u8> {
        let mut got = Vec::new();
        while got.len() < len {
            let (command, of, payload) = self.frame();
            assert_eq!((command, of), (PSH, id));
            got.extend(payload);
        }
        got
    }
}

/// A target that sends `len` bytes, then reads to the end.
fn source(len: usize) -> SocketAddr {
    target(move |mut stream: TcpStream| {
        let _ = stream.write_all(&vec![7; len]);
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

/// A target that answers the 5 bytes `hello` with the bytes `world`.
fn greeter() -> SocketAddr {
    target(|mut stream: TcpStream| {
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).unwrap();
        assert_eq!(&hello, b"hello");
        stream.write_all(b"world").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

/// SMUXB-2, SMUXB-4, MUX-2: the server with its defaults.
#[test]
fn a_kcptunb_client_is_served() {
    let udp = free_udp();
    let server = start_server(greeter(), udp, WORDS);
    let mut client = KcptunB::new(Link::dial(udp), true);
    client.link.send(&smuxb(SYN, 3, b""));
    client.link.send(&smuxb(PSH, 3, b"hello"));
    assert_eq!(client.frame(), (PSH, 3, b"world".to_vec()));
    assert_eq!((&client.nops[..], &client.acks[..]), (&[1][..], &[1][..]));
    for number in 2..5 {
        client.send_nop();
        client.idle(Duration::from_millis(200));
        assert_eq!(client.acks.last(), Some(&number));
    }
    client.link.send(&smuxb(FIN, 3, b""));
    assert_eq!(client.frame(), (FIN, 3, Vec::new()));
    server.wait_for("mux: smuxb on connection: ");
}

/// SMUXB-6: a reader that pauses gets what is in flight, then nothing until it resumes.
#[test]
fn a_kcptunb_client_pauses_and_resumes_a_stream() {
    const LEN: usize = 30_000_000;
    let udp = free_udp();
    let _server = start_server(source(LEN), udp, WORDS);
    let mut client = KcptunB::new(Link::dial(udp), true);
    client.link.send(&smuxb(SYN, 3, b""));
    let mut got = client.bytes(3, 100_000).len();
    client.link.send(&smuxb(FUL, 3, b""));
    // What was in flight or queued still comes.
    let mut queued = 0;
    while client.link.inbox.len() > queued {
        queued = client.link.inbox.len();
        client.link.pass(Duration::from_millis(700));
    }
    assert!(queued < LEN / 2, "the pause is ignored: {queued} bytes came");
    client.link.send(&smuxb(EMP, 3, b""));
    got += client.bytes(3, 5_000_000).len();
    assert!(got < LEN);
}

/// SMUXB-3, SMUXB-4, SMUXB-7: no second ACK, and a frame in each of the client's intervals.
#[test]
fn a_kcptunb_client_without_stream_buffers_is_kept_alive() {
    let udp = free_udp();
    let server = start_server(greeter(), udp, &[WORDS, &["--keepalivems", "900"]].concat());
    let mut client = KcptunB::new(Link::dial(udp), false);
    client.link.send(&smuxb(SYN, 3, b""));
    for _ in 0..4 {
        let before = client.nops.len();
        client.idle(Duration::from_millis(900));
        assert!(client.nops.len() > before, "nothing was heard in an interval");
        client.send_nop();
    }
    assert_eq!(client.acks.len(), 1);
    client.link.send(&smuxb(PSH, 3, b"hello"));
    assert_eq!(client.frame(), (PSH, 3, b"world".to_vec()));
    assert!(!server.log().contains("closed"), "{}", server.log());
}

/// SMUXB-2, SMUXB-5: the client of `--compat kcptunb`, whose application does not read.
#[test]
fn a_kcptunb_server_is_dialled_and_paused() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp = socket.local_addr().unwrap();
    let (_client, local) = start_client(udp, &[WORDS, &["--compat", "kcptunb"]].concat());
    let mut app = connect(local);
    app.write_all(b"hello").unwrap();
    let mut server = KcptunB::new(Link::accept(socket), true);
    assert_eq!(server.frame(), (SYN, 3, Vec::new()));
    assert_eq!(server.bytes(3, 5), b"hello");
    server.link.send(&smuxb(PSH, 3, b"world"));
    let mut world = [0; 5];
    app.read_exact(&mut world).unwrap();
    assert_eq!(&world, b"world");
    // More than the buffers of the system's sockets hold.
    let sender = Arc::new(vec![7; 60_000]);
    let mut sent = 0;
    while server.link.inbox.is_empty() || server.link.inbox[1] != FUL {
        assert!(sent < 60_000_000, "the client never pauses its stream");
        server.link.send(&smuxb(PSH, 3, &sender));
        sent += sender.len();
        server.link.turn();
        while server.link.arq.waitsnd() > 200 {
            server.link.turn();
        }
        if server.link.inbox.first() == Some(&1) && matches!(server.link.inbox[1], NOP | ACK) {
            server.idle(Duration::ZERO);
        }
    }
    assert_eq!(server.frame(), (FUL, 3, Vec::new()));
    let reading = thread::spawn(move || {
        let mut got = vec![0; sent];
        app.read_exact(&mut got).unwrap();
        app
    });
    assert_eq!(server.frame(), (EMP, 3, Vec::new()));
    server.link.pass(Duration::from_millis(300));
    drop(reading.join().unwrap());
}

/// CLI-113, CLI-115: kcptunB's server reads a request as what one read returns, so nothing may follow it before its answer.
#[test]
fn a_kcptunb_server_gets_one_request_in_one_frame() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp = socket.local_addr().unwrap();
    let words = [WORDS, &["--compat", "kcptunb", "--ser", "socks5"]].concat();
    let (_client, local) = start_client(udp, &words);
    let mut app = connect(local);
    let request = b"\x05\x01\0\x03\x0bexample.com\0\x50";
    app.write_all(&[b"\x05\x01\0", &request[..], b"early"].concat()).unwrap();
    let mut server = KcptunB::new(Link::accept(socket), true);
    assert_eq!(server.frame(), (SYN, 3, Vec::new()));
    assert_eq!(server.frame(), (PSH, 3, request.to_vec()));
    server.idle(Duration::from_millis(300));
    server.link.send(&smuxb(PSH, 3, b"\x05\0\0\x01\0\0\0\0\0\0"));
    assert_eq!(server.bytes(3, 5), b"early");
    let mut answers = [0; 12];
    app.read_exact(&mut answers).unwrap();
    assert_eq!(&answers, b"\x05\0\x05\0\0\x01\0\0\0\0\0\0");
}

/// CLI-115: the last digits of a request of kcptunB's HTTP client come in another datagram than the others.
#[test]
fn a_request_of_a_kcptunb_client_is_read_to_the_end_of_its_frame() {
    let udp = free_udp();
    let allow = ["--ser", "fast", "--ser-allow", "127.0.0.0/8"];
    let _server = start_server("127.0.0.1:9".parse().unwrap(), udp, &[WORDS, &allow].concat());
    let mut client = KcptunB::new(Link::dial(udp), true);
    client.link.send(&smuxb(SYN, 3, b""));
    let request = smuxb(PSH, 3, format!("\0\0\0\x05{}", greeter()).as_bytes());
    let (first, rest) = request.split_at(request.len() - 2);
    client.link.send(first);
    client.link.pass(Duration::from_millis(300));
    client.link.send(rest);
    assert_eq!(client.bytes(3, 10), b"\x05\0\0\x01\0\0\0\0\0\0");
    client.link.send(&smuxb(PSH, 3, b"hello"));
    assert_eq!(client.frame(), (PSH, 3, b"world".to_vec()));
}

const DATA: u8 = 0;
const UPDATE: u8 = 1;
const PING: u8 = 2;

/// A frame of yamux; `len` is that of the payload, or a number.
fn yamux(kind: u8, flags: u16, id: u32, len: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, kind];
    bytes.extend_from_slice(&flags.to_be_bytes());
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The next frame: type, flags, id, length, payload.
fn yamux_frame(link: &mut Link) -> (u8, u16, u32, u32, Vec<u8>) {
    let head = link.take(12);
    assert_eq!(head[0], 0, "version");
    let word = |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().unwrap());
    let payload = if head[1] == DATA { link.take(word(8) as usize) } else { Vec::new() };
    (head[1], u16::from_be_bytes([head[2], head[3]]), word(4), word(8), payload)
}

/// YAMUX-3, YAMUX-7, MUX-2: the server with its defaults.
#[test]
fn a_client_of_2016_is_served() {
    let udp = free_udp();
    let server = start_server(greeter(), udp, WORDS);
    let mut link = Link::dial(udp);
    link.send(&yamux(UPDATE, 1, 1, 16_515_072, b""));
    link.send(&yamux(DATA, 0, 1, 5, b"hello"));
    let accepted = yamux_frame(&mut link);
    assert_eq!((accepted.0, accepted.1, accepted.2), (UPDATE, 2, 1));
    assert_eq!(yamux_frame(&mut link), (DATA, 0, 1, 5, b"world".to_vec()));
    link.send(&yamux(PING, 1, 0, 4711, b""));
    assert_eq!(yamux_frame(&mut link), (PING, 2, 0, 4711, Vec::new()));
    link.send(&yamux(UPDATE, 4, 1, 0, b""));
    assert_eq!(yamux_frame(&mut link), (UPDATE, 4, 1, 0, Vec::new()));
    server.wait_for("mux: yamux on connection: ");
}

/// YAMUX-3: no more than the window is sent.
#[test]
fn the_window_of_a_client_of_2016_is_kept() {
    let udp = free_udp();
    let _server = start_server(source(1 << 20), udp, WORDS);
    let mut link = Link::dial(udp);
    link.send(&yamux(UPDATE, 1, 1, 0, b""));
    let mut window = 262_144_usize;
    let mut got = 0;
    while got < 1 << 20 {
        let (kind, _, id, len, payload) = yamux_frame(&mut link);
        if kind != DATA {
            continue;
        }
        assert!(id == 1 && len as usize <= window, "{len} bytes into a window of {window}");
        window -= payload.len();
        got += payload.len();
        if window == 0 {
            link.pass(Duration::from_millis(100));
            assert!(link.inbox.is_empty(), "more than the window");
            link.send(&yamux(UPDATE, 0, 1, 131_072, b""));
            window = 131_072;
        }
    }
}

/// YAMUX-2, YAMUX-3, YAMUX-9: the client of `--compat 2016`, and a server that resets a stream.
#[test]
fn a_server_of_2016_is_dialled() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp = socket.local_addr().unwrap();
    let (client, local) = start_client(udp, &[WORDS, &["--compat", "2016"]].concat());
    client.wait_for("mux: yamux\n");
    let mut app = connect(local);
    app.write_all(b"hello").unwrap();
    let mut link = Link::accept(socket);
    assert_eq!(yamux_frame(&mut link), (UPDATE, 1, 1, 16_515_072, Vec::new()));
    assert_eq!(yamux_frame(&mut link), (DATA, 0, 1, 5, b"hello".to_vec()));
    link.send(&yamux(UPDATE, 2, 1, 16_515_072, b""));
    link.send(&yamux(DATA, 0, 1, 5, b"world"));
    let mut world = [0; 5];
    app.read_exact(&mut world).unwrap();
    assert_eq!(&world, b"world");
    link.send(&yamux(UPDATE, 8, 1, 0, b""));
    let serving = thread::spawn(move || link.pass(Duration::from_secs(1)));
    assert!(app.read(&mut world).is_err(), "a reset looks like an end");
    serving.join().unwrap();
}
