//! The memory of the program.

use cap::Cap;
use std::alloc::System;

/// The system's allocator, counting what is in use.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Memory in use by the program's own data, without what the allocator keeps.
pub fn heap_bytes() -> usize {
    ALLOCATOR.allocated()
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
