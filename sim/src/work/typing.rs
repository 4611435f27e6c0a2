use super::exchange::{Exchange, Pace, Terms, exchange_application};
use engine::Entropy;

/// Somebody who types into a remote shell: irregular keystrokes, each echoed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypingPlan {
    /// Usual time between two keystrokes, microseconds: drawn between 1/8 and 15/8 of it, one in sixteen eight times longer.
    pub interval_us: u64,
    /// Bytes of a keystroke on the stream.
    pub key_bytes: u64,
    /// Bytes that come back.
    pub echo_bytes: u64,
}

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
