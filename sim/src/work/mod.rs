//! The applications on both ends: they write through the tunnel while it has room, read what arrives, and compare it
//! with what their peer wrote.

mod bulk;
mod echo;
mod exchange;
mod fetch;
mod flow;
mod game_ticks;
mod half_close;
mod halves;
mod idle_then_burst;
mod page;
mod pattern;
mod request_response;
mod short_streams;
mod stalled_reader;
mod storm;
mod streams;
mod typing;

pub use bulk::Bulk;
pub use echo::Echo;
pub use game_ticks::GameTicks;
pub use half_close::HalfClose;
pub use idle_then_burst::IdleThenBurst;
pub use page::Page;
pub use pattern::Pattern;
pub use request_response::RequestResponse;
pub use short_streams::ShortStreams;
pub use stalled_reader::StalledReader;
pub use storm::Storm;
pub use typing::Typing;

use crate::ids::Stream;
use crate::outcome::WorkOutcome;
use crate::plan::{WorkKind, WorkPlan};
use crate::rng::Seed;
use crate::transport::Port;
use engine::Instant;

/// The tag of an application's first tick.
pub const START: u64 = 0;

/// Both ends of one workload. `port` selects the end.
pub trait Application {
    /// Acts on its own: at the start, on the client with tag [`START`], and when a timer of [`Port::wake_at`] expires.
    fn tick(&mut self, port: &mut dyn Port, tag: u64);
    /// Reads and writes as much as possible of that stream on that side. May be called without a change, and for
    /// streams that have ended.
    fn advance(&mut self, port: &mut dyn Port, stream: Stream);
    /// The session of the stream ended on that side: the stream can no longer be read or written there.
    fn reset(&mut self, port: &mut dyn Port, stream: Stream);
    /// Starts no new work, and ends endless work, at `now`. [`Application::advance`] is called on both sides of every stream afterwards.
    fn stop(&mut self, now: Instant);
    /// Whether it ends by itself.
    fn is_finite(&self) -> bool;
    /// Whether a finite one has moved all its bytes, or any was stopped and everything written has arrived and both
    /// ends have read the end of the stream.
    fn is_done(&self) -> bool;
    /// Bytes that have to be read, on both sides together, before what it began is done.
    fn owed_bytes(&self) -> u64;
    /// Its measurements.
    fn outcome(&self) -> WorkOutcome;
}

/// The application for a plan.
pub fn application(plan: &WorkPlan, seed: Seed) -> Box<dyn Application> {
    let dice = seed.stream(&format!("work.{}", plan.name));
    match &plan.kind {
        WorkKind::Bulk(bulk) => Box::new(Bulk::new(&plan.name, bulk, dice)),
        WorkKind::Echo(echo) => Box::new(Echo::new(&plan.name, echo, dice)),
        WorkKind::RequestResponse(kind) => Box::new(RequestResponse::new(&plan.name, kind, dice)),
        WorkKind::ShortStreams(kind) => Box::new(ShortStreams::new(&plan.name, kind, dice)),
        WorkKind::Page(kind) => Box::new(Page::new(&plan.name, kind, dice)),
        WorkKind::GameTicks(kind) => Box::new(GameTicks::new(&plan.name, kind, dice)),
        WorkKind::Typing(kind) => Box::new(Typing::new(&plan.name, kind, dice)),
        WorkKind::StalledReader(kind) => Box::new(StalledReader::new(&plan.name, kind, dice)),
        WorkKind::HalfClose(kind) => Box::new(HalfClose::new(&plan.name, kind, dice)),
        WorkKind::Storm(kind) => Box::new(Storm::new(&plan.name, kind, dice)),
        WorkKind::IdleThenBurst(kind) => Box::new(IdleThenBurst::new(&plan.name, kind, dice)),
    }
}

/// Whether there are finite works and all of them are done.
pub(crate) fn is_finished(work: &[Box<dyn Application>]) -> bool {
    let mut finite = work.iter().filter(|work| work.is_finite()).peekable();
    finite.peek().is_some() && finite.all(|work| work.is_done())
}

/// Whether there is work and all of it is done.
pub(crate) fn is_all_done(work: &[Box<dyn Application>]) -> bool {
    !work.is_empty() && work.iter().all(|work| work.is_done())
}
