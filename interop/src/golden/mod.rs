//! Replay of data recorded from real Go programs: captures of kcptun pairs and traces of kcp-go, its FEC and smux.
//!
//! One case gives one [`Case`] with a [`Verdict`]. Files that are neither captures nor traces are ignored.

use std::path::PathBuf;

pub mod capture;
mod event;
pub mod fec;
mod find;
pub mod kcp;
mod report;
pub mod smux;

pub use find::{Found, find};
pub use report::{Report, Totals};

/// The first difference between a trace and the engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {difference}")]
pub struct Mismatch {
    /// Line of the trace, counted from 1 (line 1 is the header).
    pub line: usize,
    /// The difference, with both values: `recorded ..., engine ...`.
    pub difference: String,
}

/// Result of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// All comparisons are equal.
    Pass {
        /// Events, datagrams and figures that were compared.
        compared: usize,
        /// Recorded data that is not compared, if any.
        unchecked: Option<&'static str>,
    },
    /// The first difference.
    Fail {
        /// Place and values of the difference.
        why: String,
    },
    /// The engine lacks a dialect of the case, which was not compared.
    Unsupported {
        /// Name of the dialect.
        why: String,
    },
    /// The file is unreadable, truncated or malformed. Counts as a failure.
    Broken {
        /// Defect of the file.
        why: String,
    },
}

impl Verdict {
    /// Whether the verdict fails the run.
    pub const fn is_failure(&self) -> bool {
        matches!(self, Self::Fail { .. } | Self::Broken { .. })
    }
}

/// One recorded case and its verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The file that names the case (`NAME.json` or `NAME.jsonl.gz`).
    pub path: PathBuf,
    /// The `format` of the file, for instance `kcp-trace-1`.
    pub format: String,
    /// Result of the case.
    pub verdict: Verdict,
}
