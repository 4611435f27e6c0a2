//! The two programs against each other, over real sockets.
use crate::common;
use crate::common::{
    PATIENCE, Pair, connect, echo, exchange, free_udp, sample, start_client, start_server, target,
};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const MEBIBYTE: usize = 1 << 20;

/// Four concurrent streams, each a mebibyte in both directions.
fn four_streams_arrive_whole(both: &[&str]) {
    let pair = Pair::start(target(echo), both);
    let streams: Vec<_> = (0..4)
        .map(|seed| {
            let stream = pair.connect();
            thread::spawn(move || (exchange(stream, sample(seed, MEBIBYTE)), seed))
        })
        .collect();
    for stream in streams {
        let (got, seed) = stream.join().unwrap();
        assert!(got == sample(seed, MEBIBYTE), "stream {seed}: {} bytes, flags {both:?}", got.len());
    }
}

#[test]
fn bytes_arrive_whole_with_defaults() {
    four_streams_arrive_whole(&[]);
}

#[test]
fn bytes_arrive_whole_with_smux_1_without_compression_and_fec() {
    four_streams_arrive_whole(&["--smuxver", "1", "--nocomp", "--ds=0", "--ps=0", "--crypt", "aes-128-gcm"]);
}

#[test]
fn bytes_arrive_whole_with_pads_and_small_windows() {
    let key = "a secret of more than thirty bytes for the pads";
    four_streams_arrive_whole(&[
        "--QPP",
        "--key",
        key,
        "--sndwnd=32",
        "--rcvwnd=64",
        "--mtu=600",
        "--mode=fast3",
    ]);
}

// CLI-20
#[test]
fn connections_are_spread_over_conn_sessions() {
    let udp = free_udp();
    let server = start_server(target(echo), udp, &[]);
    let (client, local) = start_client(udp, &["--conn", "3"]);
    assert!(!client.log().contains("on connection"), "sessions are dialled on demand");
    for seed in 0..6 {
        assert!(exchange(connect(local), sample(seed, 5000)) == sample(seed, 5000));
    }
    assert_eq!(client.log().matches("on connection").count(), 3);
    assert_eq!(server.log().matches("remote address: ").count(), 3);
}

// CLI-23
#[test]
fn a_reply_to_a_half_closed_connection_arrives() {
    let reply_after_end = |mut stream: TcpStream| {
        let mut request = Vec::new();
        stream.read_to_end(&mut request).unwrap();
        thread::sleep(Duration::from_millis(300));
        request.reverse();
        stream.write_all(&request).unwrap();
    };
    let pair = Pair::start(target(reply_after_end), &[]);
    let mut reply = exchange(pair.connect(), sample(1, 300_000));
    reply.reverse();
    assert!(reply == sample(1, 300_000), "{} bytes", reply.len());
}

// CLI-23
#[test]
fn the_connection_continues_after_the_target_half_closes() {
    let received = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&received);
    let pair = Pair::start(
        target(move |mut stream| {
            stream.write_all(b"greeting").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            counter.store(rest.len() as u64, Ordering::SeqCst);
        }),
        &[],
    );
    let mut stream = pair.connect();
    let mut greeting = Vec::new();
    stream.read_to_end(&mut greeting).unwrap();
    assert_eq!(greeting, b"greeting");
    stream.write_all(&sample(2, 200_000)).unwrap();
    drop(stream);
    wait_until("the target to get it all", || received.load(Ordering::SeqCst) == 200_000);
}

// CLI-22
#[test]
fn a_refused_target_closes_only_its_own_stream() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let pair = Pair::start(listener.local_addr().unwrap(), &[]);
    let mut first = pair.connect();
    first.write_all(b"one").unwrap();
    let (connection, _) = listener.accept().unwrap();
    drop(listener);
    thread::spawn(move || echo(connection));

    assert_eq!(exchange(pair.connect(), b"two".to_vec()), b"");
    pair.server.wait_for("connect: connection refused");
    let mut got = [0; 3];
    first.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"one");
    assert!(exchange(first, sample(3, 100_000)) == sample(3, 100_000));
}

