//! The engine's time: microseconds since the program started.

use engine::Instant;
use std::time::Duration;
use tokio::time::Instant as Moment;

/// The runtime's clock, which is the system's monotonic one unless a test stops it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Moment);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Moment::now())
    }

    pub(crate) fn now(self) -> Instant {
        Instant::from_micros(u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The moment `at` for the runtime's timer.
    pub(crate) fn moment(self, at: Instant) -> Moment {
        self.0 + Duration::from_micros(at.as_micros())
    }
}
