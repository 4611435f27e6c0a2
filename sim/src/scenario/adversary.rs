//! The keys of the adversary's attacks, and the plan made of them.

use super::Refusal;
use super::rules::{DAY_US, MINUTE_US, refuse_if, within};
use crate::plan::{Act, AdversaryPlan, AttackPlan, Source, Ways};
use crate::units::{Millis, Percent};
use schemars::JsonSchema;
use serde::Deserialize;

const ATTACKS_MAX: usize = 100;
const COPIES_MAX: u64 = 10_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Attack {
    /// Injects nothing, and only holds the originals back.
    Delay(AttackKeys),
    /// Copies of the observed datagram.
    Replay(AttackKeys),
    /// Copies of the datagram that has its number in the latest earlier session, of which the first 4,096 of each direction are recorded.
    ReplayEarlier(AttackKeys),
    /// Copies that go back to the sender, from the address of its peer, without delay; not with `crypt` null.
    Reflect(AttackKeys),
    /// Copies with one to four flipped bits; not with `crypt` null.
    Tamper(AttackKeys),
    /// Random bytes, 1 to 8191; not with `crypt` null.
    Garbage(AttackKeys),
    /// Copies of what the server sends to addresses of the adversary, to the client from the server's address, without delay.
    Relay(AttackKeys),
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AttackKeys {
    /// The datagrams that it observes.
    direction: Direction,
    /// Share of them that it reacts to, percent (100).
    pct: Option<Percent>,
    /// When it begins to react.
    from_ms: Millis,
    /// When it ends (`duration_ms`).
    until_ms: Option<Millis>,
    /// Only to that many first datagrams of each session and direction.
    first_packets: Option<u64>,
    /// Only to datagrams whose number, counted from 0, modulo this is `cycle_from` or more: with 13 and 10 the parity of groups of 10 and 3.
    cycle_packets: Option<u64>,
    /// See `cycle_packets`.
    cycle_from: Option<u64>,
    /// The number of the datagram injected by `replay_earlier` is that much larger than the observed one's, so that it arrives before its counterpart is sent.
    ahead_packets: u64,
    /// The original arrives that much later, so that later ones and copies overtake it.
    hold_ms: Millis,
    /// The copy arrives that much later than the original would on an idle link.
    after_ms: Millis,
    /// Number of copies (1).
    copies: Option<u64>,
    /// Time between copies.
    every_ms: Millis,
    /// Address that they come from: that of the observed datagram, one of the adversary, or another one of 65,535 for each datagram.
    source: SourceKey,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Direction {
    #[default]
    Both,
    Up,
    Down,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum SourceKey {
    #[default]
    Peer,
    Own,
    Many,
}

/// `duration_us`: attacks end with the sources unless they say otherwise.
pub(super) fn plan(list: &[Attack], duration_us: u64) -> Result<AdversaryPlan, Refusal> {
    refuse_if(list.len() > ATTACKS_MAX, "adversary".into(), "must hold at most 100 attacks")?;
    let attacks = list.iter().enumerate().map(|(index, attack)| one_plan(index, attack, duration_us));
    Ok(AdversaryPlan { attacks: attacks.collect::<Result<_, _>>()? })
}

fn one_plan(index: usize, attack: &Attack, duration_us: u64) -> Result<AttackPlan, Refusal> {
    let (act, keys) = read(attack);
    let key = |key: &str| format!("adversary[{index}].{act}.{key}");
    let until_us = keys.until_ms.map_or(duration_us, |until| until.us);
    within(&key("until_ms"), until_us, 1_000, DAY_US, "between 1 ms and a day")?;
    within(&key("from_ms"), keys.from_ms.us, 0, until_us - 1, "before the attack ends")?;
    let copies = keys.copies.unwrap_or(1);
    within(&key("copies"), copies, 1, COPIES_MAX, "between 1 and 10000")?;
    for (name, time) in [("hold_ms", keys.hold_ms), ("every_ms", keys.every_ms)] {
        within(&key(name), time.us, 0, MINUTE_US, "at most a minute")?;
    }
    within(&key("after_ms"), keys.after_ms.us, 0, DAY_US, "at most a day")?;
    let idle = act == Act::Delay && keys.hold_ms.us == 0;
    refuse_if(idle, key("hold_ms"), "must be above 0, or nothing happens")?;
    let is_ahead = keys.ahead_packets > 0 && act != Act::ReplayEarlier;
    refuse_if(is_ahead, key("ahead_packets"), "is for replay_earlier only")?;
    Ok(AttackPlan {
        act,
        ways: keys.direction.ways(),
        ppm: keys.pct.map_or(1_000_000, |share| share.ppm),
        from_us: keys.from_ms.us,
        until_us,
        first_packets: keys.first_packets,
        cycle: cycle(keys, key)?,
        hold_us: keys.hold_ms.us,
        after_us: keys.after_ms.us,
        copies,
        every_us: keys.every_ms.us,
        source: keys.source.source(),
        ahead_packets: keys.ahead_packets,
    })
}

fn cycle(keys: &AttackKeys, key: impl Fn(&str) -> String) -> Result<Option<(u64, u64)>, Refusal> {
    match (keys.cycle_packets, keys.cycle_from) {
        (None, None) => Ok(None),
        (Some(_), None) => Err((key("cycle_packets"), "needs cycle_from".into())),
        (None, Some(_)) => Err((key("cycle_from"), "needs cycle_packets".into())),
        (Some(period), Some(from)) => {
            within(&key("cycle_packets"), period, 1, 256, "between 1 and 256")?;
            within(&key("cycle_from"), from, 0, period - 1, "below cycle_packets")?;
            Ok(Some((period, from)))
        }
    }
}

const fn read(attack: &Attack) -> (Act, &AttackKeys) {
    match attack {
        Attack::Delay(keys) => (Act::Delay, keys),
        Attack::Replay(keys) => (Act::Replay, keys),
        Attack::ReplayEarlier(keys) => (Act::ReplayEarlier, keys),
        Attack::Reflect(keys) => (Act::Reflect, keys),
        Attack::Tamper(keys) => (Act::Tamper, keys),
        Attack::Garbage(keys) => (Act::Garbage, keys),
        Attack::Relay(keys) => (Act::Relay, keys),
    }
}

impl Direction {
    const fn ways(self) -> Ways {
        match self {
            Self::Both => Ways::Both,
            Self::Up => Ways::Up,
            Self::Down => Ways::Down,
        }
    }
}

impl SourceKey {
    const fn source(self) -> Source {
        match self {
            Self::Peer => Source::Peer,
            Self::Own => Source::Own,
            Self::Many => Source::Many,
        }
    }
}