#[test]
fn a_reset_connection_ends_its_stream_at_the_target() {
    let (report, reports) = std::sync::mpsc::channel();
    let pair = Pair::start(
        target(move |mut stream| {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            report.send(rest.len()).unwrap();
        }),
        &[],
    );
    let mut stream = pair.connect();
    stream.write_all(b"hello").unwrap();
    pair.client.wait_for("stream opened");
    thread::sleep(Duration::from_millis(200));
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    assert_eq!(reports.recv_timeout(PATIENCE).unwrap(), 5);
    pair.client.wait_for("stream closed");
    pair.server.wait_for("stream closed");
}

/// Backpressure is end to end: unread bytes do not accumulate.
#[test]
fn a_stalled_reader_stalls_the_target() {
    let written = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&written);
    let pair = Pair::start(
        target(move |mut stream| {
            let block = sample(9, 65_536);
            while stream.write_all(&block).is_ok() {
                counter.fetch_add(block.len() as u64, Ordering::SeqCst);
            }
        }),
        &["--streambuf=65536", "--smuxbuf=131072", "--nocomp"],
    );
    let mut stalled = pair.connect();
    let mut before = u64::MAX;
    wait_until("the target to stall", || {
        thread::sleep(Duration::from_millis(500));
        let total = written.load(Ordering::SeqCst);
        std::mem::replace(&mut before, total) == total && total > 0
    });
    // Socket buffers at both ends hold a few megabytes; the tunnel little more than its windows.
    assert!(before < 24 * MEBIBYTE as u64, "{before} bytes were taken");
    let mut got = vec![0; 2 * MEBIBYTE];
    stalled.read_exact(&mut got).unwrap();
    wait_until("the target to go on", || written.load(Ordering::SeqCst) > before);
}

#[test]
fn garbage_and_a_wrong_key_do_not_affect_the_server() {
    let pair = Pair::start(target(echo), &[]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for len in (0..1600).step_by(7) {
        socket.send_to(&sample(len as u64, len), pair.udp).unwrap();
    }
    let (_intruder, local) = start_client(pair.udp, &["--key", "another key"]);
    let mut intruder = connect(local);
    intruder.write_all(b"hello").unwrap();
    intruder.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let error = intruder.read(&mut [0; 1]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));

    assert!(exchange(pair.connect(), sample(4, 100_000)) == sample(4, 100_000));
    pair.server.wait_for("remote address: ");
    assert_eq!(
        pair.server.log().matches("remote address: ").count(),
        1,
        "only the right key makes a session"
    );
}

// CLI-21
#[test]
fn the_client_drops_datagrams_from_other_addresses() {
    let udp = free_udp();
    let _server = start_server(target(echo), udp, &[]);
    let front = UdpSocket::bind("127.0.0.1:0").unwrap();
    let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (_client, local) = start_client(front.local_addr().unwrap(), &[]);
    let honest = Arc::new(AtomicU64::new(0));
    relay(front, elsewhere, udp, Arc::clone(&honest));

    let mut stream = connect(local);
    stream.write_all(b"hello").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    assert!(stream.read(&mut [0; 5]).is_err(), "answers from another port were taken");
    honest.store(1, Ordering::SeqCst);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut got = [0; 5];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"hello");
}

/// Forwards the client's datagrams, and returns the server's: from `elsewhere` until `honest` is set, then from `front`.
fn relay(front: UdpSocket, elsewhere: UdpSocket, server: SocketAddr, honest: Arc<AtomicU64>) {
    let back = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (forward, from_client) = (back.try_clone().unwrap(), front.try_clone().unwrap());
    let client = Arc::new(std::sync::Mutex::new(None));
    let known = Arc::clone(&client);
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((count, from)) = from_client.recv_from(&mut buffer) {
            *known.lock().unwrap() = Some(from);
            let _ = forward.send_to(&buffer[..count], server);
        }
    });
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok(count) = back.recv(&mut buffer) {
            let source = if honest.load(Ordering::SeqCst) > 0 { &front } else { &elsewhere };
            let to = client.lock().unwrap().unwrap();
            let _ = source.send_to(&buffer[..count], to);
        }
    });
}

