use super::Link;
use crate::plan::{FaultKind, FaultPlan};
use engine::Instant;

impl Link {
    /// Impairs the link as the faults that are active at `now` specify.
    pub fn apply_faults(&mut self, faults: &[FaultPlan], now: Instant) {
        let direction = self.direction;
        let (mut dead, mut doubled, mut damaged) = (false, 0, 0);
        for fault in faults.iter().filter(|fault| fault.is_active(now)) {
            match fault.kind {
                FaultKind::Blackout(ways) => dead |= ways.has(direction),
                FaultKind::DuplicateStorm { ppm, ways } if ways.has(direction) => doubled = doubled.max(ppm),
                FaultKind::Corruption { ppm, ways } if ways.has(direction) => damaged = damaged.max(ppm),
                _ => {}
            }
        }
        self.set_blackout(dead);
        self.set_duplicate_storm(doubled);
        self.set_corruption(damaged);
    }
}
