//! The applications on both ends: they write through the tunnel while it has room, read what arrives, and compare it
//! with what their peer wrote.

mod bulk;
mod echo;
mod halves;
mod pattern;

pub use bulk::{Bulk, BulkPlan};
pub use echo::{Echo, EchoPlan};
pub use pattern::{Content, Pattern};

use crate::host::Port;
use crate::outcome::WorkOutcome;
use crate::rng::Seed;
use engine::{Instant, StreamId};

/// One workload, on its own stream.
#[derive(Clone, Debug)]
pub struct WorkPlan {
    /// Unique name.
    pub name: String,
    /// When its stream is opened, microseconds.
    pub start_us: u64,
    /// What it does.
    pub kind: WorkKind,
}

/// What a workload does.
#[derive(Clone, Debug)]
pub enum WorkKind {
    /// Moves bytes one way.
    Bulk(BulkPlan),
    /// Sends small messages at an interval and has them sent back.
    Echo(EchoPlan),
}

/// Both ends of one workload. `port` says which end is meant.
pub trait Application {
    /// The client acts on its own: opens the stream first, then whatever is due. Answers when it wants to act again.
    fn tick(&mut self, port: &mut Port<'_>) -> Option<Instant>;
    /// Reads and writes as much as possible on that side.
    fn advance(&mut self, port: &mut Port<'_>);
    /// Offers no new bytes from here on. [`Application::advance`] is called on both sides afterwards.
    fn stop(&mut self);
    /// Whether it ends by itself.
    fn is_finite(&self) -> bool;
    /// Whether a finite one has moved all its bytes, or any was stopped and everything written has arrived and both
    /// ends have read the end of the stream.
    fn is_done(&self) -> bool;
    /// Its stream, once opened.
    fn stream(&self) -> Option<StreamId>;
    /// What it measured.
    fn outcome(&self) -> WorkOutcome;
}

/// The application for a plan.
pub fn application(plan: &WorkPlan, seed: Seed) -> Box<dyn Application> {
    let dice = seed.stream(&format!("work.{}", plan.name));
    match &plan.kind {
        WorkKind::Bulk(bulk) => Box::new(Bulk::new(&plan.name, bulk, dice)),
        WorkKind::Echo(echo) => Box::new(Echo::new(&plan.name, echo, dice)),
    }
}
