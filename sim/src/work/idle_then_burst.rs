use super::exchange::{Exchange, Pace, Terms, exchange_application};
use engine::Entropy;

/// A stream that rests for a long time and then gets many bytes at once, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleThenBurstPlan {
    /// Time from one burst to the request for the next, microseconds.
    pub idle_us: u64,
    /// Bytes the server sends at once.
    pub burst_bytes: u64,
    /// How many bursts.
    pub count: u64,
}

const REQUEST_BYTES: u64 = 100;

/// Both ends. A burst whose stream is reset is asked for again, from its beginning.
#[derive(Debug)]
pub struct IdleThenBurst(Exchange);

impl IdleThenBurst {
    /// Nothing asked for yet.
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
