use super::Ways;
use crate::term::in_json;
use engine::{Instant, terms};

/// The adversary: a machine without the key that observes the datagrams on both links and sends its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdversaryPlan {
    /// What it does; nothing by default. Each attack decides on every observed datagram.
    pub attacks: Vec<AttackPlan>,
}

impl AdversaryPlan {
    /// When the last datagram that it injects or holds back has left it, microseconds; 0 when it does nothing.
    pub fn ends_us(&self) -> u64 {
        self.attacks.iter().map(AttackPlan::ends_us).max().unwrap_or(0)
    }

    /// The longest time for which it holds an original back, microseconds; `None` when it does nothing.
    pub fn hold_us_max(&self) -> Option<u64> {
        self.attacks.iter().map(|attack| attack.hold_us).max()
    }
}

/// One attack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttackPlan {
    /// What is injected.
    pub act: Act,
    /// Directions in which datagrams are observed.
    pub ways: Ways,
    /// Share of the observed datagrams that it reacts to, parts per million.
    pub ppm: u32,
    /// It reacts to datagrams from then on, microseconds.
    pub from_us: u64,
    /// And before that, microseconds.
    pub until_us: u64,
    /// It reacts only to that many first datagrams of each session and direction; `None` to all.
    pub first_packets: Option<u64>,
    /// Of every that many datagrams of a session and direction, it uses those from the second number on: with shards, the
    /// parity of each group.
    pub cycle: Option<(u64, u64)>,
    /// The original is held back for that long, microseconds.
    pub hold_us: u64,
    /// Injected datagrams arrive that much later than the observed one would on an idle link, microseconds.
    pub after_us: u64,
    /// Datagrams injected for each one observed.
    pub copies: u64,
    /// Time between them, microseconds.
    pub every_us: u64,
    /// Where they seem to come from.
    pub source: Source,
    /// Of [`Act::ReplayEarlier`]: how many places ahead of the observed datagram the injected one was sent in its session.
    pub ahead_packets: u64,
}

impl AttackPlan {
    /// Whether it is going on at `now`.
    pub const fn is_active(&self, now: Instant) -> bool {
        self.from_us <= now.as_micros() && now.as_micros() < self.until_us
    }

    fn ends_us(&self) -> u64 {
        let last_us = self.after_us + self.every_us * self.copies.saturating_sub(1);
        self.until_us + last_us.max(self.hold_us)
    }
}

terms! {
    /// What an attack injects, as scenario files and recordings name it.
    pub enum Act {
        Delay "delay" "Nothing: originals are only held back."
        Replay "replay" "Copies of the observed datagram."
        ReplayEarlier "replay_earlier" "Copies of the datagram that had its place in an earlier session."
        Reflect "reflect" "Copies that go back to the sender, from the address of its peer."
        Tamper "tamper" "Copies with flipped bits."
        Garbage "garbage" "Random bytes of any length up to 8 KiB."
        Relay "relay" "What the server sends to an address of the adversary goes on to the client, from the server's address."
    }
}

in_json!(Act);

/// Source address of injected datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// That of the observed datagram.
    #[default]
    Peer,
    /// One address of the adversary.
    Own,
    /// Another address for every datagram.
    Many,
}
