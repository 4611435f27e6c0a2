//! Helpers of tests of karst-report's pages.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs karst-report.
pub(crate) fn report(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_karst-report")).args(args).output().expect("karst-report starts")
}

/// What a run that succeeded wrote.
pub(crate) fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A file of this test run.
pub(crate) fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Renders measurements as Markdown.
pub(crate) fn markdown(name: &str, measured: &Value) -> String {
    let path = file(name);
    std::fs::write(&path, measured.to_string()).unwrap();
    text(&report(&["md", path.to_str().unwrap()]))
}