/// KCP-24: streams continue when a NAT assigns the client another port, or the client moves to another network.
#[test]
fn a_client_whose_address_changes_keeps_its_streams() {
    for host in ["127.0.0.1", "127.0.0.2"] {
        let (session_count, reply) = exchange_over_a_move(host, &[]);
        assert!(reply == sample(6, MEBIBYTE), "{host}: {} bytes came back", reply.len());
        assert_eq!(session_count, 1, "the old session continues");
    }
}

/// CLI-35: the old streams end, as with kcptun, and a new session serves new ones.
#[test]
fn without_migration_an_address_change_starts_a_new_session() {
    let (session_count, reply) = exchange_over_a_move("127.0.0.1", &["--no-migrate"]);
    assert!(reply.len() < MEBIBYTE, "the stream continued");
    assert!(session_count > 1, "one session served both addresses");
}

/// Moves the client to another port of `host`, then exchanges a mebibyte on an old stream and a little on a new one; the
/// sessions the server had, and the bytes received on the old stream.
fn exchange_over_a_move(host: &str, server_flags: &[&str]) -> (usize, Vec<u8>) {
    let udp = free_udp();
    let server = start_server(target(echo), udp, server_flags);
    let front = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (_client, local) = start_client(front.local_addr().unwrap(), &[]);
    let rebound = Arc::new(AtomicU64::new(0));
    nat(front, udp, ["127.0.0.1", host], Arc::clone(&rebound));
    let mut stream = connect(local);
    stream.write_all(b"hello").unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    rebound.store(1, Ordering::SeqCst);
    let reply = exchange(stream, sample(6, MEBIBYTE));
    assert!(exchange(connect(local), sample(7, 5000)) == sample(7, 5000), "new streams work");
    (server.log().matches("remote address: ").count(), reply)
}

/// Forwards datagrams both ways, from the second of two addresses once `rebound` is set.
fn nat(front: UdpSocket, server: SocketAddr, hosts: [&str; 2], rebound: Arc<AtomicU64>) {
    let backs = hosts.map(|host| UdpSocket::bind((host, 0)).unwrap());
    let client = Arc::new(std::sync::Mutex::new(None));
    for back in &backs {
        let (back, front, client) =
            (back.try_clone().unwrap(), front.try_clone().unwrap(), Arc::clone(&client));
        thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok(count) = back.recv(&mut buffer) {
                let to = client.lock().unwrap().unwrap();
                let _ = front.send_to(&buffer[..count], to);
            }
        });
    }
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((count, from)) = front.recv_from(&mut buffer) {
            *client.lock().unwrap() = Some(from);
            let back = &backs[usize::from(rebound.load(Ordering::SeqCst) > 0)];
            let _ = back.send_to(&buffer[..count], server);
        }
    });
}

// CLI-24
#[test]
fn a_restarted_server_resets_the_old_connections_and_serves_new_ones() {
    let udp = free_udp();
    let address = target(echo);
    let server = start_server(address, udp, &[]);
    let (client, local) = start_client(udp, &[]);
    let mut old = connect(local);
    old.write_all(b"hello").unwrap();
    old.read_exact(&mut [0; 5]).unwrap();
    drop(server);
    let _server = start_server(address, udp, &[]);
    // The client detects the peer's loss of state as soon as it sends.
    let begun = Instant::now();
    let _ = old.write_all(b"anyone?");
    let ended = old.read(&mut [0; 1]);
    assert!(matches!(&ended, Err(error) if error.kind() == ErrorKind::ConnectionReset), "{ended:?}");
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert!(exchange(connect(local), sample(5, 50_000)) == sample(5, 50_000));
    assert!(client.log().contains("closed: "));
}

