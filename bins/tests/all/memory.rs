//! Memory stays below `--memlimit` and is released after a load (CLI-54).
use crate::common::{Program, connect, echo, exchange, free_udp, sample, start_client, target};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const MEBIBYTE: f64 = (1 << 20) as f64;

fn address_after(log: &str, text: &str) -> SocketAddr {
    let (_, rest) = log.split_once(text).unwrap();
    rest.lines().next().unwrap().trim().parse().unwrap()
}

fn metric(metrics: SocketAddr, name: &str) -> f64 {
    let mut stream = connect(metrics);
    stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let line = page.lines().find(|line| line.split(' ').next() == Some(name));
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

/// A server that shows its metrics, and a client of 16 sessions; the server's target sends without end to a
/// connection that writes `!`.
fn start(server_flags: &[&str]) -> (Program, Program, SocketAddr, SocketAddr) {
    let udp = free_udp().to_string();
    let target = target(|mut stream| {
        let mut first = [0];
        stream.read_exact(&mut first).unwrap();
        if first == *b"?" {
            thread::sleep(Duration::from_secs(600));
        } else if first == *b"!" {
            let block = sample(9, 65_536);
            while stream.write_all(&block).is_ok() {}
        } else {
            stream.write_all(&first).unwrap();
            echo(stream);
        }
    });
    let target = target.to_string();
    // kcptun's sender fills the whole window.
    let words = ["-t", &target, "-l", &udp, "--metrics", "127.0.0.1:0", "--nocomp", "--sndwnd", "8192"];
    let words = [&words[..], &["--governor", "off"]].concat();
    let server = Program::server(&[&words[..], server_flags].concat());
    let metrics = address_after(&server.wait_for("metrics on: "), "metrics on: ");
    server.wait_for("key derivation done");
    let words =
        ["-r", &udp, "-l", "127.0.0.1:0", "--conn", "16", "--nocomp", "--rcvwnd", "8192", "--sndwnd", "8192"];
    let client = Program::client(&[&words[..], &["--governor", "off"]].concat());
    let local = address_after(&client.wait_for("key derivation done"), "listening on: ");
    (server, client, metrics, local)
}

/// Downloads without a reader, which fill every buffer.
fn stopped_downloads(local: SocketAddr) -> Vec<TcpStream> {
    let open = |_| {
        let mut stream = connect(local);
        stream.write_all(b"!").unwrap();
        stream
    };
    (0..32).map(open).collect()
}

/// Uploads to a target that does not read.
fn stopped_uploads(local: SocketAddr) -> Vec<TcpStream> {
    let open = |_| {
        let mut stream = connect(local);
        stream.write_all(b"?").unwrap();
        let mut copy = stream.try_clone().unwrap();
        thread::spawn(move || {
            let block = sample(9, 65_536);
            while copy.write_all(&block).is_ok() {}
        });
        stream
    };
    (0..32).map(open).collect()
}

/// Bytes in use every 50 ms.
fn samples(metrics: SocketAddr, time: Duration) -> Vec<f64> {
    let until = Instant::now() + time;
    let mut samples = Vec::new();
    while Instant::now() < until {
        samples.push(metric(metrics, "karst_heap_bytes"));
        thread::sleep(Duration::from_millis(50));
    }
    samples
}

fn peak_and_median(mut samples: Vec<f64>) -> (f64, f64) {
    samples.sort_by(f64::total_cmp);
    (samples[samples.len() - 1], samples[samples.len() / 2])
}

// CLI-54
#[test]
fn a_limit_holds_and_the_program_recovers() {
    let (server, _client, metrics, local) = start(&["--memlimit", "24"]);
    let base = metric(metrics, "karst_heap_bytes");
    let stopped = stopped_downloads(local);
    server.wait_for("memlimit: memory is short");
    // Without a limit, the windows of 16 sessions hold 180 MiB. A busy machine delays the check that ends the fullest session,
    // so that memory may exceed the limit for a moment.
    let (peak, usual) = peak_and_median(samples(metrics, Duration::from_secs(4)));
    assert!(
        peak < 36.0 * MEBIBYTE && usual < 24.0 * MEBIBYTE,
        "{peak} bytes in use, {usual} half of the time"
    );
    drop(stopped);
    let dropped = Instant::now();
    let data = sample(4, 200_000);
    while exchange(connect(local), data.clone()) != data {
        assert!(dropped.elapsed() < Duration::from_secs(30), "nothing works after the load");
    }
    // Buffers kept for reuse are freed after ten seconds without use.
    while metric(metrics, "karst_heap_bytes") > base + MEBIBYTE {
        let left = metric(metrics, "karst_heap_bytes") - base;
        assert!(dropped.elapsed() < Duration::from_secs(60), "{left} bytes left");
        thread::sleep(Duration::from_millis(100));
    }
}

// CLI-54: memory stays between four fifths and the whole of the limit, in which nothing new is accepted.
#[test]
fn new_clients_are_served_after_a_few_seconds_of_shortage() {
    let (server, _client, metrics, local) = start(&["--memlimit", "24"]);
    let log = server.wait_for("/udp");
    let udp = log.split_once("Listening on: ").unwrap().1.split("/udp").next().unwrap().to_owned();
    let _stopped = stopped_uploads(local);
    server.wait_for("memlimit: memory is short");
    // Until the shortage lasts.
    let (peak, usual) = peak_and_median(samples(metrics, Duration::from_millis(2500)));
    // Without a limit, receive windows and buffers hold 120 MiB. What the windows permit still arrives when sessions wait.
    assert!(
        peak < 64.0 * MEBIBYTE && usual < 32.0 * MEBIBYTE,
        "{peak} bytes in use, {usual} half of the time"
    );
    let (_other, local) = start_client(udp.parse().unwrap(), &["--nocomp"]);
    let since = Instant::now();
    let data = sample(5, 50_000);
    while exchange(connect(local), data.clone()) != data {
        let used = metric(metrics, "karst_heap_bytes");
        assert!(
            since.elapsed() < Duration::from_secs(30),
            "locked out, {used} bytes used:\n{}",
            server.log()
        );
    }
}

// CLI-54
#[test]
fn buffers_above_their_share_are_lowered_and_named() {
    let (server, ..) = start(&["--memlimit", "16"]);
    for name in ["smuxbuf 4194304", "sndwnd 8192"] {
        assert!(server.log().contains(&format!("{name} does not fit memlimit 16")), "{}", server.log());
    }
}
