//! `karst-interop relay` as a program: scenario, counters on request and at the end, capture.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

const SCENARIO: &str = r#"{
  "name": "relay", "description": "Half of the datagrams towards the server are lost.", "seed": 5, "duration_ms": 1000,
  "links": { "up": { "loss_pct": 50, "delay_ms": 10 }, "down": { "duplicate_pct": 100 } },
  "workloads": [ { "echo": { "name": "echo", "message_bytes": 64, "interval_ms": 20 } } ]
}"#;

struct Program {
    child: Child,
    output: BufReader<ChildStdout>,
    folder: PathBuf,
    client: UdpSocket,
    server: UdpSocket,
}

impl Program {
    fn start(name: &str, flags: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("karst-relay-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("scenario.json"), SCENARIO).unwrap();
        let socket = || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            socket
        };
        let (client, server) = (socket(), socket());
        let mut child = Command::new(env!("CARGO_BIN_EXE_karst-interop"))
            .args(["relay", "scenario.json", "--listen", "127.0.0.1:0", "--to"])
            .arg(server.local_addr().unwrap().to_string())
            .args(flags)
            .current_dir(&folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert!(line.contains("seed 5"), "{line}");
        client.connect(line.split_once(" -> ").unwrap().0).unwrap();
        Self { child, output, folder, client, server }
    }

    /// Sends a hundred datagrams, answers the ones that arrive; how many arrived at the server and at the client.
    fn exchange(&self) -> [u64; 2] {
        for number in 0..100_u8 {
            self.client.send(&[number; 100]).unwrap();
            std::thread::sleep(Duration::from_micros(200));
        }
        let mut buffer = [0; 200];
        let mut arrived = [0, 0];
        while let Ok((len, from)) = self.server.recv_from(&mut buffer) {
            self.server.send_to(&buffer[..len], from).unwrap();
            arrived[0] += 1;
        }
        while self.client.recv(&mut buffer).is_ok() {
            arrived[1] += 1;
        }
        arrived
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Everything it printed; it has ended.
    fn end(mut self) -> String {
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        std::fs::remove_dir_all(&self.folder).unwrap();
        text
    }
}

#[test]
fn counters_are_printed_on_request_and_at_the_end() {
    let mut program = Program::start("counters", &["--json", "report.json"]);
    let [there, back] = program.exchange();
    assert!((30..70).contains(&there) && back == 2 * there, "{there} {back}");
    program.signal("-USR1");
    let mut lines = Vec::new();
    while lines.len() < 6 {
        let mut line = String::new();
        program.output.read_line(&mut line).unwrap();
        lines.push(line);
    }
    let text = lines.concat();
    assert!(
        text.contains("up    100 packets, 12800 bytes in") && text.contains("added by real time"),
        "{text}"
    );
    program.signal("-TERM");
    assert!(program.child.wait().unwrap().success());
    let json = std::fs::read_to_string(program.folder.join("report.json")).unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    let count = |path: &str| json.pointer(path).and_then(Value::as_u64).unwrap();
    assert_eq!(count("/links/up/sent_packets"), 100);
    assert_eq!(count("/links/up/dropped_loss"), 100 - there);
    assert_eq!(count("/links/down/duplicated_packets"), there);
    assert_eq!(count("/overflow_packets"), 0);
    assert!((10_000..10_100).contains(&count("/transit_us/up/p50")), "{json}");
    assert!(program.end().contains(&format!("down  {there} packets")));
}

/// Every datagram is in the capture where it arrived and where it left, under IP and UDP headers.
#[test]
fn the_capture_has_arrivals_and_departures() {
    let mut program = Program::start("capture", &["--pcap", "line.pcapng"]);
    let [there, back] = program.exchange();
    program.signal("-INT");
    assert!(program.child.wait().unwrap().success());
    let file = std::fs::read(program.folder.join("line.pcapng")).unwrap();
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let mut packets = [0_u64; 4];
    let mut at = 0;
    while at < file.len() {
        if word(at) == 6 {
            packets[word(at + 8) as usize] += 1;
            assert_eq!((word(at + 20), file[at + 28], file[at + 28 + 9]), (128, 0x45, 17));
        }
        at += word(at + 4) as usize;
    }
    assert_eq!(packets, [100, there, there, back]);
    program.end();
}

#[test]
fn a_scenario_that_is_wrong_is_refused_with_its_place() {
    let file = std::env::temp_dir().join(format!("karst-relay-{}-wrong.json", std::process::id()));
    std::fs::write(&file, SCENARIO.replace("50,", "500,")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_karst-interop"))
        .args(["relay", file.to_str().unwrap(), "--listen", "127.0.0.1:0", "--to", "127.0.0.1:9"])
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("links.up.loss_pct"), "{error}");
}

#[test]
fn the_version_is_printed_with_the_name() {
    for flag in ["-v", "-V", "--version"] {
        let output = Command::new(env!("CARGO_BIN_EXE_karst-interop")).arg(flag).output().unwrap();
        assert!(output.status.success());
        let expected = format!("karst-interop {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    }
}
