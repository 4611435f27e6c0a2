//! Output for operators: log files, counters, the dump on SIGUSR1.
use crate::common;
use crate::common::{
    PATIENCE, Pair, Program, echo, exchange, free_udp, sample, start_client, start_server, target,
};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// Creates an empty folder `name` below the target directory.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("diagnostics").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Polls a file until `good` accepts its text; panics with the text after a time limit.
fn wait_for_file(path: &PathBuf, good: impl Fn(&str) -> bool) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if good(&text) {
            return text;
        }
        assert!(Instant::now() < until, "{}:\n{text}", path.display());
        thread::sleep(Duration::from_millis(20));
    }
}

const COLUMNS: &str = "Unix,BytesSent,BytesReceived,MaxConn,ActiveOpens,PassiveOpens,CurrEstab,InErrs,InCsumErrors,\
    KCPInErrors,InPkts,OutPkts,InSegs,OutSegs,InBytes,OutBytes,RetransSegs,FastRetransSegs,EarlyRetransSegs,LostSegs,\
    RepeatSegs,FECFullShards,FECParityShards,FECErrs,FECRecovered,FECShardSet,FECShardMin,RingBufferSndQueue,\
    RingBufferRcvQueue,RingBufferSndBuffer,OOBPackets";

// CLI-30
#[test]
fn the_log_file_is_appended_to() {
    let path = folder("log").join("karst.log");
    std::fs::write(&path, "earlier\n").unwrap();
    let words = ["-l", &free_udp().to_string(), "--log", &path.display().to_string()];
    let mut server = Program::server(&words);
    let text = wait_for_file(&path, |text| text.contains("Listening on: "));
    assert!(text.starts_with("earlier\n2"), "{text}");
    server.signal(libc::SIGTERM);
    assert!(server.wait(PATIENCE).unwrap().success());
    assert_eq!(server.log(), "");
}

// CLI-30, CLI-8
#[test]
fn a_log_file_that_cannot_be_opened_is_named_in_one_line() {
    let path = folder("refused").join("missing").join("karst.log").display().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_karst-client")).args(["--log", &path]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    let reason = "No such file or directory (os error 2)";
    assert_eq!(text, format!("karst-client: --log {path}: cannot be opened: {reason}\n"));
}

// CLI-30
#[test]
fn json_lines_are_objects() {
    let server = Program::server(&["-l", &free_udp().to_string(), "--log-format", "json"]);
    for line in server.wait_for("Listening on: ").lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(value["message"].is_string() && value["time"].is_string(), "{line}");
    }
}

// CLI-31, CLI-7: rows of a client and a server that carried a transfer.
#[test]
fn counters_are_appended_to_a_file_named_by_the_time() {
    let folder = folder("snmp");
    let layout = |side: &str| folder.join(format!("{side}-2006.csv")).display().to_string();
    let udp = free_udp();
    let common = ["--snmpperiod", "1", "--snmplog"];
    let server = start_server(target(echo), udp, &[&common[..], &[&layout("server")]].concat());
    let (client, local) = start_client(udp, &[&common[..], &[&layout("client")]].concat());
    let data = sample(1, 300_000);
    assert_eq!(exchange(common::connect(local), data.clone()), data);
    let files: Vec<(String, &str)> = [("server", "0,1"), ("client", "1,0")]
        .map(|(side, opens)| {
            let year = std::str::from_utf8(&Command::new("date").arg("+%Y").output().unwrap().stdout)
                .unwrap()
                .trim()
                .to_owned();
            let path = folder.join(format!("{side}-{year}.csv"));
            let rows = |text: &str| text.lines().skip(1).any(|row| row.split(',').nth(3) == Some("1"));
            (wait_for_file(&path, |text| text.ends_with('\n') && rows(text)), opens)
        })
        .into();
    for (text, opens) in files {
        assert_eq!(text.lines().next().unwrap(), COLUMNS);
        assert_eq!(text.matches("Unix").count(), 1, "{text}");
        let last: Vec<&str> = text.lines().last().unwrap().split(',').collect();
        assert_eq!(last.len(), 31);
        assert_eq!(last[3..7].join(","), format!("1,{opens},1"), "{text}");
        assert!(last[10].parse::<u64>().unwrap() > 100, "InPkts of {text}");
    }
    drop((client, server));
}

// CLI-31
#[test]
fn a_failed_row_is_logged_and_retried() {
    let folder = folder("retry").join("later");
    let path = folder.join("x.csv");
    let words = ["-l", &free_udp().to_string(), "--snmpperiod=1", "--snmplog", &path.display().to_string()];
    // What cannot be written at start is rejected (CLI-82); this is lost later.
    std::fs::create_dir(&folder).unwrap();
    let server = Program::server(&words);
    server.wait_for("Listening on: ");
    std::fs::remove_dir_all(&folder).unwrap();
    server.wait_for("snmp logger: No such file or directory");
    std::fs::create_dir(&folder).unwrap();
    wait_for_file(&path, |text| text.lines().count() > 1);
}

// CLI-33, CLI-7
#[test]
fn sigusr1_dumps_the_counters() {
    let pair = Pair::start(target(echo), &["--nocomp"]);
    let data = sample(2, 100_000);
    assert_eq!(exchange(pair.connect(), data.clone()), data);
    pair.client.signal(libc::SIGUSR1);
    let log = pair.client.wait_for("KCP SNMP:&{");
    let dump = log.lines().find_map(|line| line.split_once("KCP SNMP:&{")).unwrap().1.trim_end_matches('}');
    let fields: Vec<(&str, u64)> = dump
        .split(' ')
        .map(|field| field.split_once(':').map(|(n, v)| (n, v.parse().unwrap())).unwrap())
        .collect();
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let expected = "BytesSent BytesReceived MaxConn ActiveOpens PassiveOpens CurrEstab InErrs InCsumErrors KCPInErrors \
        InPkts OutPkts InSegs OutSegs InBytes OutBytes RetransSegs FastRetransSegs EarlyRetransSegs LostSegs RepeatSegs \
        FECFullShardSet FECRecovered FECErrs FECParityShards FECShardSet FECShardMin RingBufferSndQueue \
        RingBufferRcvQueue RingBufferSndBuffer OOBPackets";
    assert_eq!(names.join(" "), expected);
    let value = |wanted: &str| fields.iter().find(|(name, _)| *name == wanted).unwrap().1;
    assert!((100_000..200_000).contains(&value("BytesSent")), "{dump}");
    assert!((100_000..200_000).contains(&value("BytesReceived")), "{dump}");
    assert_eq!((value("ActiveOpens"), value("CurrEstab"), value("MaxConn")), (1, 1, 1));
}
