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

/// The first difference between a trace and what the engine did.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Mismatch {
    /// Line of the trace, counted from 1 (line 1 is the header).
    pub line: usize,
    /// What differs, with a readable form of both sides: `recorded ..., engine ...`.
    pub what: String,
}

/// What came out of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Everything that was compared is equal.
    Pass {
        /// Events, datagrams and figures that were compared.
        compared: usize,
        /// Recorded things that were not looked at, if there are any.
        unchecked: Option<&'static str>,
    },
    /// The first difference.
    Fail {
        /// Where and what, readable.
        why: String,
    },
    /// The case needs something that the engine does not speak; it was not judged.
    Unsupported {
        /// What it needs, by the name of the dialect.
        why: String,
    },
    /// The file could not be read: truncated, not what it says it is. Counts as a failure.
    Broken {
        /// What is wrong with the file.
        why: String,
    },
}

impl Verdict {
    /// True for the verdicts that must turn a run red.
    pub const fn is_red(&self) -> bool {
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
    /// What came out.
    pub verdict: Verdict,
}
