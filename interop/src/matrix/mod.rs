//! The matrix: cases between all clients and all servers, with a reference pair as the control of each case, and deliberate
//! faults that the judge must find. Nothing here depends on the implementation under test except kcptun's flags.

mod case;
mod cases;
mod cell;
mod cover;
mod judge;
mod junit;
mod launcher;
mod path;
mod placed;
mod ratchet;
mod run;

pub use case::Case;
pub use cases::{all, core};
pub use cell::{Cell, Fault, Ran, verdict};
pub use cover::pairwise;
pub use judge::{Dialer, Finding, Head, Task, Tunnel, Ways, Why, Workload, dialer, judge};
pub use junit::junit;
pub use launcher::{Launcher, Order};
pub use path::{MOVES, PATHS, conditions};
pub use ratchet::Ratchet;
pub use run::{Matrix, Progress};

/// The key of all programs.
pub const KEY: &str = "interoperability";
