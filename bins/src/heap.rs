//! The memory of the program.

use crate::platform::memory::{ALLOCATOR as BELOW, Allocator};
use cap::Cap;

/// The allocator, counting what is in use.
#[global_allocator]
static ALLOCATOR: Cap<Allocator> = Cap::new(BELOW, usize::MAX);

/// Memory in use by the program's own data, without what the allocator keeps.
pub fn heap_bytes() -> usize {
    ALLOCATOR.allocated()
}
