//! Conformance of karst with real Go kcptun: golden replay, the live matrix, the real-time impairment relay.

pub mod fuzz;
pub mod golden;
pub mod live;
pub mod relay;
