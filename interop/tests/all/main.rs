//! Tests of interop: one program, to link once; one behaviour per file.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod decode;
mod differ;
mod fuzz_corpus;
mod golden_captures;
mod golden_fec;
mod golden_kcp;
mod golden_smux;
mod left_out;
mod live;
mod matrix;
mod netns_program;
mod probe;
mod relay_program;
mod snapshots;
mod work_per_frame;
