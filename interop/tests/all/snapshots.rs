//! Help and output of karst-interop, compared with `snapshots/`. After an intended change,
//! `INSTA_UPDATE=always cargo test --profile ci -p interop --test all snapshots::` rewrites them; review the difference.

use insta::assert_snapshot;
use std::process::Command;

fn karst_interop(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_karst-interop"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios"))
        .args(args)
        .output()
        .unwrap();
    [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat()
}

#[test]
fn help() {
    assert_snapshot!("help", karst_interop(&["--help"]));
    for command in ["golden", "live", "matrix", "decode", "probe", "diff", "relay", "netns", "reality"] {
        assert_snapshot!(format!("help_{command}"), karst_interop(&[command, "--help"]));
    }
}

#[test]
fn verdicts() {
    assert_snapshot!("golden", karst_interop(&["golden", "golden"]));
    assert_snapshot!("golden_nothing", karst_interop(&["golden", "no-such-folder"]));
    assert_snapshot!(
        "relay_no_file",
        karst_interop(&["relay", "no-such-file.json", "--listen", ":1", "--to", ":2"])
    );
}
