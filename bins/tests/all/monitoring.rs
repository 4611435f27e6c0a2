//! Metrics over HTTP and the service manager's notifications.
use crate::common::{PATIENCE, Program, connect, echo, exchange, free_udp, sample, start_server, target};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Status line and body.
pub(crate) fn get(to: SocketAddr, request: &str) -> (String, String) {
    let (status, body) = get_bytes(to, request);
    (status, String::from_utf8(body).unwrap())
}

pub(crate) fn get_bytes(to: SocketAddr, request: &str) -> (String, Vec<u8>) {
    let mut stream = connect(to);
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let (head, body) = (String::from_utf8(bytes[..end].to_vec()).unwrap(), bytes[end + 4..].to_vec());
    let length = format!("Content-Length: {}", body.len());
    assert!(head.contains(&length), "{head}");
    (head.lines().next().unwrap().to_owned(), body)
}

pub(crate) fn address_after(log: &str, text: &str) -> SocketAddr {
    log.split_once(text).unwrap().1.lines().next().unwrap().parse().unwrap()
}

/// The value of a metric without labels.
pub(crate) fn value(page: &str, name: &str) -> f64 {
    let line = page.lines().find(|line| line.split(' ').next() == Some(name));
    line.unwrap_or_else(|| panic!("{name} in {page}")).rsplit(' ').next().unwrap().parse().unwrap()
}

