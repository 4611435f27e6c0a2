//! Tests of bins: one program, to link once; one behaviour per file.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod addresses;
mod black_hole;
mod blocked_log;
mod check;
mod common;
mod cures;
mod dashboards;
mod dead_server;
mod diagnostics;
mod dialects;
mod doubles;
mod first_contact;
mod flags;
mod forged;
mod front_ends;
mod fuzz_config;
mod json;
mod json_body;
mod limits;
mod log_events;
mod memory;
mod monitoring;
mod package;
mod peers;
mod platforms;
mod plugin;
#[cfg(feature = "profile")]
mod profiles;
mod proxies;
mod proxy_body;
mod replays;
mod simulated;
mod snapshots;
mod stalled;
mod startup;
mod surface;
mod targets;
mod truncation;
mod tunnel;
mod udp;
