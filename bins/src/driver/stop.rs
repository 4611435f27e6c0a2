//! The end of a program (CLI-25).

use super::hub::{Hub, Scratch};
use crate::platform::{service, signals};
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};

/// Time for what streams received completely to reach connections, and for what was sent to be acknowledged.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// The part of it after which resets no longer wait behind bytes for readers that pause.
const UNSENT_MAX: Duration = Duration::from_secs(3);

/// Silence after which a peer is not waited for.
const SILENCE_MAX: Duration = Duration::from_secs(2);

const STEP: Duration = Duration::from_millis(5);

/// Waits for SIGTERM and SIGINT, or for the simulated host that ends the program.
#[derive(Debug)]
pub(crate) enum Stop {
    Signals(signals::Ends),
    Requests(Rc<Notify>),
}

impl Stop {
    /// From now on, no signal that a running program takes ends it without delay.
    pub(crate) fn new() -> io::Result<Self> {
        signals::Ends::new().map(Self::Signals)
    }

    pub(crate) async fn requested(&mut self) {
        match self {
            Self::Signals(ends) => ends.next().await,
            Self::Requests(requests) => requests.notified().await,
        }
        service::stopping();
    }
}

/// Whether the program stops, and when it ends at the latest.
#[derive(Debug, Default)]
pub(crate) struct Stopping(watch::Sender<Option<Instant>>);

impl Stopping {
    pub(crate) fn has_begun(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits until the program stops; the time at which it ends.
    pub(crate) async fn began(&self) -> Instant {
        let mut changes = self.0.subscribe();
        let until = changes.wait_for(Option::is_some).await.ok().and_then(|until| *until);
        until.unwrap_or_else(Instant::now)
    }
}

/// Has every pipe end its stream, and waits until nothing is left to deliver or to be acknowledged, at most [`FLUSH_MAX`].
pub(crate) async fn drain(scratch: &Scratch, hubs: &[Rc<Hub>]) {
    let until = Instant::now() + FLUSH_MAX;
    hubs.iter().for_each(|hub| hub.stop_accepting());
    scratch.stopping.0.send_replace(Some(until));
    loop {
        sleep(STEP).await;
        let now = Instant::now();
        if until <= now || hubs.iter().all(|hub| hub.is_flushed(SILENCE_MAX)) {
            return;
        }
        if until - now <= FLUSH_MAX - UNSENT_MAX {
            hubs.iter().for_each(|hub| hub.drop_unsent());
        }
    }
}
