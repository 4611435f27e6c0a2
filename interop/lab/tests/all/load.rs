//! The simulator's workloads over real connections: each of them completely, and with cut connections.

use lab::load::{Carrier, Load, is_complete, streams_reset};
use sim::Scenario;
use sim::outcome::WorkOutcome;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

const EVERYTHING: &str = r#"[
    { "bulk": { "name": "download", "direction": "down", "bytes": 3000000 } },
    { "bulk": { "name": "upload", "direction": "up", "content": "text" } },
    { "echo": { "name": "echo", "message_bytes": 64, "interval_ms": 20 } },
    { "request_response": { "name": "requests", "response_bytes": 20000, "think_ms": 5 } },
    { "short_streams": { "name": "short", "interval_ms": 30, "response_bytes": 3000 } },
    { "page": { "name": "page", "object_bytes_min": 1, "object_bytes_max": 20000 } },
    { "game_ticks": { "name": "game", "interval_ms": 20, "up_bytes": 40, "down_bytes": 90 } },
    { "typing": { "name": "typing", "interval_ms": 15 } },
    { "stalled_reader": { "name": "stalled", "stall_after_ms": 200, "stall_for_ms": 300 } },
    { "half_close": { "name": "late", "request_bytes": 100, "response_bytes": 70000, "response_after_ms": 150, "count": 3 } },
    { "storm": { "name": "storm", "interval_ms": 5, "count": 100, "bytes": 50, "open_max": 4 } },
    { "idle_then_burst": { "name": "bursts", "idle_ms": 100, "burst_bytes": 100000, "count": 4 } }
]"#;

fn scenario(duration_ms: u64, workloads: &str) -> Scenario {
    let text = format!(
        r#"{{ "name": "load", "description": "Work.", "seed": 3, "duration_ms": {duration_ms}, "drain_ms": 3000,
            "links": {{ "up": {{}}, "down": {{}} }}, "workloads": {workloads} }}"#
    );
    Scenario::parse("load", &text).unwrap()
}

/// Straight to the target.
struct Direct(SocketAddr);

impl Carrier for Direct {
    fn connect(&self) -> io::Result<TcpStream> {
        TcpStream::connect(self.0)
    }
}

fn target() -> (TcpListener, SocketAddr) {
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = target.local_addr().unwrap();
    (target, address)
}

#[test]
fn every_workload_runs_in_real_time() {
    let (target, address) = target();
    let scenario = scenario(1500, EVERYTHING);
    let work = Load::new(&scenario, 1).run(&mut Direct(address), &target).unwrap();
    assert_eq!(work.len(), 12);
    for one in &work {
        assert!(is_complete(one) && streams_reset(one) == 0, "{one:?}");
        if let Some((_, activity)) = one.activity() {
            assert!(activity.streams_opened == activity.streams_completed && activity.begun > 0, "{one:?}");
        }
    }
    let WorkOutcome::StalledReader(reader) = &work[8] else { panic!("{:?}", work[8]) };
    let stall = reader.stall.unwrap();
    // How long a gap is depends on how busy the machine is; that bytes pass beside the stalled reader does not.
    assert!(stall.healthy_bytes > 0, "{stall:?}");
    let latency = work[9].latency().unwrap();
    assert!(latency.count == 3 && latency.min >= 150_000, "{latency:?}");
}

/// Forwards bytes, and flips one of those that return.
struct Tampering(SocketAddr);

impl Carrier for Tampering {
    fn connect(&self) -> io::Result<TcpStream> {
        let between = TcpListener::bind("127.0.0.1:0")?;
        let (near, far) = (TcpStream::connect(between.local_addr()?)?, TcpStream::connect(self.0)?);
        let (middle, _) = between.accept()?;
        let (up, down) = ((middle.try_clone()?, far.try_clone()?), (far, middle));
        std::thread::spawn(move || pass(up.0, up.1, None));
        std::thread::spawn(move || pass(down.0, down.1, Some(1000)));
        Ok(near)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut flip: Option<usize>) {
    let mut buffer = [0; 500];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if flip.is_some_and(|left| left < n) {
            buffer[0] ^= 1;
            flip = None;
        }
        flip = flip.map(|left| left - n);
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[test]
fn a_byte_that_differs_ends_the_run() {
    let (target, address) = target();
    let scenario = scenario(5000, r#"[ { "bulk": { "name": "b", "direction": "down", "bytes": 100000 } } ]"#);
    let why = Load::new(&scenario, 1).run(&mut Tampering(address), &target).unwrap_err();
    assert!(why.contains("client: bytes") && why.contains("differs"), "{why}");
}

/// Ends every connection after some bytes, as a program does that dies.
struct Cutting(SocketAddr);

impl Carrier for Cutting {
    fn connect(&self) -> io::Result<TcpStream> {
        let between = TcpListener::bind("127.0.0.1:0")?;
        let (near, mut far) = (TcpStream::connect(between.local_addr()?)?, TcpStream::connect(self.0)?);
        let (mut middle, _) = between.accept()?;
        std::thread::spawn(move || {
            let mut header = [0; 4];
            let copied = middle.read_exact(&mut header).and_then(|()| far.write_all(&header));
            let bytes = copied.and_then(|()| io::copy(&mut far.take(20_000), &mut middle));
            assert!(bytes.is_ok_and(|bytes| bytes <= 20_000));
        });
        Ok(near)
    }
}

#[test]
fn a_cut_connection_is_reopened_and_counted() {
    let (target, address) = target();
    let scenario = scenario(5000, r#"[ { "bulk": { "name": "b", "direction": "down", "bytes": 50000 } } ]"#);
    let work = Load::new(&scenario, 1).run(&mut Cutting(address), &target).unwrap();
    let WorkOutcome::Bulk(bulk) = &work[0] else { panic!("{work:?}") };
    assert_eq!((bulk.bytes_read, bulk.streams_reset), (50_000, 2), "{bulk:?}");
}

/// A target that accepts no connections for a while.
struct Absent {
    to: SocketAddr,
    running: bool,
}

impl Carrier for Absent {
    fn connect(&self) -> io::Result<TcpStream> {
        assert!(self.running, "connecting to a client that does not run");
        TcpStream::connect(self.to)
    }

    fn supervise(&mut self, now: Duration) -> Result<[bool; 2], String> {
        self.running = !(Duration::from_millis(200)..Duration::from_millis(500)).contains(&now);
        Ok([self.running, true])
    }
}

#[test]
fn applications_wait_for_a_client_that_does_not_run() {
    let (target, to) = target();
    let work = r#"[ { "echo": { "name": "e", "message_bytes": 9, "interval_ms": 10 } },
        { "request_response": { "name": "r", "response_bytes": 500, "think_ms": 10 } } ]"#;
    let work = Load::new(&scenario(1000, work), 1).run(&mut Absent { to, running: true }, &target).unwrap();
    let WorkOutcome::Echo(echo) = &work[0] else { panic!("{work:?}") };
    assert!(echo.streams_reset == 1 && (40..=100).contains(&echo.received), "{echo:?}");
    assert!(streams_reset(&work[1]) == 1 && is_complete(&work[1]), "{:?}", work[1]);
}

#[test]
fn a_refused_connection_is_an_error() {
    let (target, _) = target();
    let (unused, address) = self::target();
    drop(unused);
    let work = r#"[ { "echo": { "name": "e", "message_bytes": 9, "interval_ms": 10 } } ]"#;
    let why = Load::new(&scenario(1000, work), 1).run(&mut Direct(address), &target).unwrap_err();
    assert!(why.contains("refused"), "{why}");
}
