//! What is made of runs: explanations, random scenarios, smaller failures, and the check that runs repeat.

pub mod explain;
pub mod gate;
pub mod shrink;
pub mod swarm;
