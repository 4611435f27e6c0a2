//! What a tunnel reports: events, why it ended, counters.

use crate::event::{CloseReason, Event};
use crate::observe::Stats;
use std::collections::VecDeque;

#[derive(Debug, Default)]
pub(super) struct Reports {
    pub(super) events: VecDeque<Event>,
    pub(super) closed: Option<CloseReason>,
    /// Without the counters of the layers.
    pub(super) stats: Stats,
}

impl Reports {
    /// Ends the session, for the first reason given.
    pub(super) fn close(&mut self, reason: CloseReason) {
        if self.closed.is_none() {
            self.closed = Some(reason);
            self.events.push_back(Event::Closed(reason));
        }
    }
}
