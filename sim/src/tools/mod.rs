//! Tools over runs: explanations, random scenarios, minimized failures, and the comparison of repeated runs.

pub mod explain;
pub mod gate;
pub mod shrink;
pub mod swarm;
