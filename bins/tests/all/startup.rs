//! Start-up: log lines, presets, and errors in one line (CLI-8).
use crate::common::{Program, free_udp};
use bins::config::{Command as Decision, load};
use bins::driver::parameters;
use bins::flags::Side;
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Output};

fn run(path: &str, words: &[&str]) -> Output {
    Command::new(path).args(words).env_remove("KCPTUN_KEY").output().unwrap()
}

/// The only line on standard error of a start that fails with `code`.
fn refusal(path: &str, words: &[&str], code: i32) -> String {
    let output = run(path, words);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{words:?}: {text}");
    assert_eq!(output.stdout, b"", "{words:?}");
    assert_eq!(text.matches('\n').count(), 1, "{words:?}: {text}");
    text.trim_end().to_owned()
}

const CLIENT: &str = env!("CARGO_BIN_EXE_karst-client");
const SERVER: &str = env!("CARGO_BIN_EXE_karst-server");

// CLI-8
#[test]
fn an_occupied_port_is_named_in_one_line() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap().to_string();
    let text = refusal(CLIENT, &["-l", &address], 1);
    assert_eq!(
        text,
        format!("karst-client: --localaddr {address}: cannot listen: Address already in use (os error 98)")
    );

    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = udp.local_addr().unwrap().to_string();
    let text = refusal(SERVER, &["-l", &address], 1);
    assert_eq!(
        text,
        format!("karst-server: --listen {address}: cannot listen: Address already in use (os error 98)")
    );
}

// CLI-8, CLI-15
#[test]
fn usage_errors_exit_with_2() {
    let cases: &[(&[&str], &str)] = &[
        (&["--bogus"], "flag provided but not defined: -bogus; see --help"),
        (&["--mtu", "many"], "invalid value \"many\" for flag -mtu: parse error"),
        (&["--tcp=maybe"], "invalid value \"maybe\" for flag -tcp: parse error"),
        (
            &["--keepalive", "31"],
            "--keepalive: 31 is above the peer's timeout of 30 s, use 1 to 30 (keep-alive timeout must be larger than keep-alive interval)",
        ),
        (&["--smuxver", "3"], "--smuxver: unsupported smux version:3"),
        (&["--smuxver", "0"], "--smuxver: unsupported protocol version"),
        (&["--QPP", "--QPPCount=0"], "--QPPCount: 0 must be greater than 0 when QPP is enabled"),
    ];
    for (words, reason) in cases {
        assert_eq!(refusal(CLIENT, words, 2), format!("karst-client: {reason}"));
        assert_eq!(refusal(SERVER, words, 2), format!("karst-server: {reason}"));
    }
    assert!(refusal(CLIENT, &["--crypt", "rot13"], 2).contains("--crypt: must be aes, "));
    let text = refusal(SERVER, &["-l", "nonsense"], 2);
    assert_eq!(
        text,
        "karst-server: --listen: malformed address \"nonsense\", expected HOST:PORT or HOST:MIN-MAX"
    );
}

// CLI-12
#[test]
fn a_bad_file_exits_with_1() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("startup");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("bad.json").display().to_string();
    std::fs::write(&path, "{\"mtu\": \"large\"}").unwrap();
    let text = refusal(CLIENT, &["-c", &path], 1);
    assert_eq!(text, format!("karst-client: {path}: key \"mtu\": expected an integer, found a string"));
    std::fs::write(&path, "{\"mtu\": 1").unwrap();
    let text = refusal(SERVER, &["-c", &path], 1);
    assert!(text.starts_with(&format!("karst-server: {path}: not valid JSON: EOF")), "{text}");
    std::fs::write(&path, "{\"keepalive\": 31}").unwrap();
    let text = refusal(SERVER, &["-c", &path], 1);
    assert!(text.starts_with(&format!("karst-server: {path}: key \"keepalive\": ")), "{text}");
    let text = refusal(CLIENT, &["-c", "/nonexistent.json"], 1);
    assert_eq!(text, "karst-client: /nonexistent.json: No such file or directory (os error 2)");
}

// CLI-27
#[test]
fn help_and_version_exit_with_0() {
    for (path, program) in [(CLIENT, "karst-client"), (SERVER, "karst-server")] {
        for (words, start) in [(["--help"], "NAME:\n   "), (["-v"], "kcptun (karst) ")] {
            let output = run(path, &words);
            assert_eq!(output.status.code(), Some(0));
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(text.starts_with(start) && text.contains(program), "{text}");
            assert_eq!(output.stderr, b"");
        }
    }
}

// CLI-27
#[test]
fn a_help_that_cannot_be_written_is_an_error() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = std::process::Command::new(CLIENT).arg("--man").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.starts_with(b"karst-client: standard output: "));
}

fn lines(side: Side, words: &[&str]) -> Vec<String> {
    let words: Vec<String> = words.iter().map(|word| (*word).into()).collect();
    let Ok(Decision::Run(config, ..)) = load(side, &words, |_| None) else { panic!("{words:?}") };
    parameters(&config, &config.settings.tunnel_config().unwrap(), "ADDRESS")
}

