//! Tests of lab: one program, to link once; one behaviour per file.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod left_out;
mod load;
mod netns;
mod reality;
mod relay;
