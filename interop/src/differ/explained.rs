//! Differences that are known, with their reasons.

use super::conversation::{Conversation, Odd, Step, Target};
use super::play::Observed;

/// A known difference.
#[derive(Debug)]
pub struct Explained {
    /// The rule, or the layer, that explains it.
    pub rule: &'static str,
    /// The reason.
    pub reason: &'static str,
    /// Removes what differs from an observation, if the conversation has the cause.
    pub mask: fn(&Conversation, &mut Observed),
}

/// All known differences. Each hides no more than what it explains: the rest of a conversation is still compared.
pub const EXPLAINED: &[Explained] = &[
    Explained {
        rule: "CLI-23",
        reason: "Programs without half-close end both directions when one ends: the answer may be lost, in whole or in part.",
        mask: |conversation, observed| {
            for (stream, seen) in &mut observed.streams {
                match conversation.target(*stream) {
                    Some(Target::After(_)) => {
                        (seen.down, seen.up, seen.down_ended, seen.up_ended) = (0, 0, true, true);
                    }
                    // The target ends first, and may read on.
                    Some(Target::Send(_)) => (seen.up, seen.up_ended) = (0, true),
                    _ => {}
                }
            }
        },
    },
    Explained {
        rule: "FEC-16",
        reason: "Before kcp-go 5.6.60, a message out of band is the first segment of another conversation, and ends the session.",
        mask: |conversation, observed| {
            if conversation.has(|step| *step == Step::Odd(Odd::OutOfBand)) {
                *observed = Observed::default();
            }
        },
    },
    Explained {
        rule: "SMUX-8",
        reason: "smux before 1.5.52 reads an update in version 1, too; later ones end the session.",
        mask: |conversation, observed| {
            if conversation.smux == 1 && conversation.has(|step| *step == Step::Odd(Odd::UpdateOfUnknown)) {
                *observed = Observed::default();
            }
        },
    },
    Explained {
        rule: "SMUX-9",
        reason: "After a protocol error a session ends at once, or is only not read any more: streams that were open end, or stay.",
        mask: |conversation, observed| {
            if conversation.has(ends_session) {
                for seen in observed.streams.values_mut() {
                    (seen.down, seen.up, seen.down_ended, seen.up_ended) = (0, 0, true, true);
                    seen.connections = 0;
                }
            }
        },
    },
];

const fn ends_session(step: &Step) -> bool {
    matches!(step, Step::Odd(Odd::BadVersion | Odd::BadCommand | Odd::BadChunk))
}

/// The rules that make two observations equal; `None` if they still differ.
pub(super) fn explain(
    known: &[Explained],
    conversation: &Conversation,
    a: &Observed,
    b: &Observed,
) -> Option<Vec<&'static str>> {
    let (mut a, mut b) = (a.clone(), b.clone());
    let mut rules = Vec::new();
    for explained in known {
        if a == b {
            break;
        }
        let before = (a.clone(), b.clone());
        (explained.mask)(conversation, &mut a);
        (explained.mask)(conversation, &mut b);
        if before != (a.clone(), b.clone()) {
            rules.push(explained.rule);
        }
    }
    (a == b).then_some(rules)
}
