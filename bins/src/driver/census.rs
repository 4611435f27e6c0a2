//! Every session of the program: how many there are, and the sum of their counters (CLI-7).

use super::hub::Hub;
use crate::snmp::{Totals, add, without_gauges};
use engine::Stats;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

/// Which program a session was opened by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// Dialled.
    Active,
    /// Accepted.
    Passive,
}

/// Counts sessions and remembers what ended ones had counted.
#[derive(Default)]
pub(crate) struct Census {
    hubs: RefCell<Vec<Weak<Hub>>>,
    /// Of ended sessions; `curr_estab` is that of the moment.
    totals: Cell<Totals>,
}

impl Census {
    pub(crate) fn add_hub(&self, hub: &Rc<Hub>) {
        let mut hubs = self.hubs.borrow_mut();
        hubs.retain(|hub| hub.strong_count() > 0);
        hubs.push(Rc::downgrade(hub));
    }

    pub(crate) fn opened(&self, how: Opened) {
        let mut totals = self.totals.get();
        match how {
            Opened::Active => totals.active_opens += 1,
            Opened::Passive => totals.passive_opens += 1,
        }
        totals.curr_estab += 1;
        totals.max_conn = totals.max_conn.max(totals.curr_estab);
        self.totals.set(totals);
    }

    pub(crate) fn ended(&self, stats: Stats) {
        let mut totals = self.totals.get();
        totals.curr_estab = totals.curr_estab.saturating_sub(1);
        add(&mut totals.stats, &without_gauges(stats));
        self.totals.set(totals);
    }

    /// Every hub that lives.
    pub(crate) fn hubs(&self) -> Vec<Rc<Hub>> {
        self.hubs.borrow().iter().filter_map(Weak::upgrade).collect()
    }

    /// The counters of the process.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = self.totals.get();
        self.hubs().iter().for_each(|hub| hub.add_stats(&mut totals.stats));
        totals
    }
}
