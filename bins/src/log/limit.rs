//! Bounds lines that a peer or a failure can repeat (CLI-102): those about one subject, and those of one kind. What is left out is
//! counted, and the next line states the number.

use super::Level;
use engine::Instant;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;
use tokio::time::Instant as Moment;

/// Lines about one subject: at once, and one more after each interval. Sessions ([`Level::Info`]) come and go, anything else that is
/// limited is a failure or an attempt.
const FAILURES: (u32, Duration) = (3, Duration::from_secs(30));
const SESSIONS: (u32, Duration) = (20, Duration::from_secs(5));

/// Lines of one event about all subjects.
const EVENT: (u32, Duration) = (100, Duration::from_secs(1));

/// Subjects remembered; the one that was mentioned longest ago makes room.
const SUBJECTS_MAX: usize = 256;

thread_local! {
    static LIMITS: RefCell<Limits> = RefCell::new(Limits::new());
}

/// Forgets all lines: another run of a program begins on this thread.
pub(crate) fn forget() {
    LIMITS.set(Limits::new());
}

/// Whether a line about `subject` may be logged: the number of lines left out before it.
pub(crate) fn permit(level: Level, event: &'static str, subject: &dyn Display) -> Option<u64> {
    LIMITS.with_borrow_mut(|limits| {
        let elapsed = limits.started.elapsed().as_micros();
        let now = Instant::from_micros(u64::try_from(elapsed).unwrap_or(u64::MAX));
        limits.permit(now, level, event, subject.to_string())
    })
}

#[derive(Debug)]
struct Limits {
    started: Moment,
    events: BTreeMap<&'static str, Bucket>,
    subjects: BTreeMap<(&'static str, String), Subject>,
}

#[derive(Debug)]
struct Subject {
    bucket: Bucket,
    mentioned_at: Instant,
    left_out: u64,
}

impl Limits {
    fn new() -> Self {
        Self { started: Moment::now(), events: BTreeMap::new(), subjects: BTreeMap::new() }
    }

    fn permit(&mut self, now: Instant, level: Level, event: &'static str, subject: String) -> Option<u64> {
        let key = (event, subject);
        if self.subjects.len() >= SUBJECTS_MAX && !self.subjects.contains_key(&key) {
            let oldest = self.subjects.iter().min_by_key(|(_, subject)| subject.mentioned_at);
            oldest.map(|(key, _)| key.clone()).map(|oldest| self.subjects.remove(&oldest));
        }
        let limit = if level == Level::Info { SESSIONS } else { FAILURES };
        let new = || Subject { bucket: Bucket::new(limit), mentioned_at: now, left_out: 0 };
        let subject = self.subjects.entry(key).or_insert_with(new);
        subject.mentioned_at = now;
        let event = self.events.entry(event).or_insert_with(|| Bucket::new(EVENT));
        if subject.bucket.has(now) && event.take(now) {
            subject.bucket.take(now);
            return Some(std::mem::take(&mut subject.left_out));
        }
        subject.left_out += 1;
        None
    }
}

/// A number of permits that refills over time.
#[derive(Debug)]
pub(crate) struct Bucket {
    permits: u32,
    permits_max: u32,
    interval: Duration,
    /// Permits up to here were added.
    filled_at: Instant,
}

impl Bucket {
    pub(crate) const fn new((permits_max, interval): (u32, Duration)) -> Self {
        Self { permits: permits_max, permits_max, interval, filled_at: Instant::ZERO }
    }

    pub(crate) fn has(&mut self, now: Instant) -> bool {
        let passed = now.since(self.filled_at).as_micros() / self.interval.as_micros();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        self.permits = self.permits.saturating_add(passed).min(self.permits_max);
        self.filled_at =
            if self.permits == self.permits_max { now } else { self.filled_at + self.interval * passed };
        self.permits > 0
    }

    /// Whether there was a permit.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let has = self.has(now);
        self.permits -= u32::from(has);
        has
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    // CLI-102
    #[test]
    fn repeats_are_left_out_counted_and_stated_later() {
        let mut limits = Limits::new();
        let mut permit =
            |seconds, subject: &str| limits.permit(at(seconds), Level::Warn, "mismatch", subject.into());
        assert_eq!((0..450).filter_map(|_| permit(1, "a")).collect::<Vec<_>>(), [0, 0, 0]);
        assert_eq!(permit(2, "b"), Some(0), "another subject");
        assert_eq!((permit(31, "a"), permit(32, "a")), (Some(447), None));
        assert_eq!(permit(62, "a"), Some(1));
    }

    // CLI-102: a flood from many sources.
    #[test]
    fn all_subjects_together_are_bounded() {
        let mut limits = Limits::new();
        let mut permit =
            |seconds, subject: u32| limits.permit(at(seconds), Level::Info, "accepted", subject.to_string());
        assert_eq!((0..10_000).filter_map(|subject| permit(1, subject)).count(), 100);
        assert_eq!((0..10_000).filter_map(|subject| permit(11, subject)).count(), 10);
        assert!(limits.subjects.len() <= SUBJECTS_MAX);
    }
}
