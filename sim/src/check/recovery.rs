use crate::Direction;
use crate::plan::FaultPlan;
use engine::Instant;

/// Time of the first bytes that arrived after each fault.
///
/// Only bytes count that an application read because of a datagram sent after the fault had healed.
#[derive(Debug)]
pub struct Recovery {
    /// Healing time of each fault, and time of the first such bytes in each direction.
    faults: Vec<(Instant, [Option<Instant>; 2])>,
    open: usize,
    /// Sending time of the datagram being handled.
    sent_at: Option<Instant>,
}

impl Recovery {
    /// Starts without any recovery.
    pub fn new(faults: &[FaultPlan]) -> Self {
        let faults: Vec<_> = faults.iter().map(|fault| (fault.heals_at(), [None; 2])).collect();
        Self { open: 2 * faults.len(), faults, sent_at: None }
    }

    /// Marks the start of handling a datagram sent at `sent_at`; `None` marks its end.
    pub const fn handle(&mut self, sent_at: Option<Instant>) {
        self.sent_at = sent_at;
    }

    /// Records that an application read bytes of `direction`.
    pub fn note_read(&mut self, now: Instant, direction: Direction) {
        let Some(sent_at) = self.sent_at.filter(|_| self.open > 0) else { return };
        for (healed_at, first) in &mut self.faults {
            let first = &mut first[direction as usize];
            if first.is_none() && sent_at >= *healed_at {
                *first = Some(now);
                self.open -= 1;
            }
        }
    }

    /// Time from the healing of a fault until bytes arrived in that direction, microseconds.
    pub fn recovery_us(&self, fault: usize, direction: Direction) -> Option<u64> {
        let (healed_at, first) = self.faults.get(fault)?;
        first[direction as usize].map(|at| at.since(*healed_at).as_micros() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::FaultKind;

    #[test]
    fn only_datagrams_sent_after_the_healing_count() {
        let at = Instant::from_millis;
        let fault = FaultPlan { at_us: 10_000, for_us: 5_000, kind: FaultKind::NatRebinding };
        let mut recovery = Recovery::new(&[fault]);
        recovery.note_read(at(20), Direction::Up);
        recovery.handle(Some(at(14)));
        recovery.note_read(at(20), Direction::Up);
        assert_eq!(recovery.recovery_us(0, Direction::Up), None);
        recovery.handle(Some(at(15)));
        recovery.note_read(at(21), Direction::Up);
        recovery.note_read(at(22), Direction::Up);
        assert_eq!(recovery.recovery_us(0, Direction::Up), Some(6_000));
        assert_eq!(recovery.recovery_us(0, Direction::Down), None);
    }
}
