use super::exchange::{Exchange, Pace, Terms, exchange_application};
use crate::plan::RequestResponsePlan;
use engine::Entropy;

/// Both ends. A request whose stream is reset is made again, and its time goes on.
#[derive(Debug)]
pub struct RequestResponse(Exchange);

impl RequestResponse {
    /// Both sides before the first request.
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
