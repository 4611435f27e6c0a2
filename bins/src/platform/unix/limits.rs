//! Open descriptors.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that this process may have open; `None` for any number.
pub(crate) fn descriptors() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// The number to which [`raise_descriptors`] raises it.
pub(crate) fn descriptors_max() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// Raises the limit to what the system allows, as Go's runtime does.
pub(crate) fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    // Without more descriptors the program works with those it has.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
