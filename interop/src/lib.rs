//! Conformance of karst with real Go kcptun: golden replay, the live matrix, the real-time impairment relay.

pub mod contest;
pub mod fuzz;
pub mod golden;
pub mod left_out;
pub mod line;
pub mod live;
pub mod load;
pub mod netns;
pub mod reality;
pub mod relay;
pub mod sys;
