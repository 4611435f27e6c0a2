//! `karst-interop netns` as a program. Needs root and /dev/net/tun; reports SKIPPED without them.

use lab::netns::Network;
use lab::path::Conditions;
use lab::peers::Peer;
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SCENARIO: &str = r#"{
  "name": "netns", "description": "A clean line of 8 Mbit/s.", "seed": 3, "duration_ms": 1500, "drain_ms": 5000,
  "links": {
    "up": { "rate_kbit": 8000, "queue_bytes": 100000, "delay_ms": 15, "mtu_bytes": 1400 },
    "down": { "rate_kbit": 8000, "queue_bytes": 100000, "delay_ms": 15, "mtu_bytes": 1400 }
  },
  "workloads": [
    { "bulk": { "name": "download", "direction": "down", "bytes": 500000 } },
    { "bulk": { "name": "upload", "direction": "up" } },
    { "echo": { "name": "echo", "message_bytes": 64, "interval_ms": 20 } }
  ]
}"#;

/// Whether this machine can do it; why not is printed past the capture of the test harness.
fn is_possible(test: &str) -> bool {
    let why = match Network::start(&Conditions::default(), None) {
        Ok(_) => return true,
        Err(error) => error,
    };
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
    false
}

fn scenario_file(name: &str) -> PathBuf {
    let file = std::env::temp_dir().join(format!("karst-netns-{}-{name}.json", std::process::id()));
    std::fs::write(&file, SCENARIO).unwrap();
    file
}

#[test]
fn a_command_runs_in_its_namespace_and_its_exit_status_is_returned() {
    if !is_possible("a_command_runs_in_its_namespace_and_its_exit_status_is_returned") {
        return;
    }
    let file = scenario_file("status");
    let output = Command::new(env!("CARGO_BIN_EXE_karst-interop"))
        .arg("netns")
        .arg(&file)
        .args(["--right", "sleep 1000", "--", "sh", "-c", "cat /proc/net/dev; echo $KARST_RIGHT; exit 7"])
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("karst0:") && text.contains("10.77.0.2"), "{text}");
    assert_eq!(output.status.code(), Some(7));
}

/// Whatever ends the program ends the commands.
#[test]
fn signals_end_commands_and_namespaces() {
    if !is_possible("signals_end_commands_and_namespaces") {
        return;
    }
    for signal in ["-TERM", "-INT", "-KILL"] {
        let file = scenario_file(signal);
        let pids = file.with_extension("pids");
        let note = format!("echo $$ >> {}; exec sleep 1000", pids.display());
        let mut program = Command::new(env!("CARGO_BIN_EXE_karst-interop"))
            .arg("netns")
            .arg(&file)
            .args(["--left", &note, "--right", &note])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let noted = || std::fs::read_to_string(&pids).unwrap_or_default();
        wait_for(|| noted().lines().count() == 2);
        assert!(Command::new("kill").args([signal, &program.id().to_string()]).status().unwrap().success());
        program.wait().unwrap();
        let alive = || noted().lines().any(|pid| PathBuf::from(format!("/proc/{pid}/exe")).exists());
        wait_for(|| !alive());
        std::fs::remove_file(&file).unwrap();
        std::fs::remove_file(&pids).unwrap();
    }
}

fn wait_for(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(10), "nothing happens");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The program names the missing privilege. Runs it as another user where that is possible.
#[test]
fn without_root_the_error_names_it() {
    let file = scenario_file("nobody");
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--clear-groups", env!("CARGO_BIN_EXE_karst-interop"), "netns"])
        .arg(&file)
        .args(["--", "true"])
        .output();
    std::fs::remove_file(&file).unwrap();
    let error = output.map(|output| String::from_utf8(output.stderr).unwrap()).unwrap_or_default();
    if !error.contains("karst-interop:") {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED without_root_the_error_names_it: cannot switch to another user: {error}"
        );
        return;
    }
    assert!(error.contains("need root"), "{error}");
}

/// The measurement as a program: a row for each contestant, the trials of every seed as JSON.
#[test]
fn contestants_are_measured_over_several_seeds() {
    if !is_possible("contestants_are_measured_over_several_seeds") {
        return;
    }
    let found = Peer::find();
    let Some(karst) = found.named("karst") else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED contestants_are_measured_over_several_seeds: no karst programs"
        );
        return;
    };
    let file = scenario_file("measure");
    let json = file.with_extension("out");
    let (client, server) = (karst.client.display(), karst.server.display());
    let output = Command::new(env!("CARGO_BIN_EXE_karst-interop"))
        .arg("netns")
        .arg(&file)
        .args(["--seeds", "2", "--time", "1", "--tcp", "cubic", "--flags", "--mode fast3", "--json"])
        .arg(&json)
        .args(["--peer", &format!("karst={client},{server}")])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let found: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    std::fs::remove_file(&file).unwrap();
    std::fs::remove_file(&json).unwrap();
    assert!(output.status.success() && text.contains("tcp-cubic") && text.contains("karst"), "{text}");
    for contestant in found["contestants"].as_array().unwrap() {
        assert_eq!(contestant["trials"].as_array().unwrap().len(), 2);
        let median = |name: &str| contestant["median"][name].as_u64().unwrap();
        assert!((500..8_000).contains(&median("goodput_down_kbit")), "{text}");
        assert!((30_000..2_000_000).contains(&median("latency_p50_us")), "{text}");
        assert!((1_000..9_000).contains(&median("wire_per_useful_thousandths")), "{text}");
    }
}
