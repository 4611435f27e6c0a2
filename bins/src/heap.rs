//! The memory of the program.

use cap::Cap;
use std::alloc::System;

#[cfg(feature = "profile")]
mod outside;

#[cfg(feature = "profile")]
pub use outside::Outside;

/// The system's allocator, counting what is in use.
#[cfg(not(feature = "profile"))]
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// The same, which also counts what has nothing to do with sessions.
#[cfg(feature = "profile")]
#[global_allocator]
static ALLOCATOR: outside::Counting = outside::Counting(Cap::new(System, usize::MAX));

/// Memory in use by the program's own data, without what the allocator keeps.
pub fn heap_bytes() -> usize {
    ALLOCATOR.allocated()
}

/// The part of it that ends with the sessions, apart from what the program started with (CLI-54).
pub fn session_bytes() -> usize {
    #[cfg(feature = "profile")]
    return heap_bytes().saturating_sub(outside::bytes());
    #[cfg(not(feature = "profile"))]
    heap_bytes()
}

/// Gives free memory back to the system, where the allocator can.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no argument points anywhere, and glibc locks its own state.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Resident memory of this process, 0 where the system does not tell.
pub fn memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    kib.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}
