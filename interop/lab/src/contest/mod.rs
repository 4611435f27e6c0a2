//! The same workloads over the same emulated path, carried by kernel TCP and by pairs of kcptun programs.

mod flags;
mod summary;
mod supervisor;
mod together;
mod trial;

pub use flags::flags;
pub use summary::{Row, Summary};
pub use together::together;
pub use trial::{Contestant, Trial, over_network, over_relay, useful};
