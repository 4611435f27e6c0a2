//! The program names every part of a scenario that it does not apply in real time.

use std::io::{BufRead, BufReader};
use std::process::Command;

const SCENARIO: &str = r#"{
  "name": "clock", "description": "Parts that real time does not have.", "seed": 1, "duration_ms": 10000,
  "links": { "up": {}, "down": {} },
  "hosts": { "client": { "timer_slack_ms": 1 } },
  "faults": [ { "clock_step": { "side": "client", "at_ms": 5, "by_ms": 100 } } ],
  "workloads": [ { "echo": { "name": "echo", "message_bytes": 64, "interval_ms": 20 } } ]
}"#;

#[test]
fn the_program_reports_file_and_path() {
    let file = std::env::temp_dir().join(format!("karst-left-out-{}.json", std::process::id()));
    std::fs::write(&file, SCENARIO).unwrap();
    let mut relay = Command::new(env!("CARGO_BIN_EXE_karst-interop"))
        .args(["relay", file.to_str().unwrap(), "--listen", "127.0.0.1:0", "--to", "127.0.0.1:9", "--json"])
        .arg(file.with_extension("out"))
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(relay.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(Command::new("kill").args(["-TERM", &relay.id().to_string()]).status().unwrap().success());
    let said = String::from_utf8(relay.wait_with_output().unwrap().stderr).unwrap();
    let json = std::fs::read_to_string(file.with_extension("out")).unwrap();
    std::fs::remove_file(&file).unwrap();
    std::fs::remove_file(file.with_extension("out")).unwrap();
    let wanted = format!("{}: faults[0].clock_step: not applied in real time: ", file.display());
    assert!(said.contains(&wanted), "{said}");
    assert!(json.contains("hosts.client.timer_slack_ms: not applied in real time"), "{json}");
}
