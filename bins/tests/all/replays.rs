//! An attacker without the key replays, spoofs and races the datagrams of clients, against the real server.

use crate::common::{Program, connect, echo, exchange, free_udp, sample, start_client, start_server, target};
use engine::{Entropy, Instant, Settings, Tunnel};
use std::io::{Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Between a client and the server, with a copy of what passed.
struct Sniffer {
    /// The client's address as the server sees it.
    back: UdpSocket,
    client: Arc<Mutex<Option<SocketAddr>>>,
    recorded: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Sniffer {
    /// Forwards between `front` and the server; the datagrams for the server wait for `delay` if there is a `racer`, from
    /// which copies are sent at once.
    fn start(front: UdpSocket, server: SocketAddr, racer: Option<(UdpSocket, Duration)>) -> Self {
        let back = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sniffer = Self { back, client: Arc::default(), recorded: Arc::default() };
        let (to_client, from_server) = (front.try_clone().unwrap(), sniffer.back.try_clone().unwrap());
        let client = Arc::clone(&sniffer.client);
        thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok(count) = from_server.recv(&mut buffer) {
                let to = client.lock().unwrap().unwrap();
                let _ = to_client.send_to(&buffer[..count], to);
            }
        });
        let (to_server, client) = (sniffer.back.try_clone().unwrap(), Arc::clone(&sniffer.client));
        let recorded = Arc::clone(&sniffer.recorded);
        let (delayed, due) = std::sync::mpsc::channel::<(std::time::Instant, Vec<u8>)>();
        let late = sniffer.back.try_clone().unwrap();
        thread::spawn(move || {
            for (at, datagram) in due {
                thread::sleep(at.saturating_duration_since(std::time::Instant::now()));
                let _ = late.send_to(&datagram, server);
            }
        });
        thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((count, from)) = front.recv_from(&mut buffer) {
                *client.lock().unwrap() = Some(from);
                recorded.lock().unwrap().push(buffer[..count].to_vec());
                match &racer {
                    Some((racer, ahead)) => {
                        let _ = racer.send_to(&buffer[..count], server);
                        let _ = delayed.send((std::time::Instant::now() + *ahead, buffer[..count].to_vec()));
                    }
                    None => drop(to_server.send_to(&buffer[..count], server)),
                }
            }
        });
        sniffer
    }

    fn first(&self) -> Vec<u8> {
        self.recorded.lock().unwrap()[0].clone()
    }
}

/// A client behind a sniffer: the sniffer, the client and the port it listens on.
fn sniffed_client(
    server: SocketAddr,
    racer: Option<(UdpSocket, Duration)>,
) -> (Sniffer, Program, SocketAddr) {
    let front = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (client, local) = start_client(front.local_addr().unwrap(), &[]);
    (Sniffer::start(front, server, racer), client, local)
}

/// First datagrams of as many clients, none of which exists.
fn first_datagrams(count: u16) -> Vec<Vec<u8>> {
    let config = Arc::new(Settings::client().tunnel_config().unwrap());
    let first = |n: u16| {
        let mut seed = [7; 32];
        seed[..2].copy_from_slice(&n.to_le_bytes());
        let now = Instant::from_millis(1_000);
        let to = "127.0.0.1:1".parse().unwrap();
        let mut tunnel = Tunnel::connect(&config, now, to, Entropy::from_seed(seed));
        let stream = tunnel.open_stream(now).unwrap();
        tunnel.write(now, stream, b"hello").unwrap();
        let mut out = [0; 1500];
        let transmit = tunnel.poll_transmit(now, &mut out).unwrap();
        out[..transmit.len].to_vec()
    };
    (0..count).map(first).collect()
}

/// Sends `datagram` from a port of its own.
fn send_from_elsewhere(server: SocketAddr, datagram: &[u8]) {
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(datagram, server).unwrap();
}

/// Bytes that arrive until nothing has come for `silence`.
fn received(socket: &UdpSocket, silence: Duration) -> u64 {
    socket.set_read_timeout(Some(silence)).unwrap();
    let mut buffer = [0; 2048];
    let mut bytes = 0;
    while let Ok(count) = socket.recv(&mut buffer) {
        bytes += count as u64;
    }
    bytes
}

/// A target that counts its connections and echoes.
fn counting_target() -> (SocketAddr, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&count);
    let address = target(move |stream| {
        counter.fetch_add(1, Ordering::SeqCst);
        echo(stream);
    });
    (address, count)
}

