//! Every committed fuzz input, replayed by the bodies the fuzzer calls.

use interop::fuzz::{TARGETS, run};
use std::path::{Path, PathBuf};

/// Limits on number and size of inputs, for readable corpora and a quick test.
const FILES_MAX: usize = 100;
const BYTES_MAX: usize = 300 * 1024;

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_input_satisfies_the_assertions() {
    for name in TARGETS.map(|target| target.name) {
        let files = corpus(name);
        assert!(!files.is_empty(), "no corpus for {name}");
        for file in files {
            let data = std::fs::read(&file).unwrap();
            if std::panic::catch_unwind(|| run(name, &data)).is_err() {
                panic!("{} breaks a promise", file.display());
            }
        }
    }
}

#[test]
fn corpora_stay_small() {
    for name in TARGETS.map(|target| target.name) {
        let sizes: Vec<_> = corpus(name).iter().map(|file| file.metadata().unwrap().len() as usize).collect();
        let bytes: usize = sizes.iter().sum();
        assert!(
            sizes.len() <= FILES_MAX && bytes <= BYTES_MAX,
            "{name}: {} files, {bytes} bytes",
            sizes.len()
        );
    }
}

/// Scripts that no fuzzer chose, for the dialects whose corpora are young.
#[test]
fn random_scripts_satisfy_the_assertions() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    for round in 0..1500 {
        let mut data: Vec<u8> = (0..600).map(|_| byte()).collect();
        if round % 3 > 0 {
            // Operations 14 and 15 speak for a peer, after which less can be asserted.
            data.iter_mut().for_each(|byte| *byte &= if *byte & 14 == 14 { !8 } else { 255 });
        }
        for name in ["smuxb", "yamux"] {
            run(name, &data);
        }
    }
}
