//! Tests of reports: one program, to link once; one behaviour per file.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod bench;
mod common;
mod conformance;
mod follow;
mod instructions;
mod lossy;
mod page;
mod performance;
mod report;
mod snapshots;
