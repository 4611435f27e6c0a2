//! Help and errors of the programs, compared with `snapshots/`. After an intended change,
//! `INSTA_UPDATE=always cargo test --profile ci -p bins --test all snapshots::` rewrites them; review the difference.

use insta::assert_snapshot;
use std::path::Path;
use std::process::Command;

const PROGRAMS: [(&str, &str); 2] =
    [("client", env!("CARGO_BIN_EXE_karst-client")), ("server", env!("CARGO_BIN_EXE_karst-server"))];

/// Both outputs and the exit status, 124 for a program that keeps running.
fn run(path: &str, args: &[&str]) -> String {
    let mut command = Command::new("timeout");
    command.env_remove("KCPTUN_KEY").current_dir(env!("CARGO_TARGET_TMPDIR")).args(["10", path]).args(args);
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    format!("{text}exit status {}\n", output.status.code().unwrap())
}

#[test]
fn help() {
    for (side, path) in PROGRAMS {
        assert_snapshot!(format!("{side}_help"), run(path, &["--help"]));
        assert_snapshot!(format!("{side}_help_all"), run(path, &["--help-all"]));
        assert_snapshot!(format!("{side}_man"), run(path, &["--man"]));
    }
}

/// Name of the snapshot, and options that are refused.
const REFUSED: [(&str, &[&str]); 10] = [
    ("unknown_option", &["--sndwind", "1"]),
    ("unknown_cipher", &["--crypt", "rot13"]),
    ("unknown_format", &["--log-format", "xml"]),
    ("unknown_smux_version", &["--smuxver", "9"]),
    ("not_a_number", &["--mtu", "large"]),
    ("not_a_boolean", &["--quiet=maybe"]),
    ("too_many_shards", &["--datashard", "300"]),
    ("no_value", &["--key"]),
    ("bad_address", &["--listen", "nowhere"]),
    ("bad_port_range", &["--listen", ":5000-4000"]),
];

/// Name of the snapshot, and a refused file of options.
const REFUSED_FILES: [(&str, &str); 2] =
    [("not_json", "{ \"mtu\": }"), ("wrong_type", "{ \"mtu\": \"large\" }")];

#[test]
fn refusals() {
    let (_, path) = PROGRAMS[1];
    for (name, words) in REFUSED {
        assert_snapshot!(format!("refused_{name}"), run(path, words));
    }
    for (name, json) in REFUSED_FILES {
        let file = format!("refused-{name}.json");
        std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(&file), json).unwrap();
        assert_snapshot!(format!("refused_file_{name}"), run(path, &["-c", &file]));
    }
    assert_snapshot!("refused_file_missing", run(path, &["-c", "no-such-file.json"]));
}
