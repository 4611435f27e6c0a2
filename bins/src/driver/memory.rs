//! Gives memory back after a load, and `--memlimit`: what happens when memory runs short (CLI-54).
//!
//! Sessions hold memory: bytes that wait for a path or for a reader. When it is short, no session or stream is started, and
//! sessions above their share wait, without effect on the others. If that does not help for some seconds, sessions above their
//! share are ended, the fullest first, so that sessions that do not move do not lock out others; above the limit at once.

use super::census::Census;
use crate::heap::heap_bytes;
use crate::log::log_line;
use crate::platform::memory;
use engine::CloseReason;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, interval};

/// Interval of checks for memory to give back, the number of checks in a row that must find it, and the least amount.
const TRIM_LOOK: Duration = Duration::from_secs(1);
const TRIM_LOOKS: u32 = 10;
const TRIM_BYTES_MIN: usize = 4 << 20;

/// Interval of checks under a limit.
const LOOK: Duration = Duration::from_millis(10);

/// Shortage after which sessions above their share are ended, and the pause between two of them, in which memory is freed.
const SHORTAGE_MAX: Duration = Duration::from_secs(3);
const ENDS_EVERY: Duration = Duration::from_millis(100);

/// Gives memory back to the system when most of what was in use since the last time is free: the allocator keeps what lies
/// between pieces that are still in use. Runs without end.
pub(crate) async fn trim_after_load() {
    let (mut high_bytes, mut looks) = (0, 0);
    let mut ticks = interval(TRIM_LOOK);
    loop {
        ticks.tick().await;
        let used_bytes = heap_bytes();
        high_bytes = high_bytes.max(used_bytes);
        let worth_it = high_bytes / 2 >= used_bytes && high_bytes - used_bytes >= TRIM_BYTES_MIN;
        looks = if worth_it { looks + 1 } else { 0 };
        if looks >= TRIM_LOOKS {
            memory::trim();
            (high_bytes, looks) = (used_bytes, 0);
        }
    }
}

/// Applies the limit, without end; `limit_bytes` is above zero.
pub(crate) async fn watch(limit_bytes: usize, census: Rc<Census>) {
    census.limit_memory(limit_bytes);
    let mut short_since: Option<Instant> = None;
    let mut ended_at = Instant::now();
    let mut ticks = interval(LOOK);
    loop {
        let now = ticks.tick().await;
        let short = census.is_short();
        if short != short_since.is_some() {
            let state = if short { "short, sessions wait" } else { "sufficient again, sessions resume" };
            let (used_kib, limit_kib) = (heap_bytes() / 1024, limit_bytes / 1024);
            log_line!("memlimit: memory is {state}: {used_kib} of {limit_kib} KiB used");
        }
        short_since = if short { short_since.or(Some(now)) } else { None };
        let shortage = short_since.map_or(Duration::ZERO, |since| now - since);
        census.set_shortage(shortage);
        let share_bytes = short.then(|| census.share_bytes());
        census.hubs().iter().for_each(|hub| hub.hold_above(share_bytes));
        if heap_bytes() > limit_bytes {
            end_fullest(&census, 0);
        } else if shortage >= SHORTAGE_MAX && now - ended_at >= ENDS_EVERY {
            ended_at = now;
            end_fullest(&census, share_bytes.unwrap_or(0));
        }
    }
}

/// Ends the session in which most bytes wait, if they are more than `above_bytes`.
fn end_fullest(census: &Census, above_bytes: usize) {
    let hubs = census.hubs();
    let fullest = hubs.iter().filter_map(|hub| hub.fullest().map(|(bytes, id)| (bytes, id, hub)));
    if let Some((bytes, id, hub)) =
        fullest.max_by_key(|(bytes, ..)| *bytes).filter(|(bytes, ..)| *bytes > above_bytes)
    {
        log_line!("memlimit: ending a session in which {} KiB wait", bytes / 1024);
        hub.close_session(id, CloseReason::Memory);
    }
}
