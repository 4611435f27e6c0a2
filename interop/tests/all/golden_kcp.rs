//! Every recorded behaviour of kcp-go's KCP is reproduced byte for byte (KCP-1 to KCP-21).
use flate2::read::GzDecoder;
use interop::golden::kcp::replay;
use std::io::Read;
use std::path::{Path, PathBuf};

fn traces() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/golden/kcp-traces");
    let entries = std::fs::read_dir(dir).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "gz"));
    paths.sort();
    paths
}

fn text(path: &Path) -> String {
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

/// Which recordings hold each rule: they are the tests that cite it.
const COVERAGE: &[(&str, &[&str])] = &[
    ("KCP-1", &["mode-fast", "malformed-input"]),
    ("KCP-2", &["ts-wrap", "sn-wrap"]),
    ("KCP-3", &["fragments", "random-ops-1"]),
    ("KCP-4", &["kcp-defaults", "mtu-50", "settings-change", "server-late-settings"]),
    ("KCP-5", &["stream-coalesce"]),
    ("KCP-6", &["slow-reader", "window-asymmetric"]),
    ("KCP-7", &["zero-window-lossy"]),
    ("KCP-8", &["ack-clocking", "random-ops-2"]),
    ("KCP-9", &["zero-window-probe", "zero-window-lossy"]),
    ("KCP-10", &["ack-clocking", "duplicate-heavy"]),
    ("KCP-11", &["reorder-heavy", "outages", "dead-link-nodelay0", "dead-link-nodelay1"]),
    ("KCP-12", &["update-check", "update-10ms-clock-jumps", "clean-fast2"]),
    ("KCP-13", &["cwnd-manual-default", "cwnd-nodelay-resend2", "cwnd-resend1-reorder"]),
    ("KCP-14", &["rtt-steps", "rtt-zero"]),
    ("KCP-15", &["slow-reader", "fragments", "fragments-exceed-window"]),
    ("KCP-16", &["window-4", "duplicate-heavy", "window-2048"]),
    ("KCP-17", &["reorder-heavy"]),
    ("KCP-18", &["outages"]),
    ("KCP-19", &["fec-recovered-input"]),
    ("KCP-20", &["malformed-input", "ack-nodelay"]),
    ("KCP-21", &["random-ops-1", "random-ops-2", "random-ops-3"]),
];

#[test]
fn every_rule_has_a_recording() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/golden/kcp-traces");
    for (rule, names) in COVERAGE {
        for name in *names {
            assert!(dir.join(format!("{name}.jsonl.gz")).exists(), "{rule} names {name}, which is not there");
        }
    }
}

#[test]
fn all_traces_match() {
    let traces = traces();
    assert!(traces.len() >= 30, "only {} traces found", traces.len());
    let mut failures = Vec::new();
    for path in traces {
        if let Err(mismatch) = replay(&text(&path)) {
            failures.push(format!("{}:{}: {}", path.display(), mismatch.line, mismatch.difference));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Each tampering must be found, at the line it was done or where it first shows.
#[test]
fn tampered_traces_go_red() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/golden/kcp-traces");
    let good = text(&dir.join("mode-fast.jsonl.gz"));
    let line = good.lines().position(|line| line.contains("\"out\":[\"")).unwrap();
    let tampered = |edit: &dyn Fn(&str) -> String| {
        let lines: Vec<String> =
            good.lines().enumerate().map(|(i, l)| if i == line { edit(l) } else { l.to_owned() }).collect();
        replay(&lines.join("\n")).unwrap_err()
    };
    let one_bit = tampered(&|l| {
        let at = l.find("\"out\":[\"").unwrap() + 8;
        let digit = if &l[at..=at] == "0" { "1" } else { "0" };
        format!("{}{digit}{}", &l[..at], &l[at + 1..])
    });
    assert_eq!(one_bit.line, line + 1, "{}", one_bit.difference);
    let swapped_state =
        tampered(&|l| l.replace("\"st\":[0,", "\"st\":[7,").replace("\"st\":[1,", "\"st\":[7,"));
    assert!(swapped_state.difference.contains("snd_una"), "{}", swapped_state.difference);
    let shifted_clock = tampered(&|l| {
        let t: u64 = l[5..].split(',').next().unwrap().parse().unwrap();
        l.replacen(&format!("{{\"t\":{t},"), &format!("{{\"t\":{},", t + 1), 1)
    });
    assert_eq!(shifted_clock.line, line + 1, "{}", shifted_clock.difference);
}
