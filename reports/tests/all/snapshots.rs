//! Help and Markdown pages of karst-report, compared with `snapshots/`. After an intended change,
//! `INSTA_UPDATE=always cargo test --profile ci -p reports --test all snapshots::` rewrites them; review the difference.

use crate::common::{report, text};
use insta::assert_snapshot;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");

#[test]
fn help() {
    assert_snapshot!("help", text(&report(&["--help"])));
    for command in ["html", "md", "bench", "lines"] {
        assert_snapshot!(format!("help_{command}"), text(&report(&[command, "--help"])));
    }
}

#[test]
fn markdown_pages() {
    assert_snapshot!("performance", text(&report(&["md", &format!("{DATA}/bench.json")])));
    assert_snapshot!("lossy_lines", text(&report(&["md", &format!("{DATA}/lines.json")])));
}
