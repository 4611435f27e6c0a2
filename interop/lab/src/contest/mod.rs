//! Comparison of kernel TCP and pairs of kcptun programs: the same workloads over the same emulated path.

mod flags;
mod summary;
mod supervisor;
mod together;
mod trial;

pub use flags::flags;
pub use summary::{Row, Summary};
pub use together::together;
pub use trial::{Contestant, TrialOutcome, over_network, over_relay, useful};
