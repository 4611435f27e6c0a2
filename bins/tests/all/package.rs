//! The files of the Debian package (CLI-97). ci/deb-test.sh installs the package itself.
use crate::common::skipped;
use bins::config::{Command, load};
use bins::flags::Side;
use std::path::{Path, PathBuf};
use std::process;

fn repository(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", path].iter().collect()
}

fn text(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

// CLI-97
#[test]
fn every_asset_exists_or_is_made_by_the_script() {
    let (manifest, script) = (text("bins/Cargo.toml"), text("ci/deb.sh"));
    let assets: Vec<&str> =
        manifest.lines().filter_map(|line| line.trim().strip_prefix("[\"")?.split('"').next()).collect();
    assert!(assets.len() > 20, "{assets:?}");
    for asset in assets {
        match asset.strip_prefix("../target/package/") {
            Some(made) => {
                let folder = made.split('/').next().unwrap();
                assert!(script.contains(folder), "ci/deb.sh does not make {asset}");
            }
            None => {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(asset.split('*').next().unwrap());
                assert!(path.exists(), "{asset}");
            }
        }
    }
}

// CLI-97
#[test]
fn the_changelog_begins_with_this_version() {
    let changelog = text("CHANGELOG.md");
    let newest = changelog.lines().find_map(|line| line.strip_prefix("## ")).unwrap();
    assert_eq!(newest.split(' ').next(), Some(bins::VERSION));
}

// CLI-97
#[test]
fn the_examples_are_valid() {
    for (side, name) in [(Side::Client, "client"), (Side::Server, "server")] {
        let path = repository(&format!("packaging/examples/{name}.json"));
        let words = ["-c".to_owned(), path.display().to_string()];
        let Ok(Command::Run(config, _, warnings)) = load(side, &words, |_| None) else { panic!("{name}") };
        assert_eq!(warnings, [""; 0]);
        assert!(config.settings.tunnel_config().is_ok());
    }
}

// CLI-97, CLI-104
#[test]
fn logrotate_has_the_log_opened_again() {
    let rules = text("packaging/debian/karst.logrotate");
    assert!(!rules.contains("copytruncate"), "lines are lost while the file is copied");
    for side in ["client", "server"] {
        assert!(rules.contains(&format!("'karst-{side}@*.service'")) && rules.contains("--signal=HUP"));
        assert!(text(&format!("packaging/systemd/karst-{side}@.service")).contains("kill -HUP $MAINPID"));
    }
}

// CLI-97
#[test]
fn the_units_confine_the_programs() {
    for side in ["client", "server"] {
        let path = format!("packaging/systemd/karst-{side}@.service");
        let unit = text(&path);
        for line in ["Type=notify", "DynamicUser=yes", "LimitNOFILE=1048576", "CapabilityBoundingSet="] {
            assert!(unit.lines().any(|found| found == line), "{path}: no {line}");
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("units");
        std::fs::create_dir_all(&folder).unwrap();
        let copy = folder.join(format!("karst-{side}@.service"));
        std::fs::write(&copy, unit).unwrap();
        let mut command = process::Command::new("systemd-analyze");
        command.args(["security", "--offline=yes", "--no-pager", "--threshold=15"]).arg(&copy);
        let Ok(output) = command.env("SYSTEMD_COLORS", "0").output() else {
            return skipped("exposure of the units", "systemd-analyze is not installed");
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
