//! The applications on both ends: they write through the tunnel while it has room, read what arrives, and compare it
//! with what their peer wrote.

mod bulk;
mod echo;
mod halves;
mod pattern;

pub use bulk::{Bulk, BulkPlan};
pub use echo::{Echo, EchoPlan};
pub use pattern::{Content, Pattern};

use crate::host::{Port, Stream};
use crate::outcome::WorkOutcome;
use crate::rng::Seed;

/// One workload, on streams of its own.
#[derive(Clone, Debug)]
pub struct WorkPlan {
    /// Unique name.
    pub name: String,
    /// When it starts, microseconds.
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

/// The tag of an application's first tick.
pub const START: u64 = 0;

/// Both ends of one workload. `port` says which end is meant.
pub trait Application {
    /// Acts on its own: at the start, on the client with tag [`START`], and whenever [`Port::wake_at`] was asked to.
    fn tick(&mut self, port: &mut dyn Port, tag: u64);
    /// Reads and writes as much as possible of that stream on that side. May be called when nothing happened, and for
    /// streams that are over.
    fn advance(&mut self, port: &mut dyn Port, stream: Stream);
    /// What carried the stream on that side is gone, the stream with it: nothing more can be read or written there.
    fn reset(&mut self, port: &mut dyn Port, stream: Stream);
    /// Offers no new bytes from here on. [`Application::advance`] is called on both sides of every stream afterwards.
    fn stop(&mut self);
    /// Whether it ends by itself.
    fn is_finite(&self) -> bool;
    /// Whether a finite one has moved all its bytes, or any was stopped and everything written has arrived and both
    /// ends have read the end of the stream.
    fn is_done(&self) -> bool;
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