// CLI-16
#[test]
fn start_up_lines_are_kcptuns() {
    let expected = "smux version: 2|listening on: ADDRESS|encryption: aes|QPP: false|QPP Count: 61\
        |nodelay parameters: 0 30 2 1\
        |governor: on (paced, and no more in flight than the path holds)|remote address: vps:29900|sndwnd: 128 rcvwnd: 512|compression: true|mtu: 1350\
        |ratelimit: 0|datashard: 10 parityshard: 3|acknodelay: false|dscp: 0|sockbuf: 4194304|smuxbuf: 4194304\
        |framesize: 8192|streambuf: 2097152|keepalive: 10|conn: 1|autoexpire: 0|scavengettl: 600|snmplog: \
        |snmpperiod: 60|quiet: false|tcp: false|pprof: false|initiating key derivation|key derivation done";
    assert_eq!(lines(Side::Client, &[])[1..].join("|"), expected);
    let expected = "smux version: 1|listening on: ADDRESS|target: 127.0.0.1:12948|encryption: null\
        |nodelay parameters: 1 40 0 1\
        |governor: off (kcptun's own sender: as much in flight as sndwnd allows)|sndwnd: 1024 rcvwnd: 1024|compression: false|mtu: 1200|ratelimit: 0\
        |datashard: 10 parityshard: 3|acknodelay: false|dscp: 0|sockbuf: 4194304|smuxbuf: 4194304|framesize: 8192\
        |streambuf: 2097152|keepalive: 10|snmplog: |snmpperiod: 60|pprof: false|quiet: true|tcp: false\
        |initiating key derivation|key derivation done";
    let words = "-mode manual -nodelay 1 -interval 40 -nc 1 -quiet -nocomp -mtu 1200 -crypt null -smuxver 1 -governor off";
    let words: Vec<&str> = words.split(' ').collect();
    assert_eq!(lines(Side::Server, &words)[1..].join("|"), expected);
    assert_eq!(lines(Side::Server, &[])[0], format!("version: {}", bins::VERSION));
}

// CLI-14
#[test]
fn presets_replace_nodelay_interval_resend_and_nc() {
    for (mode, numbers) in
        [("normal", "0 40 2 1"), ("fast", "0 30 2 1"), ("fast2", "1 20 2 1"), ("fast3", "1 10 2 1")]
    {
        let words = ["--mode", mode, "--nodelay", "7", "--interval", "77", "--resend", "7", "--nc", "7"];
        assert!(lines(Side::Client, &words).contains(&format!("nodelay parameters: {numbers}")));
    }
}

// CLI-17
#[test]
fn log_lines_carry_date_and_time() {
    let server = Program::server(&["-l", &free_udp().to_string(), "--ratelimit=-5"]);
    let log = server.wait_for("Listening on: ");
    assert!(log.lines().next().unwrap().ends_with(" ratelimit -5 is negative, falling back to 0"), "{log}");
    for line in log.lines() {
        let shape: String = line.chars().take(20).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000/00/00 00:00:00 ", "{line}");
    }
}

// CLI-16
#[test]
fn start_up_lines_show_the_values_in_use() {
    let lines = lines(Side::Client, &["--mtu", "9000", "--sndwnd", "0", "--rcvwnd", "70000"]);
    assert!(
        lines.contains(&"mtu: 1500".to_owned()) && lines.contains(&"sndwnd: 32 rcvwnd: 65535".to_owned())
    );
}

fn descriptor_limit(pid: u32) -> (String, String) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let mut fields = line["Max open files".len()..].split_whitespace().map(str::to_owned);
    (fields.next().unwrap(), fields.next().unwrap())
}

// CLI-78
#[test]
fn the_limit_of_descriptors_is_raised() {
    let shell = format!("ulimit -S -n 64; exec {SERVER} -l {}", free_udp());
    let mut child = std::process::Command::new("sh")
        .args(["-c", &shell])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("Listening on: ") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut log, &mut line).unwrap() > 0, "ended early");
    }
    let (soft, hard) = descriptor_limit(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(soft, hard);
}

// CLI-82
#[test]
fn a_log_of_counters_that_cannot_be_written_is_rejected() {
    let text = refusal(SERVER, &["--snmplog", "/nonexistent/snmp.log"], 1);
    assert!(text.starts_with("karst-server: --snmplog /nonexistent/snmp.log: cannot be written: "), "{text}");
}

// CLI-76
#[test]
fn a_socket_that_a_killed_program_left_is_replaced() {
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("unix");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("local.sock");
    let _ = std::fs::remove_file(&path);
    let words = ["-l", path.to_str().unwrap(), "-r", "127.0.0.1:9"];
    let listens = format!("listening on: unix:{}", path.display());
    let first = Program::client(&words);
    first.wait_for(&listens);
    // A live socket stays, and the second program ends.
    assert!(refusal(CLIENT, &words, 1).contains("in use"));
    first.wait_for("key derivation done");
    drop(first);
    assert!(path.exists(), "killed, so it could not remove it");
    Program::client(&words).wait_for(&listens);
    let _ = std::fs::remove_file(&path);
    std::fs::write(&path, "precious").unwrap();
    assert!(refusal(CLIENT, &words, 1).contains("in use"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

// CLI-79
#[test]
fn a_plugin_ends_with_its_host() {
    let udp = free_udp().to_string();
    let (host, port) = udp.rsplit_once(':').unwrap();
    let script = format!("{SERVER} 2>&1 & echo \"pid $!\"; wait");
    let mut shell = std::process::Command::new("sh")
        .args(["-c", &script])
        .envs([
            ("SS_REMOTE_HOST", host),
            ("SS_REMOTE_PORT", port),
            ("SS_LOCAL_HOST", "127.0.0.1"),
            ("SS_LOCAL_PORT", "9"),
        ])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = std::io::BufReader::new(shell.stdout.take().unwrap());
    let (mut line, mut text) = (String::new(), String::new());
    while !(text.contains("Listening on: ") && text.contains("pid ")) {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut output, &mut line).unwrap() > 0, "{text}");
        text += &line;
    }
    shell.kill().unwrap();
    shell.wait().unwrap();
    // Its end closes the pipe.
    std::io::Read::read_to_string(&mut output, &mut text).unwrap();
    assert!(std::net::UdpSocket::bind(&udp).is_ok(), "the port is free");
}
