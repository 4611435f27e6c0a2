//! What the log says about sessions, for readers and as JSON, and how it is reopened.
use crate::common::{PATIENCE, Pair, Program, connect, echo, free_udp, start_client, start_server, target};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

fn echoes(local: SocketAddr) {
    let mut app = connect(local);
    let mut reply = [0; 5];
    app.write_all(b"hello").unwrap();
    app.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"hello");
}

fn events(program: &Program) -> Vec<Value> {
    program.log().lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

// CLI-105: once per session, however many streams it has.
#[test]
fn a_client_logs_to_what_it_is_connected() {
    let pair = Pair::start(target(echo), &["--smuxver", "1"]);
    (0..4).for_each(|_| echoes(pair.local));
    pair.client.wait_for("connected to");
    sleep(Duration::from_millis(1200));
    let log = pair.client.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("connected to")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    let (rest, end) = lines[0].split_once(" ms ").unwrap();
    assert!(
        rest[20..].starts_with(&format!("connected to {}: rtt=", pair.udp))
            && end == "server=karst smux=1 carrier=udp"
    );
    let udp = free_udp();
    let words = ["-t", &target(echo).to_string(), "-l", &udp.to_string()].map(str::to_owned);
    let _server = Program::start("kcptun-server", &words.each_ref().map(String::as_str));
    let (client, local) = start_client(udp, &[]);
    echoes(local);
    client.wait_for(" ms server=kcptun smux=1");
}

// CLI-103
#[test]
fn json_lines_have_a_level_an_event_and_its_facts() {
    let udp = free_udp();
    let server =
        Program::server(&["-t", &target(echo).to_string(), "-l", &udp.to_string(), "--log-format", "json"]);
    server.wait_for("Listening on: ");
    let client = Program::client(&["-r", &udp.to_string(), "-l", "127.0.0.1:0", "--log-format", "json"]);
    client.wait_for("key derivation done");
    let local = events(&client).iter().find_map(|event| {
        event["message"]
            .as_str()
            .unwrap()
            .strip_prefix("listening on: ")
            .map(|address| address.parse().unwrap())
    });
    echoes(local.unwrap());
    client.wait_for("connected to");
    client.wait_for("stream closed");
    let of = |program: &Program, name: &str| {
        let found = events(program).into_iter().find(|event| event["event"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {}", program.log()))
    };
    let connected = of(&client, "connected");
    assert_eq!((&connected["level"], &connected["session"]), (&"info".into(), &0.into()));
    assert_eq!((&connected["peer"], &connected["server"]), (&udp.to_string().into(), &"karst".into()));
    assert!(connected["rtt_ms"].is_u64() && connected["smux"] == 2, "{connected}");
    let opened = of(&client, "stream_opened");
    assert_eq!((&opened["level"], &opened["stream"]), (&"debug".into(), &format!("{udp}(3)").into()));
    assert_eq!(of(&server, "session_accepted")["local"], udp.to_string());
    for event in events(&client).iter().chain(&events(&server)) {
        assert!(["level", "event", "message", "time"].iter().all(|key| event[*key].is_string()), "{event}");
    }
}

// CLI-103
#[test]
fn lines_below_the_level_are_left_out() {
    let udp = free_udp();
    let _server = start_server(target(echo), udp, &[]);
    let words = ["-r", &udp.to_string(), "-l", "127.0.0.1:0", "--log-level", "warn"].map(str::to_owned);
    let client = Program::client(&words.each_ref().map(String::as_str));
    let log = client.wait_for("kcptun's public default");
    sleep(Duration::from_millis(300));
    assert!(!log.contains("listening on"), "{log}");
}

// CLI-104
#[test]
fn sighup_opens_the_log_file_again() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("sighup");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let (path, rotated) = (folder.join("karst.log"), folder.join("karst.log.1"));
    let words = ["-l", &free_udp().to_string(), "--log", &path.display().to_string()].map(str::to_owned);
    let mut server = Program::server(&words.each_ref().map(String::as_str));
    let wait_for = |path: &PathBuf, text: &str| {
        let until = Instant::now() + PATIENCE;
        while !std::fs::read_to_string(path).unwrap_or_default().contains(text) {
            assert!(Instant::now() < until, "no {text:?} in {}", path.display());
            sleep(Duration::from_millis(20));
        }
    };
    wait_for(&path, "Listening on: ");
    std::fs::rename(&path, &rotated).unwrap();
    server.signal(libc::SIGHUP);
    wait_for(&path, "SIGHUP: log file opened again");
    server.signal(libc::SIGUSR1);
    wait_for(&path, "KCP SNMP:&{");
    assert!(server.is_running() && !std::fs::read_to_string(&rotated).unwrap().contains("SNMP"));
}

// CLI-104
#[test]
fn sighup_without_a_log_file_opens_none() {
    let server = Program::server(&["-l", &free_udp().to_string()]);
    server.wait_for("Listening on: ");
    server.signal(libc::SIGHUP);
    server.wait_for("SIGHUP: the log is standard error, no file to open again");
}

// CLI-105
#[test]
fn a_server_logs_that_a_client_moved() {
    let udp = free_udp();
    let server = start_server(target(echo), udp, &[]);
    // A translator that changes the client's port after some datagrams.
    let front = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = front.local_addr().unwrap();
    let port = Arc::new(AtomicUsize::new(0));
    let chosen = Arc::clone(&port);
    std::thread::spawn(move || {
        let backs: Vec<UdpSocket> = (0..2).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let client = Arc::new(std::sync::Mutex::new(None));
        for back in &backs {
            let (back, front, client) =
                (back.try_clone().unwrap(), front.try_clone().unwrap(), Arc::clone(&client));
            std::thread::spawn(move || {
                let mut buffer = [0; 2048];
                while let Ok(count) = back.recv(&mut buffer) {
                    let to: Option<SocketAddr> = *client.lock().unwrap();
                    let _ = to.map(|to| front.send_to(&buffer[..count], to));
                }
            });
        }
        let mut buffer = [0; 2048];
        while let Ok((count, from)) = front.recv_from(&mut buffer) {
            *client.lock().unwrap() = Some(from);
            let _ = backs[chosen.load(Ordering::SeqCst)].send_to(&buffer[..count], udp);
        }
    });
    let (_client, local) = start_client(address, &[]);
    let mut app = connect(local);
    for round in 0..2 {
        port.store(round, Ordering::SeqCst);
        app.write_all(b"hello").unwrap();
        app.read_exact(&mut [0; 5]).unwrap();
    }
    server.wait_for(" moved to 127.0.0.1:");
}

// CLI-106
#[test]
fn the_client_names_a_target_that_refuses() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let pair = Pair::start(closed, &[]);
    let mut app = connect(pair.local);
    app.write_all(b"hello").unwrap();
    assert!(app.read(&mut [0; 10]).is_err());
    pair.server.wait_for("connection refused");
    pair.client.wait_for(&format!("{} could not connect to its target", pair.udp));
}

// CLI-102
#[test]
fn a_name_that_does_not_resolve_is_logged_a_few_times() {
    let words = ["-r", "no-such-host.invalid:1", "-l", "127.0.0.1:0"];
    let client = Program::client(&words);
    let log = client.wait_for("key derivation done");
    let (_, rest) = log.split_once("listening on: ").unwrap();
    let local: SocketAddr = rest.lines().next().unwrap().parse().unwrap();
    let _app = connect(local);
    client.wait_for("re-connecting: dial()");
    sleep(Duration::from_secs(6));
    assert!(client.log().matches("re-connecting: dial()").count() <= 3, "{}", client.log());
}
