//! What a recording has to be explained, for a subject that it does not contain.

use super::lines::ms;
use super::{Index, Only, Subject};
use crate::Side;
use crate::record::words::grouped;
use crate::record::{EventKind, Recording};
use std::collections::{BTreeMap, BTreeSet};

/// Listed streams of a session; of more, the rest is counted.
const LISTED_MAX: usize = 12;

/// Names the subjects of the same kind that a recording has.
pub fn contents(recording: &Recording, subject: Subject, only: Only) -> String {
    let all = match subject {
        Subject::Moment { .. } => return format!("it ends at {} ms", ms(recording.end_us())),
        Subject::Stream(_) => streams(recording),
        Subject::Segment(_) => segments(recording),
    };
    let none = if matches!(subject, Subject::Stream(_)) { "it has no streams" } else { "it has no segments" };
    let words = if all.is_empty() { none.into() } else { format!("it has {}", all.join("; ")) };
    if only == Only::default() { words } else { format!("{words}; --side and --session may exclude it") }
}

fn streams(recording: &Recording) -> Vec<String> {
    let mut sessions: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for event in &recording.events {
        if let EventKind::Opened { session, stream, .. } = event.kind {
            sessions.entry(session).or_default().insert(stream);
        }
    }
    let words = |(session, streams): (u32, BTreeSet<u32>)| {
        let listed: Vec<String> = streams.iter().take(LISTED_MAX).map(u32::to_string).collect();
        let more = streams.len().saturating_sub(LISTED_MAX);
        let more = if more == 0 { String::new() } else { format!(" and {} more", grouped(more as u64)) };
        format!("streams {}{more} of session {session}", listed.join(", "))
    };
    sessions.into_iter().map(words).collect()
}

fn segments(recording: &Recording) -> Vec<String> {
    let index = Index::new(recording);
    let mut ranges: BTreeMap<(u32, Side), (u32, u32)> = BTreeMap::new();
    for &(side, session, sn) in index.carriers.keys() {
        let range = ranges.entry((session, side)).or_insert((sn, sn));
        *range = (range.0.min(sn), range.1.max(sn));
    }
    let words = |((session, side), (first, last)): ((u32, Side), (u32, u32))| {
        format!("segments {first} to {last} of the {} in session {session}", side.name())
    };
    ranges.into_iter().map(words).collect()
}
