//! Help, reports, explanations and errors of karst-sim, compared with `snapshots/`. After an intended change,
//! `INSTA_UPDATE=always cargo test --profile ci -p sim --test all snapshots::` rewrites them; review the difference.

use insta::assert_snapshot;
use std::path::{Path, PathBuf};
use std::process::Command;

const SCENARIOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios");

/// Both outputs of karst-sim in `folder`, without the times of this machine.
fn karst_sim(folder: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_karst-sim")).current_dir(folder).args(args).output();
    let output = output.expect("karst-sim starts");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    let without_clock = |line: &str| match line.split_once(" events, ") {
        Some((before, rest)) if rest.contains(" s real") => format!("{before} events\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(without_clock).collect()
}

#[test]
fn help() {
    let folder = Path::new(SCENARIOS);
    assert_snapshot!("help", karst_sim(folder, &["--help"]));
    for command in ["run", "list", "compare", "explain", "pins", "swarm", "shrink", "schema", "trace"] {
        assert_snapshot!(format!("help_{command}"), karst_sim(folder, &[command, "--help"]));
    }
}

#[test]
fn reports() {
    let folder = Path::new(SCENARIOS);
    assert_snapshot!("report_lossy_adsl", karst_sim(folder, &["lossy-adsl.json"]));
    assert_snapshot!("report_over_tcp", karst_sim(folder, &["lossy-adsl.json", "--tcp"]));
    assert_snapshot!("report_of_seeds", karst_sim(folder, &["lossy-adsl.json", "--seeds", "1..4"]));
}

#[test]
fn explanations() {
    let explain = |words: &[&str]| {
        karst_sim(
            Path::new(SCENARIOS),
            &[&["explain", "lossy-adsl.json", "--side", "client"], words].concat(),
        )
    };
    assert_snapshot!("explain_segment", explain(&["--sn", "412"]));
    assert_snapshot!("explain_stream", explain(&["--stream", "5"]));
    assert_snapshot!("explain_moment", explain(&["--at", "1500.5"]));
}

/// Name of the snapshot, and a refused scenario.
const REFUSED: [(&str, &str); 9] = [
    ("not_json", "{ \"seed\": }"),
    ("not_an_object", "[]"),
    ("unknown_key", "{ \"sead\": 1 }"),
    ("wrong_type", "{ \"seed\": true }"),
    ("unknown_link_key", "{ \"links\": { \"up\": { \"rate\": 1 } } }"),
    ("negative_rate", "{ \"links\": { \"up\": { \"rate_kbit\": -1 } } }"),
    ("loss_above_all", "{ \"links\": { \"up\": { \"loss_pct\": 101 } } }"),
    ("unknown_mode", "{ \"client\": { \"mode\": \"faster\" } }"),
    ("unknown_workload", "{ \"workloads\": [ { \"bulky\": {} } ] }"),
];

#[test]
fn refusals() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    for (name, scenario) in REFUSED {
        let file = format!("refused-{name}.json");
        std::fs::write(folder.join(&file), scenario).unwrap();
        assert_snapshot!(format!("refused_{name}"), karst_sim(&folder, &[&file]));
    }
    assert_snapshot!("refused_missing_file", karst_sim(&folder, &["no-such-file.json"]));
    assert_snapshot!("refused_command", karst_sim(&folder, &["explain", "lossy-adsl.json"]));
}
