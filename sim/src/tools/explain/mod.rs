//! Explanations as text: the events of a segment, of a stream or around a moment of a recorded run, with their causes.

mod contents;
mod index;
mod lines;
mod moment;
mod segment;
mod stream;

pub use contents::contents;

use crate::Side;
use crate::record::Recording;
use index::Index;

/// The subject of an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A stream, by its number within a session.
    Stream(u32),
    /// A segment, by its sequence number.
    Segment(u32),
    /// The events around a moment.
    Moment {
        /// Simulated time, microseconds.
        at_us: u64,
        /// Time before and after it, microseconds.
        around_us: u64,
    },
}

/// Restricts the subject; `None` includes all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Only {
    /// Sent by this side.
    pub side: Option<Side>,
    /// Of this session.
    pub session: Option<u32>,
}

impl Only {
    fn admits(self, side: Side, session: u32) -> bool {
        self.side.is_none_or(|only| only == side) && self.session.is_none_or(|only| only == session)
    }
}

/// Explains `subject` of a recorded run; `None` if the recording does not contain it.
pub fn explain(recording: &Recording, subject: Subject, only: Only) -> Option<String> {
    let index = Index::new(recording);
    let text = match subject {
        Subject::Segment(sn) => segment::explain(&index, sn, only),
        Subject::Stream(stream) => stream::explain(&index, stream, only),
        Subject::Moment { at_us, around_us } => moment::explain(&index, at_us, around_us, only),
    }?;
    let header = &recording.header;
    Some(format!("{}  seed {}  over {}\n\n{text}", header.scenario, header.seed, header.transport))
}
