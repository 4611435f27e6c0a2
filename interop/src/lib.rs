//! Conformance of karst with real Go kcptun: golden replay, fuzzing, the live matrix.

pub mod decode;
pub mod differ;
pub mod fuzz;
pub mod golden;
pub mod live;
pub mod matrix;
pub mod probe;

mod content;
mod junit;
mod program;

pub use program::Program;
