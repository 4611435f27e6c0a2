//! karst-client's sessions: which one the next connection takes, when a slot gets a new one, and what becomes of the old
//! one (CLI-20, CLI-51).

use super::hub::Hub;
use crate::log::log_line;
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
    pub(crate) fn new(count: usize, autoexpire_s: i64, scavengettl_s: i64) -> Self {
        let seconds = |value: i64| Duration::from_secs(u64::try_from(value).unwrap_or(0));
        Self {
            slots: RefCell::new((0..count.max(1)).map(|_| Slot::default()).collect()),
            old: RefCell::default(),
            lifetime: (autoexpire_s > 0).then(|| seconds(autoexpire_s)),
            grace: seconds(scavengettl_s),
        }
    }

    /// The slot with the fewest streams; among equals the one that waited longest.
    pub(crate) fn pick(&self) -> usize {
        let mut slots = self.slots.borrow_mut();
        let turn = slots.iter().map(|slot| slot.taken).max().unwrap_or(0) + 1;
        let load = |slot: &Slot| slot.fit().map_or(0, |hub| hub.stream_count());
        let least = slots.iter().enumerate().min_by_key(|(_, slot)| (load(slot), slot.taken));
        let index = least.map_or(0, |(index, _)| index);
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
