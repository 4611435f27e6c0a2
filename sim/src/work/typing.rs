use super::exchange::{Exchange, Pace, Terms, exchange_application};
use crate::plan::TypingPlan;
use engine::Entropy;

/// Both ends. Keystrokes whose stream is reset are lost.
#[derive(Debug)]
pub struct Typing(Exchange);

impl Typing {
    /// Nothing typed yet.
    pub fn new(name: &str, plan: &TypingPlan, dice: Entropy) -> Self {
        let terms = Terms {
            message_bytes: plan.key_bytes,
            reply_bytes: plan.echo_bytes,
            count: None,
            pace: Pace::Irregular { interval_us: plan.interval_us },
            repeats: false,
        };
        Self(Exchange::new(name, terms, dice))
    }
}

exchange_application!(Typing);