// CLI-36, CLI-37
#[test]
fn a_transfer_shows_in_metrics_and_status() {
    let udp = free_udp();
    let server = start_server(target(echo), udp, &["--nocomp"]);
    let udp_text = udp.to_string();
    let words = ["-r", &udp_text, "-l", "127.0.0.1:0", "--nocomp", "--metrics", "127.0.0.1:0"];
    let client = Program::client(&words);
    let log = client.wait_for("key derivation done");
    let (local, metrics) = (address_after(&log, "listening on: "), address_after(&log, "metrics on: "));

    let (status, page) = get(metrics, "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert_eq!((value(&page, "karst_sessions"), value(&page, "karst_amplification_ratio")), (0.0, 0.0));

    let held = connect(local);
    let data = sample(3, 500_000);
    assert_eq!(exchange(connect(local), data.clone()), data);

    let (_, page) = get(metrics, "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    assert_eq!((value(&page, "karst_sessions"), value(&page, "karst_sessions_dialled_total")), (1.0, 1.0));
    assert!((500_000.0..600_000.0).contains(&value(&page, "karst_bytes_sent_total")), "{page}");
    // FEC adds three packets to ten; acknowledgements of the echo count, too.
    assert!((1.2..3.0).contains(&value(&page, "karst_amplification_ratio")), "{page}");
    assert!(value(&page, "process_resident_memory_bytes") > 1e6);
    assert!(
        page.contains(&format!("karst_build_info{{program=\"karst-client\",version=\"{}\",", bins::VERSION))
    );
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (name, number) = line.rsplit_once(' ').unwrap();
        let name = name.split('{').next().unwrap();
        let parts = ["_bucket", "_sum", "_count"];
        let name = parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name);
        assert!(number.parse::<f64>().is_ok(), "{line}");
        assert_eq!(page.matches(&format!("# TYPE {name} ")).count(), 1, "{name}");
    }

    let (status, body) = get(metrics, "GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    assert_eq!(status, "HTTP/1.1 200 OK");
    let json: Value = serde_json::from_str(&body).unwrap();
    let session = &json["sessions"][0];
    assert_eq!(session["peer"], udp_text.as_str());
    assert!(session["rto_ms"].as_u64().unwrap() >= 30, "{body}");
    assert!(session["streams"].as_u64().unwrap() >= 1, "{body}");
    assert_eq!((&json["program"], &json["sessions_left_out"]), (&"karst-client".into(), &0.into()));
    assert!(json["counters"]["BytesSent"].as_u64().unwrap() >= 500_000);

    assert_eq!(get(metrics, "GET /secret HTTP/1.1\r\n\r\n").0, "HTTP/1.1 404 Not Found");
    assert_eq!(get(metrics, "PUT /status HTTP/1.1\r\n\r\n").0, "HTTP/1.1 405 Method Not Allowed");
    drop((held, server));
}

fn server_with_metrics(more: &[&str]) -> (Program, SocketAddr) {
    let udp = free_udp().to_string();
    let server = Program::server(&[&["-l", &udp, "--metrics", "127.0.0.1:0"], more].concat());
    let metrics = address_after(&server.wait_for("metrics on: "), "metrics on: ");
    (server, metrics)
}

// CLI-61: a page of another site that has its name resolved to this machine cannot read anything.
#[test]
fn requests_for_other_hosts_are_refused() {
    let (_server, metrics) = server_with_metrics(&["--metrics-host", "karst.example,other"]);
    let status = |host: &str| {
        let (status, body) = get(metrics, &format!("GET /metrics HTTP/1.1\r\n{host}\r\n"));
        assert!(!status.contains("403") || body.contains("--metrics-host"), "{body}");
        status[9..12].to_owned()
    };
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let own = own.trim();
    for host in [
        "127.0.0.1",
        "10.0.0.1:9100",
        "[::1]:80",
        "LocalHost:1",
        "localhost.",
        "Karst.example:9",
        "other",
        own,
    ] {
        assert_eq!(status(&format!("Host: {host}\r\n")), "200", "{host}");
    }
    assert_eq!(status(""), "200");
    for host in ["attacker.example", "127.0.0.1.attacker.example:9100", "", "localhost@attacker.example"] {
        assert_eq!(status(&format!("Host: {host}\r\n")), "403", "{host}");
    }
    assert_eq!(status("Host: 127.0.0.1\r\nHost: attacker.example\r\n"), "400");
    assert_eq!(status("Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n"), "400");
}

// CLI-61: those that send their request slowly, or not at all, make room for others.
#[test]
fn slow_connections_delay_no_scrape() {
    let (_server, metrics) = server_with_metrics(&[]);
    let mut slow = Vec::new();
    for index in 0..100 {
        let mut stream = connect(metrics);
        if index % 2 == 0 {
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: 127").unwrap();
        }
        slow.push(stream);
        if index % 10 == 9 {
            let since = Instant::now();
            let (status, _) = get(metrics, "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
            assert_eq!(status, "HTTP/1.1 200 OK");
            assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
        }
    }
}

// CLI-36, CLI-8
#[test]
fn an_occupied_metrics_port_is_named_in_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let words = ["-l", &free_udp().to_string(), "--metrics", &address];
    let output = Command::new(env!("CARGO_BIN_EXE_karst-server")).args(words).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let reason = "cannot listen: Address already in use (os error 98)";
    let expected = format!("karst-server: --metrics {address}: {reason}\n");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
}

// CLI-39
#[test]
fn the_service_manager_is_notified_of_start_and_stop() {
    let path = std::env::temp_dir().join(format!("karst-notify-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_karst-server"))
        .args(["-l", &free_udp().to_string()])
        .env("NOTIFY_SOCKET", &path)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let notified = || {
        let mut buffer = [0; 256];
        let count = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..count].to_vec()).unwrap()
    };
    assert_eq!(notified(), "READY=1\n");
    // SAFETY: the child has not been waited for, so its process id is still valid.
    assert_eq!(unsafe { libc::kill(server.id() as i32, libc::SIGTERM) }, 0);
    assert_eq!(notified(), "STOPPING=1\n");
    assert!(server.wait().unwrap().success());
    std::fs::remove_file(&path).unwrap();
}

// CLI-42: what a build without the profiler answers, and logs.
#[cfg(not(feature = "profile"))]
#[test]
fn a_build_without_the_profiler_refuses_profiles() {
    let server = Program::server(&["-l", &free_udp().to_string(), "--pprof-addr", "127.0.0.1:0"]);
    let log = server.wait_for("pprof: this build has no profiler");
    let profiles = address_after(&log, "profiles on: ");
    let (status, body) = get(profiles, "GET /debug/pprof/profile?seconds=1 HTTP/1.1\r\n\r\n");
    assert_eq!(status, "HTTP/1.1 501 Not Implemented");
    assert!(body.contains("--features profile"), "{body}");
    assert_eq!(get(profiles, "GET /debug/pprof/ HTTP/1.1\r\n\r\n").0, "HTTP/1.1 200 OK");
}
