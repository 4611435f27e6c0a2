//! The program that started this one, of which std knows nothing.

use std::future::pending;

/// No number.
pub(crate) const fn parent_id() -> u32 {
    0
}

/// Reports nothing: the program listens.
pub(crate) const fn ready() {}

/// Reports nothing: the program ends.
pub(crate) const fn stopping() {}

/// Never returns: hosts on Windows end their plugins, or have a job object do it.
pub(crate) async fn end_with_parent(_parent: u32) {
    pending().await
}