// KCP-33, KCP-35
#[test]
fn one_first_datagram_from_thousands_of_ports_starts_nothing() {
    let udp = free_udp();
    let (address, connections) = counting_target();
    let server = start_server(address, udp, &["--sessionlimit", "64"]);
    let (sniffer, _client, local) = sniffed_client(udp, None);
    let mut stream = connect(local);
    stream.write_all(b"hello").unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    for _ in 0..4_200 {
        send_from_elsewhere(udp, &sniffer.first());
    }
    stream.write_all(b"again").unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    let (_new, local) = start_client(udp, &[]);
    assert!(exchange(connect(local), sample(3, 50_000)) == sample(3, 50_000));
    assert_eq!(server.log().matches("remote address: ").count(), 2);
    assert_eq!(connections.load(Ordering::SeqCst), 2, "the replays reached the target");
}

// KCP-35, CLI-83
#[test]
fn replays_leave_descriptors_and_sessions_for_clients() {
    let udp = free_udp();
    let (address, connections) = counting_target();
    let (address, listen) = (address.to_string(), udp.to_string());
    let words = ["-t", &address, "-l", &listen, "--sessionlimit", "200", "--quiet"];
    let server = Program::with_descriptors(env!("CARGO_BIN_EXE_karst-server"), 100, &words);
    server.wait_for("Listening on: ");
    let (_client, local) = start_client(udp, &[]);
    let mut live = connect(local);
    live.write_all(b"hello").unwrap();
    live.read_exact(&mut [0; 5]).unwrap();
    for datagram in first_datagrams(1_100) {
        send_from_elsewhere(udp, &datagram);
    }
    let before = connections.load(Ordering::SeqCst);
    assert!(before <= 1_000, "{before}");
    for n in 0..5 {
        assert!(
            exchange(connect(local), sample(n, 5_000)) == sample(n, 5_000),
            "a new stream of a live client"
        );
    }
    let (_new, local) = start_client(udp, &[]);
    assert!(exchange(connect(local), sample(8, 50_000)) == sample(8, 50_000), "a new client");
    live.write_all(b"still").unwrap();
    live.read_exact(&mut [0; 5]).unwrap();
    assert!(!server.log().contains("too many open files"), "{}", server.log());
}

// KCP-34
#[test]
fn a_replay_after_a_restart_gets_three_times_its_bytes() {
    let udp = free_udp();
    let address = target(|mut stream| {
        let _ = stream.write_all(&vec![7; 7_000_000]);
        let _ = stream.read(&mut [0; 1]);
    });
    let server = start_server(address, udp, &["--nocomp"]);
    let front = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (_client, local) = start_client(front.local_addr().unwrap(), &["--nocomp"]);
    let sniffer = Sniffer::start(front, udp, None);
    let mut got = vec![0; 7_000_000];
    connect(local).read_exact(&mut got).unwrap();
    assert!(got.iter().all(|byte| *byte == 7));
    let recorded = sniffer.recorded.lock().unwrap().clone();
    drop(server);
    let _server = start_server(address, udp, &["--nocomp"]);
    for count in [1, 20, recorded.len()] {
        let attacker = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut sent = 0;
        for datagram in &recorded[..count] {
            sent += attacker.send_to(datagram, udp).unwrap() as u64;
        }
        let bytes = received(&attacker, Duration::from_secs(2));
        assert!(bytes <= 3 * sent, "{bytes} bytes for {sent}");
    }
}

// KCP-22
#[test]
fn an_old_first_datagram_from_the_address_of_a_client_leaves_its_session_alone() {
    let udp = free_udp();
    let server = start_server(target(echo), udp, &[]);
    let (sniffer, _client, local) = sniffed_client(udp, None);
    let mut stream = connect(local);
    for datagram in first_datagrams(20) {
        stream.write_all(b"hello").unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
        sniffer.back.send_to(&datagram, udp).unwrap();
    }
    stream.write_all(b"still").unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    assert!(!server.log().contains("replaced by a new session"), "{}", server.log());
}

// KCP-24
#[test]
fn a_racer_receives_next_to_nothing_of_a_download() {
    let udp = free_udp();
    let address = target(|mut stream| {
        let _ = stream.write_all(&sample(4, 4_000_000));
    });
    let _server = start_server(address, udp, &[]);
    let racer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let ears = racer.try_clone().unwrap();
    let (sniffer, _client, local) = sniffed_client(udp, Some((racer, Duration::from_millis(20))));
    let mut got = Vec::new();
    connect(local).read_to_end(&mut got).unwrap();
    assert!(got == sample(4, 4_000_000), "{} bytes", got.len());
    let raced: usize = sniffer.recorded.lock().unwrap().iter().map(Vec::len).sum();
    let hijacked = received(&ears, Duration::from_millis(500));
    assert!(hijacked <= 3 * raced as u64 && hijacked < 50_000, "{hijacked} bytes for {raced}");
}
