//! CPU profiles for `go tool pprof` and its relatives (CLI-42; github.com/google/pprof proto/profile.proto).
//!
//! Only in builds with the feature `profile`: the profiler keeps the names of all functions, some 100 MB, until the program ends.

#[cfg(feature = "profile")]
mod recorder;

use crate::net::http::Page;

/// Whether profiles can be taken.
pub const AVAILABLE: bool = cfg!(feature = "profile");

/// What Go's profiler assumes when no duration is given.
const SECONDS_DEFAULT: u64 = 30;
const SECONDS_MAX: u64 = 300;

/// The page of a path and query: `/debug/pprof/profile?seconds=N`.
pub async fn page(target: &str) -> Page {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if path.trim_end_matches('/') == "/debug/pprof" {
        return Page::text("200 OK", "profile?seconds=N: CPU profile for pprof");
    }
    if path != "/debug/pprof/profile" {
        return Page::text("404 Not Found", "only /debug/pprof/profile?seconds=N");
    }
    let given = query.split('&').find_map(|pair| pair.strip_prefix("seconds="));
    match given.map_or(Ok(SECONDS_DEFAULT), str::parse) {
        Ok(seconds @ 1..=SECONDS_MAX) => record(seconds).await,
        _ => Page::text("400 Bad Request", &format!("seconds must be from 1 to {SECONDS_MAX}")),
    }
}

#[cfg(feature = "profile")]
use recorder::record;

#[cfg(not(feature = "profile"))]
async fn record(_seconds: u64) -> Page {
    Page::text("501 Not Implemented", "this build has no profiler: build with --features profile")
}
