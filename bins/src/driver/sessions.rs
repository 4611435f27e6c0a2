//! karst-client's sessions: which one the next connection takes, when a slot gets a new one, and what becomes of the old
//! one (CLI-20, CLI-51).

use super::hub::Hub;
use crate::log::log_line;
use engine::tunnel::Burden;
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Silence, or standstill behind a reader that stopped, after which new connections no longer wait for a session that
/// answered before.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// The same for a session that never answered: there the path is at fault, and more sessions would not help.
const FIRST_ANSWER_MAX: Duration = Duration::from_secs(10);

/// Old sessions that may still carry streams; one more closes the oldest.
const OLD_MAX: usize = 16;

/// How often an old session is looked at, and how long it must rest before it may be cut.
const LOOK: Duration = Duration::from_secs(1);
const REST_LOOKS: u32 = 10;

/// Stream bytes between two looks up to which a session rests: keepalives are no use of it.
const REST_BYTES: u64 = 64;

pub(crate) struct Sessions {
    slots: RefCell<Vec<Slot>>,
    old: RefCell<Vec<Weak<Hub>>>,
    lifetime: Option<Duration>,
    grace: Duration,
    /// Under a controller: bulk and the rest apart, and no more sessions than are of use (CLI-56).
    apart: bool,
}

#[derive(Default)]
struct Slot {
    hub: Option<Rc<Hub>>,
    expires_at: Option<Instant>,
    /// Turn in which the slot was taken last; equally loaded slots take turns.
    taken: u64,
}

impl Sessions {
    /// `count` slots; sessions are replaced after `autoexpire_s` if that is positive, and cut at the earliest
    /// `scavengettl_s` later.
    pub(crate) fn new(count: usize, autoexpire_s: i64, scavengettl_s: i64, apart: bool) -> Self {
        let seconds = |value: i64| Duration::from_secs(u64::try_from(value).unwrap_or(0));
        Self {
            slots: RefCell::new((0..count.max(1)).map(|_| Slot::default()).collect()),
            old: RefCell::default(),
            lifetime: (autoexpire_s > 0).then(|| seconds(autoexpire_s)),
            grace: seconds(scavengettl_s),
            apart,
        }
    }

    /// The slot with the fewest streams; among equals the one that waited longest. Apart, those that carry bulk come last, and
    /// among equals the first is taken, which is dialled before the others.
    pub(crate) fn pick(&self) -> usize {
        let mut slots = self.slots.borrow_mut();
        let turn = slots.iter().map(|slot| slot.taken).max().unwrap_or(0) + 1;
        let load = |slot: &Slot| slot.fit().map(|hub| hub.burden()).unwrap_or_default();
        let index = choose(slots.iter().map(|slot| (load(slot), slot.taken)), self.apart);
        if let Some(slot) = slots.get_mut(index) {
            slot.taken = turn;
        }
        index
    }

    /// The session of a slot, if new streams may use it.
    pub(crate) fn current(&self, slot: usize) -> Option<Rc<Hub>> {
        self.slots.borrow().get(slot)?.fit()
    }

    /// Gives a slot its new session. The old one goes on for the streams it has.
    pub(crate) fn replace(&self, slot: usize, hub: &Rc<Hub>) {
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.get_mut(slot) else { return };
        slot.expires_at = self.lifetime.map(|lifetime| Instant::now() + lifetime);
        if let Some(old) = slot.hub.replace(Rc::clone(hub)).filter(|old| !old.is_over()) {
            self.retire(old);
        }
    }

    /// Every session that lives.
    pub(crate) fn all(&self) -> Vec<Rc<Hub>> {
        let old = self.old.borrow();
        let current = self.slots.borrow();
        current
            .iter()
            .filter_map(|slot| slot.hub.clone())
            .chain(old.iter().filter_map(Weak::upgrade))
            .collect()
    }

    fn retire(&self, hub: Rc<Hub>) {
        let mut old = self.old.borrow_mut();
        old.retain(|hub| hub.upgrade().is_some_and(|hub| !hub.is_over()));
        old.push(Rc::downgrade(&hub));
        if old.len() > OLD_MAX {
            old.remove(0).upgrade().inspect(|oldest| oldest.close());
        }
        tokio::task::spawn_local(scavenge(hub, Instant::now() + self.grace));
    }
}

/// The place of the best slot of those, each with what it carries and when it was taken last.
fn choose(slots: impl Iterator<Item = (Burden, u64)>, apart: bool) -> usize {
    let rank = |(burden, taken): (Burden, u64)| match apart {
        true => (burden, 0),
        false => (Burden { bulk: false, ..burden }, taken),
    };
    slots.enumerate().min_by_key(|(_, slot)| rank(*slot)).map_or(0, |(index, _)| index)
}

impl Slot {
    fn fit(&self) -> Option<Rc<Hub>> {
        let expired = self.expires_at.is_some_and(|at| at <= Instant::now());
        self.hub.clone().filter(|hub| !expired && !hub.is_over() && !is_stalled(hub))
    }
}

fn is_stalled(hub: &Hub) -> bool {
    let limit = if hub.was_heard() { SILENCE_MAX } else { FIRST_ANSWER_MAX };
    hub.silent_for() >= limit || hub.blocked_for() >= SILENCE_MAX
}

/// Closes an old session when its last stream is gone, or from `cut_at` on when its streams rest. A stream that moves bytes
/// is never cut.
async fn scavenge(hub: Rc<Hub>, cut_at: Instant) {
    let mut moved = hub.traffic_bytes();
    let mut rested = 0;
    loop {
        sleep(LOOK).await;
        // It may have ended by itself meanwhile, its counters with it.
        if hub.is_over() {
            return;
        }
        let now_moved = hub.traffic_bytes();
        rested = if now_moved - moved <= REST_BYTES { rested + 1 } else { 0 };
        moved = now_moved;
        if hub.stream_count() == 0 && hub.is_drained() {
            log_line!("scavenger: session normally closed: {}", hub.local_addr());
            return hub.close();
        }
        if Instant::now() >= cut_at && rested >= REST_LOOKS {
            log_line!("scavenger: session closed due to ttl: {}", hub.local_addr());
            return hub.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(bulk: bool, streams: usize, taken: u64) -> (Burden, u64) {
        (Burden { bulk, streams }, taken)
    }

    // CLI-56
    #[test]
    fn bulk_is_kept_apart_only_under_a_controller() {
        let slots = [slot(true, 1, 1), slot(false, 3, 4), slot(false, 2, 3), slot(false, 2, 2)];
        assert_eq!(choose(slots.into_iter(), true), 2);
        assert_eq!(choose(slots.into_iter(), false), 0);
    }

    // CLI-51, CLI-56
    #[test]
    fn equals_take_turns_or_the_first_is_taken() {
        let slots = [slot(false, 0, 7), slot(false, 0, 0), slot(false, 0, 3)];
        assert_eq!((choose(slots.into_iter(), true), choose(slots.into_iter(), false)), (0, 1));
    }
}