// CLI-25
#[test]
fn the_programs_stop_at_once_with_status_0() {
    for number in [libc::SIGTERM, libc::SIGINT] {
        let mut pair = Pair::start(target(echo), &[]);
        let mut stream = pair.connect();
        stream.write_all(b"hello").unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
        pair.client.signal(number);
        let status = pair.client.wait(Duration::from_secs(3)).expect("still runs");
        assert_eq!(status.code(), Some(0));
        // The end of the stream was sent before, so the server needs no timeout.
        pair.server.wait_for("stream closed");
        assert!(pair.server.is_running());
        pair.server.signal(number);
        assert_eq!(pair.server.wait(Duration::from_secs(3)).expect("still runs").code(), Some(0));
    }
}

// CLI-18
#[test]
fn run_time_lines_are_kcptuns_and_quiet_omits_the_streams() {
    let pair = Pair::start(target(echo), &[]);
    let stream = pair.connect();
    let app = stream.local_addr().unwrap();
    exchange(stream, b"hello".to_vec());
    let udp = pair.udp;
    pair.client.wait_for(&format!("stream opened in: {app} out: {udp}(3)\n"));
    pair.client.wait_for(&format!("stream closed in: {app} out: {udp}(3)\n"));
    let log = pair.client.log();
    let (_, rest) = log.split_once("smux version: 2 on connection: 0.0.0.0:").unwrap();
    let port = rest.split(' ').next().unwrap();
    assert!(rest.starts_with(&format!("{port} -> {udp}\n")), "{rest}");
    pair.server.wait_for(&format!("remote address: 127.0.0.1:{port}\n"));
    pair.server.wait_for(&format!("smux version: 2 on connection: {udp} -> 127.0.0.1:{port}\n"));
    pair.server.wait_for(&format!("stream closed in: 127.0.0.1:{port}(3) out: 127.0.0.1:"));

    let pair = Pair::start(target(echo), &["--quiet"]);
    exchange(pair.connect(), b"hello".to_vec());
    pair.server.wait_for("remote address: ");
    assert!(!pair.client.log().contains("stream ") && !pair.server.log().contains("stream "));
}

// CLI-28
#[test]
fn a_port_range_is_served_on_every_port() {
    let (udp, range) = free_udp_range();
    let server = start_server(target(echo), udp, &["-l", &range]);
    let (client, local) = start_client(udp, &["-r", &range, "--conn", "8"]);
    for seed in 0..8 {
        assert!(exchange(connect(local), sample(seed, 3000)) == sample(seed, 3000));
    }
    assert_eq!(server.log().matches("/udp\n").count(), 2);
    let used = |port: u16| client.log().contains(&format!("-> 127.0.0.1:{port}\n"));
    assert!(used(udp.port()) || used(udp.port() + 1));
}

/// Two neighbouring free ports.
fn free_udp_range() -> (SocketAddr, String) {
    loop {
        let first = free_udp();
        let Some(second) = first.port().checked_add(1) else { continue };
        if UdpSocket::bind(("127.0.0.1", second)).is_ok() {
            return (first, format!("127.0.0.1:{}-{second}", first.port()));
        }
    }
}

// CLI-29
#[test]
fn local_address_and_target_may_be_unix_sockets() {
    use std::os::unix::net::{UnixListener, UnixStream};
    let folder =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("unix-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name).display().to_string();
    let listener = UnixListener::bind(path("target")).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        stream.read_to_end(&mut request).unwrap();
        stream.write_all(&request).unwrap();
    });
    let udp = free_udp();
    let _server = start_server(udp, udp, &["-t", &path("target")]);
    let client = common::Program::client(&["-r", &udp.to_string(), "-l", &path("local")]);
    client.wait_for(&format!("listening on: unix:{}\n", path("local")));
    let mut stream = UnixStream::connect(path("local")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"over unix sockets").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"over unix sockets");
    std::fs::remove_dir_all(&folder).unwrap();
}

fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < until, "timed out waiting for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
