//! The end of a program (CLI-25).

use super::hub::Hub;
use crate::service;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

/// Time for queued data to be acknowledged.
const DRAIN_MS_MAX: u64 = 1000;
const DRAIN_STEP_MS: u64 = 5;

/// Waits for SIGTERM and SIGINT, or for the simulated host that ends the program.
#[derive(Debug)]
pub(crate) enum Stop {
    Signals { terminate: Signal, interrupt: Signal },
    Requests(Rc<Notify>),
}

impl Stop {
    pub(crate) fn new() -> io::Result<Self> {
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Self::Signals { terminate: signal(terminate)?, interrupt: signal(interrupt)? })
    }

    pub(crate) async fn requested(&mut self) {
        match self {
            Self::Signals { terminate, interrupt } => tokio::select! {
                biased;
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            },
            Self::Requests(requests) => requests.notified().await,
        }
        service::stopping();
    }
}

/// Ends all streams, and waits a moment for their data to be acknowledged.
pub(crate) async fn drain(hubs: &[Rc<Hub>]) {
    hubs.iter().for_each(|hub| hub.close_all_streams());
    for _ in 0..DRAIN_MS_MAX / DRAIN_STEP_MS {
        if hubs.iter().all(|hub| hub.is_drained()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(DRAIN_STEP_MS)).await;
    }
}
