//! `--memlimit`: what happens when memory runs short (CLI-54).
//!
//! Memory is what sessions hold: bytes that wait for a path or for a reader. Short of it, nothing new is begun and the
//! sessions above their share wait, which the others do not feel. Only if that does not help the fullest session ends.

use super::census::Census;
use crate::log::log_line;
use crate::metrics::heap_bytes;
use engine::CloseReason;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::interval;

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Watches for ever; `limit_bytes` is above zero.
pub(crate) async fn watch(limit_bytes: usize, census: Rc<Census>) {
    census.limit_memory(limit_bytes);
    let mut was_short = false;
    let mut ticks = interval(LOOK);
    loop {
        ticks.tick().await;
        let short = census.is_short();
        if short != was_short {
            let state = if short { "short, sessions wait" } else { "there again" };
            let (used_kib, limit_kib) = (heap_bytes() / 1024, limit_bytes / 1024);
            log_line!("memlimit: memory is {state}: {used_kib} of {limit_kib} KiB used");
        }
        was_short = short;
        let share_bytes = short.then(|| census.share_bytes());
        census.hubs().iter().for_each(|hub| hub.hold_above(share_bytes));
        if heap_bytes() > limit_bytes {
            close_fullest(&census);
        }
    }
}

fn close_fullest(census: &Census) {
    let hubs = census.hubs();
    let fullest = hubs.iter().filter_map(|hub| hub.fullest().map(|(bytes, id)| (bytes, id, hub)));
    if let Some((bytes, id, hub)) = fullest.max_by_key(|(bytes, ..)| *bytes) {
        log_line!("memlimit: ending a session in which {} KiB wait", bytes / 1024);
        hub.close_session(id, CloseReason::Memory);
    }
}
