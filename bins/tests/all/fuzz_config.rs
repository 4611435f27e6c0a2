//! Every committed input of the JSON reader's fuzz target, replayed.

use crate::json_body;
use std::path::Path;

#[test]
fn every_input_satisfies_the_fuzz_body() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../interop/fuzz/corpus/json_config");
    let mut bytes = 0;
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!((1..=100).contains(&files.len()), "{} files", files.len());
    for file in files {
        let data = std::fs::read(&file).unwrap();
        bytes += data.len();
        if std::panic::catch_unwind(|| json_body::json_config(&data)).is_err() {
            panic!("{} fails the fuzz body", file.display());
        }
    }
    assert!(bytes <= 300 * 1024, "{bytes} bytes");
}
