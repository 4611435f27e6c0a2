//! Every session of the program: how many there are, and the sum of their counters (CLI-7).

use super::hub::Hub;
use crate::datagrams::Carrier;
use crate::flags::Side;
use crate::heap::heap_bytes;
use crate::metrics::{Ratios, SESSIONS_LISTED_MAX, Session, Snapshot, Worst};
use crate::platform::process::memory_bytes;
use crate::snmp::Totals;
use engine::Stats;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

/// A session's share of memory gets no smaller than an eighth of what it was.
const SHARE_HALVINGS_MAX: u32 = 3;

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
    /// Memory to stay below, bytes; 0 for no limit.
    memory_bytes_max: Cell<usize>,
    /// Memory was short at the last check; it stays so until a tenth more is free.
    short: Cell<bool>,
    /// For how many whole seconds it has been.
    short_s: Cell<u32>,
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
        totals.stats += stats.ended();
        self.totals.set(totals);
    }

    /// The state of the program; `uptime` since it started.
    pub(crate) fn snapshot(&self, side: Side, uptime: Duration) -> Snapshot {
        let (mut sessions, mut left_out, mut streams, mut queued_bytes) = (Vec::new(), 0, 0, 0);
        let (mut worst, mut carriers) = (Worst::default(), [0; Carrier::ALL.len()]);
        for hub in self.hubs() {
            hub.each_tunnel(|local, carrier, tunnel| {
                carriers[carrier as usize] += 1;
                streams += tunnel.stream_count();
                queued_bytes += tunnel.queued_bytes() as u64;
                worst.add(tunnel);
                match sessions.len() {
                    ..SESSIONS_LISTED_MAX => sessions.push(Session::of(local, carrier, tunnel)),
                    _ => left_out += 1,
                }
            });
        }
        let counters = self.totals();
        Snapshot {
            program: side.program(),
            version: crate::VERSION,
            uptime_s: uptime.as_secs(),
            memory_bytes: memory_bytes(),
            heap_bytes: heap_bytes() as u64,
            queued_bytes,
            short: self.is_short(),
            streams,
            carriers,
            worst,
            ratios: Ratios::of(&counters.stats),
            counters,
            sessions,
            sessions_left_out: left_out,
        }
    }

    /// A datagram was refused: it came from an address other than the peer's, or memory is short.
    pub(crate) fn refused(&self) {
        let mut totals = self.totals.get();
        totals.stats.in_errs += 1;
        self.totals.set(totals);
    }

    pub(crate) fn limit_memory(&self, bytes: usize) {
        self.memory_bytes_max.set(bytes);
    }

    /// Whether memory is short: no session or stream is started (CLI-54).
    pub(crate) fn is_short(&self) -> bool {
        let limit_bytes = self.memory_bytes_max.get();
        if limit_bytes == 0 {
            return false;
        }
        let tenths = if self.short.get() { 7 } else { 8 };
        self.short.set(heap_bytes() > limit_bytes / 10 * tenths);
        self.short.get()
    }

    /// Memory has been short for that long.
    pub(crate) fn set_shortage(&self, shortage: Duration) {
        self.short_s.set(u32::try_from(shortage.as_secs()).unwrap_or(u32::MAX));
    }

    /// What each session may hold while memory is short, bytes: an equal part of a third of it, since buffers may take twice what they
    /// hold; and half of that after each second in which it did not help. A session that moves gets below; what stays above is not being read.
    pub(crate) fn share_bytes(&self) -> usize {
        let equal = self.memory_bytes_max.get() / 3 / self.totals.get().curr_estab.max(1) as usize;
        equal >> self.short_s.get().min(SHARE_HALVINGS_MAX)
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
