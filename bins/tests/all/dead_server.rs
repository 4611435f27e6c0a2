//! A server that dies: its streams end soon, the log reports it, and new connections wait (KCP-60, CLI-101).
use crate::common::{Program, connect, echo, free_udp, relay, start_client, target};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

fn server(program: &str, target: SocketAddr, udp: SocketAddr) -> Program {
    let words = ["-t", &target.to_string(), "-l", &udp.to_string()].map(str::to_owned);
    let server = Program::start(program, &words.each_ref().map(String::as_str));
    server.wait_for("key derivation done");
    server
}

fn echoes(app: &mut TcpStream) -> bool {
    let mut reply = [0; 5];
    app.write_all(b"hello").is_ok() && app.read_exact(&mut reply).is_ok() && reply == *b"hello"
}

// KCP-60, CLI-101: for both kinds of server; a stream that waits for a reply ends, too.
#[test]
fn streams_of_a_dead_server_end_and_new_ones_wait_for_the_next() {
    for program in [env!("CARGO_BIN_EXE_karst-server"), "kcptun-server"] {
        let (target, udp) = (target(echo), free_udp());
        let first = server(program, target, udp);
        let (client, local) = start_client(udp, &[]);
        let mut old = connect(local);
        assert!(echoes(&mut old));
        drop(first);
        let died = Instant::now();
        assert!(old.write_all(b"are you there?").is_ok());
        let end = old.read(&mut [0; 100]);
        assert!(end.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset), "{end:?}");
        assert!(died.elapsed() < Duration::from_secs(8), "{program}: {:?}", died.elapsed());
        client.wait_for("nothing listens on the peer's port");
        let mut new = connect(local);
        new.write_all(b"hello").unwrap();
        // One whose application leaves.
        drop(connect(local));
        new.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
        let waits = new.read(&mut [0; 100]).unwrap_err().kind();
        assert!(matches!(waits, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{waits:?}");
        let second = server(program, target, udp);
        new.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        let mut reply = [0; 5];
        new.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"hello");
        assert!(echoes(&mut connect(local)));
        drop(second);
    }
}

// KCP-60, CLI-101: a host that is gone reports nothing, and neither does a path that comes back.
#[test]
fn silence_is_logged_within_seconds_and_ends_no_stream() {
    let (target, udp, passes) = (target(echo), free_udp(), Arc::new(AtomicBool::new(true)));
    let _server = server(env!("CARGO_BIN_EXE_karst-server"), target, udp);
    let path = Arc::clone(&passes);
    let front = relay(udp, move |_, _| path.load(Ordering::Relaxed));
    let (client, local) = start_client(front, &[]);
    let mut old = connect(local);
    assert!(echoes(&mut old));
    passes.store(false, Ordering::Relaxed);
    let silent = Instant::now();
    let mut on_live_session = connect(local);
    on_live_session.write_all(b"hello").unwrap();
    client.wait_for(&format!("no answer from {front} for 5 s: new connections wait for it"));
    assert!(silent.elapsed() < Duration::from_secs(9), "{:?}", silent.elapsed());
    let mut new = connect(local);
    new.write_all(b"hello").unwrap();
    sleep(Duration::from_secs(12).saturating_sub(silent.elapsed()));
    passes.store(true, Ordering::Relaxed);
    for stream in [&mut on_live_session, &mut new] {
        let mut reply = [0; 5];
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"hello");
    }
    assert!(echoes(&mut old), "silence ended a stream");
    client.wait_for(" answers again after ");
}

// CLI-101
#[test]
fn a_connection_that_its_application_resets_does_not_wait() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (client, local) = start_client(silent.local_addr().unwrap(), &[]);
    let app = connect(local);
    sleep(Duration::from_millis(300));
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open, and the pointer and the length describe a live linger.
    let result = unsafe {
        let size = size_of::<libc::linger>() as libc::socklen_t;
        libc::setsockopt(app.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, (&raw const linger).cast(), size)
    };
    assert_eq!(result, 0);
    drop(app);
    client.wait_for("closed before the server answered: ");
}
