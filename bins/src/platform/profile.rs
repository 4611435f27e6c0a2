//! CPU profiles, in builds with the cargo feature `profile` on Unix.

/// Whether profiles can be taken.
pub const AVAILABLE: bool = cfg!(all(unix, feature = "profile"));

#[cfg(all(unix, feature = "profile"))]
pub use super::unix::profile::record;

/// The encoded profile of that duration.
///
/// # Errors
/// Always: this build has no profiler.
#[cfg(not(all(unix, feature = "profile")))]
pub async fn record(_seconds: u64) -> Result<Vec<u8>, String> {
    std::future::ready(Err("this build has no profiler: build with --features profile".into())).await
}
