//! CPU profiles for `go tool pprof` and its relatives (CLI-42; github.com/google/pprof proto/profile.proto).
//!
//! Only in builds with the feature `profile`: the profiler keeps the names of all functions, some 100 MB, until the program ends.

use crate::net::http::Page;
use crate::platform;

/// Whether profiles can be taken.
pub const AVAILABLE: bool = platform::profile::AVAILABLE;

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

async fn record(seconds: u64) -> Page {
    match platform::profile::record(seconds).await {
        Ok(body) => Page { status: "200 OK", kind: "application/octet-stream", body },
        Err(error) if AVAILABLE => Page::text("503 Service Unavailable", &error),
        Err(error) => Page::text("501 Not Implemented", &error),
    }
}
