//! Errors by their numbers (winerror.h).

use std::io;

const WSAEPROTONOSUPPORT: i32 = 10_043;
const WSAEAFNOSUPPORT: i32 = 10_047;
const WSAEADDRNOTAVAIL: i32 = 10_049;

/// Whether this machine lacks the family of an address: there may be another address.
pub(crate) fn lacks_family(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(WSAEAFNOSUPPORT | WSAEADDRNOTAVAIL | WSAEPROTONOSUPPORT))
}
