//! A stream that carries one request up and one reply down, as a web object does.

use super::flow::Flow;
use crate::Side;

/// Sizes of a request and its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fetch {
    pub(super) request_bytes: u64,
    pub(super) reply_bytes: u64,
}

impl Fetch {
    /// The client's offer.
    pub(super) const fn begin(self, flow: &mut Flow) {
        flow.up.offered = self.request_bytes;
    }

    /// The server replies to a whole request and ends; the client ends when it has read that.
    pub(super) const fn react(self, flow: &mut Flow, side: Side) {
        match side {
            Side::Server if flow.up.reader.read >= self.request_bytes => {
                flow.down.offered = self.reply_bytes;
                flow.down.ends = true;
            }
            Side::Client => flow.up.ends = flow.down.reader.ended,
            Side::Server => {}
        }
    }
}
