use super::exchange::{Exchange, Pace, Terms, exchange_application};
use crate::plan::IdleThenBurstPlan;
use engine::Entropy;

const REQUEST_BYTES: u64 = 100;

/// Both ends. A burst whose stream is reset is requested again from its beginning.
#[derive(Debug)]
pub struct IdleThenBurst(Exchange);

impl IdleThenBurst {
    /// Both sides before the first request.
    pub fn new(name: &str, plan: &IdleThenBurstPlan, dice: Entropy) -> Self {
        let terms = Terms {
            message_bytes: REQUEST_BYTES,
            reply_bytes: plan.burst_bytes,
            count: Some(plan.count),
            pace: Pace::AfterReply { think_us: plan.idle_us },
            repeats: true,
        };
        Self(Exchange::new(name, terms, dice))
    }
}

exchange_application!(IdleThenBurst);
