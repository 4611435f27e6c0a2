//! Memory of threads that do not serve sessions: the profiler's, which keeps the names of all functions.

use cap::Cap;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};

static BYTES: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    static IS_OUTSIDE: Cell<bool> = const { Cell::new(false) };
}

/// What threads outside hold.
pub(super) fn bytes() -> usize {
    usize::try_from(BYTES.load(Relaxed)).unwrap_or(0)
}

fn count(bytes: isize) {
    // A thread that ends has no flag any more.
    if IS_OUTSIDE.try_with(Cell::get).unwrap_or(false) {
        BYTES.fetch_add(bytes, Relaxed);
    }
}

/// While it exists, memory of this thread counts as outside: what it takes, less what it gives back.
#[derive(Debug)]
pub struct Outside(());

impl Outside {
    /// From here on.
    pub fn begin() -> Self {
        IS_OUTSIDE.set(true);
        Self(())
    }

    /// A buffer of that size goes to another thread, which frees it.
    pub fn hand_over(&mut self, bytes: usize) {
        BYTES.fetch_sub(isize::try_from(bytes).unwrap_or(0), Relaxed);
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        IS_OUTSIDE.set(false);
    }
}

/// Passes every call on and counts.
pub(super) struct Counting(pub(super) Cap<System>);

impl Counting {
    pub(super) fn allocated(&self) -> usize {
        self.0.allocated()
    }
}

// SAFETY: every call goes to the allocator inside with the arguments given, and its result is returned as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of the same method.
        let block = unsafe { self.0.alloc(layout) };
        if !block.is_null() {
            count(layout.size().cast_signed());
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { self.0.dealloc(block, layout) };
        count(-layout.size().cast_signed());
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let block = unsafe { self.0.alloc_zeroed(layout) };
        if !block.is_null() {
            count(layout.size().cast_signed());
        }
        block
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        let moved = unsafe { self.0.realloc(block, layout, size) };
        if !moved.is_null() {
            count(size.cast_signed() - layout.size().cast_signed());
        }
        moved
    }
}
