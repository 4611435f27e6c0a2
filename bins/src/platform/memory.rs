//! The allocator below the program's own count of its memory.

/// Allocator of the system.
#[cfg(not(target_env = "musl"))]
pub use std::alloc::System as Allocator;

/// The algorithm that glibc's allocator descends from: musl's own one returns and requests pages so often that a tunnel takes twice
/// the processor time. It returns free memory at its end by itself.
#[cfg(target_env = "musl")]
pub use dlmalloc::GlobalDlmalloc as Allocator;

/// The allocator to use.
pub const ALLOCATOR: Allocator = Allocator;

/// Returns free memory to the system, for allocators that keep it until asked.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: no argument points anywhere, and glibc locks its own state.
    unsafe {
        libc::malloc_trim(0);
    }
}
