//! The same load over the same bad network by different means, measured alike: kernel TCP, pairs of kcptun programs.

mod flags;
mod summary;
mod supervisor;
mod together;
mod trial;

pub use flags::flags;
pub use summary::{Row, Summary};
pub use together::together;
pub use trial::{Contestant, Trial, over_network, over_relay, useful};
