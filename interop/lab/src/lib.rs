//! Real programs in real time: emulated paths, network namespaces, processes, load generators, measurements.
//!
//! `interop` (command line, live pairs) and `reports` (rendering) use it; it renders nothing itself.

pub mod conformance;
pub mod contest;
pub mod left_out;
pub mod load;
pub mod measure;
pub mod mihomo;
pub mod netns;
pub mod pair;
pub mod path;
pub mod peers;
pub mod ports;
pub mod probe;
pub mod process;
pub mod reality;
pub mod relay;
pub mod results;
pub mod shell;
pub mod sys;
