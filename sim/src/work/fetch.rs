//! A stream that carries one request up and one reply down, as a web object does, possibly behind a dialogue with a proxy.

use super::flow::Flow;
use crate::Side;
use crate::plan::Proxy;

/// Sizes of a request and its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fetch {
    pub(super) request_bytes: u64,
    pub(super) reply_bytes: u64,
    /// Whose dialogue comes first.
    pub(super) proxy: Proxy,
}

impl Fetch {
    /// The client's offer.
    pub(super) fn begin(self, flow: &mut Flow) {
        self.offer(flow);
    }

    /// Each side sends its next message once it has read all of the other's before. The server ends behind its reply; the
    /// client ends when it has read that.
    pub(super) fn react(self, flow: &mut Flow, side: Side) {
        match side {
            Side::Server => {
                let (mut up, mut down) = (0, 0);
                for (request, reply) in self.messages() {
                    up += request;
                    if flow.up.reader.read >= up {
                        down += reply;
                    }
                }
                flow.down.offered = down;
                flow.down.ends = flow.up.reader.read >= up;
            }
            Side::Client => {
                self.offer(flow);
                flow.up.ends = flow.down.reader.ended;
            }
        }
    }

    fn offer(self, flow: &mut Flow) {
        let (mut up, mut down) = (0, 0);
        for (request, reply) in self.messages() {
            if flow.down.reader.read >= down {
                up += request;
            }
            down += reply;
        }
        flow.up.offered = flow.up.offered.max(up);
    }

    /// Bytes of each message up, and of its answer.
    fn messages(self) -> impl Iterator<Item = (u64, u64)> {
        self.proxy.messages().iter().copied().chain([(self.request_bytes, self.reply_bytes)])
    }
}
