//! Tests of sim: one program, to link once; one behaviour per file.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod adversary;
mod auto;
mod baseline;
mod command;
mod common;
mod determinism;
mod expect;
mod explain;
mod faults;
mod figures;
mod gate;
mod hosts;
mod keys;
mod limits;
mod link;
mod link_copies;
mod link_delay;
mod link_loss;
mod link_policer;
mod link_queue;
mod liveness;
mod memory;
mod options;
mod planted;
mod record;
mod run;
mod scenario;
mod schema;
mod shrink;
mod snapshots;
mod tcp;
mod work_keys;
mod work_requests;
mod work_streams;
