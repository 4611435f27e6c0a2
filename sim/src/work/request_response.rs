use super::exchange::{Exchange, Pace, Terms, exchange_application};
use engine::Entropy;

/// Requests one after the other on one stream, each after the reply to the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestResponsePlan {
    /// Bytes of a request.
    pub request_bytes: u64,
    /// Bytes of its reply.
    pub response_bytes: u64,
    /// Time between a reply and the next request, microseconds.
    pub think_us: u64,
    /// How many; `None` is until the sources stop.
    pub count: Option<u64>,
}

/// Both ends. A request whose stream is reset is made again, and its time goes on.
#[derive(Debug)]
pub struct RequestResponse(Exchange);

impl RequestResponse {
    /// Nothing asked for yet.
    pub fn new(name: &str, plan: &RequestResponsePlan, dice: Entropy) -> Self {
        let terms = Terms {
            message_bytes: plan.request_bytes,
            reply_bytes: plan.response_bytes,
            count: plan.count,
            pace: Pace::AfterReply { think_us: plan.think_us },
            repeats: true,
        };
        Self(Exchange::new(name, terms, dice))
    }
}

exchange_application!(RequestResponse);
