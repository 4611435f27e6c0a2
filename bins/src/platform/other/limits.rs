//! Open descriptors: Windows has no limit of sockets.

/// Descriptors that this process may have open; `None` for any number.
pub(crate) const fn descriptors() -> Option<u64> {
    None
}

/// The number to which [`raise_descriptors`] raises it.
pub(crate) const fn descriptors_max() -> Option<u64> {
    None
}

/// Changes nothing.
pub(crate) const fn raise_descriptors() {}
