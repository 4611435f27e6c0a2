use super::{Event, EventKind, FORMAT, Header};
use crate::Outcome;
use std::io::{self, BufRead};

/// A recorded run, in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// Scenario, seed and options.
    pub header: Header,
    /// The events, in order.
    pub events: Vec<Event>,
}

/// Why a recording was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// A line is not valid.
    #[error("line {line}: {reason}")]
    Line {
        /// Line number, from 1.
        line: usize,
        /// The reason.
        reason: String,
    },
}

impl Recording {
    /// Whether the first bytes of a file are those of a recording rather than a scenario.
    pub fn is_one(start: &str) -> bool {
        start.lines().next().is_some_and(|line| line.contains("\"karst-events/"))
    }

    /// Reads a recording as [`super::Files`] writes it. Unknown keys and events, which later versions may add, are skipped.
    ///
    /// # Errors
    /// It cannot be read, is of another format, or is cut off within a line.
    pub fn read(from: impl BufRead) -> Result<Self, RecordingError> {
        let mut lines = from.lines();
        let refused = |line, reason: String| RecordingError::Line { line, reason };
        let first = lines.next().transpose()?.unwrap_or_default();
        let header: Header = serde_json::from_str(&first).map_err(|error| refused(1, error.to_string()))?;
        if header.format != FORMAT {
            return Err(refused(1, format!("format: is `{}`, not `{FORMAT}`", header.format)));
        }
        let mut events = Vec::new();
        for (number, line) in lines.enumerate() {
            let event: Result<Event, _> = serde_json::from_str(&line?);
            let event = event.map_err(|error| refused(number + 2, error.to_string()))?;
            events.extend((event.kind != EventKind::Other).then_some(event));
        }
        Ok(Self { header, events })
    }

    /// Time of the last event, microseconds.
    pub fn end_us(&self) -> u64 {
        self.events.iter().map(|event| event.t).max().unwrap_or(0)
    }

    /// The outcome of the run; `None` when the recording was cut off.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.events.iter().rev().find_map(|event| match &event.kind {
            EventKind::Outcome { run } => Some(&**run),
            _ => None,
        })
    }
}
