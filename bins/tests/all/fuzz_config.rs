//! Every committed input of the fuzz targets for the programs' parsers, replayed.

use crate::{json_body, proxy_body};
use std::path::Path;

/// The same, for the tests of other layers: interop/tests/all/fuzz_corpus.rs.
fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../interop/fuzz/corpus").join(target);
    let mut bytes = 0;
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!((1..=100).contains(&files.len()), "{target}: {} files", files.len());
    for file in files {
        let data = std::fs::read(&file).unwrap();
        bytes += data.len();
        if std::panic::catch_unwind(|| body(&data)).is_err() {
            panic!("{} fails the fuzz body", file.display());
        }
    }
    assert!(bytes <= 300 * 1024, "{target}: {bytes} bytes");
}

#[test]
fn every_configuration_satisfies_the_fuzz_body() {
    replay("json_config", json_body::json_config);
}

/// CLI-115, CLI-116
#[test]
fn every_socks_request_satisfies_the_fuzz_body() {
    replay("socks_request", proxy_body::socks_request);
}

/// CLI-117
#[test]
fn every_http_head_satisfies_the_fuzz_body() {
    replay("http_head", proxy_body::http_head);
}
