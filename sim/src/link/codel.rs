//! CoDel, RFC 8289, in integers.

use crate::plan::CodelPlan;
use engine::Instant;
use std::time::Duration;

/// The largest packet; a queue of less is never too long (RFC 8289, 4.4).
const PACKET_BYTES_MAX: u64 = 1_500;

/// A drop state left less than this many intervals ago is resumed (RFC 8289, 5.4, as Linux has it).
const RESUME_INTERVALS: u32 = 16;

/// A packet that leaves the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaving<P> {
    /// The packet.
    pub packet: P,
    /// When it came.
    pub queued_at: Instant,
    /// Bytes that still wait behind it.
    pub behind_bytes: u64,
}

/// State of CoDel, names as in RFC 8289 section 5.
#[derive(Debug, Default)]
pub struct Codel {
    first_above_at: Option<Instant>,
    drop_next: Instant,
    count: u64,
    last_count: u64,
    dropping: bool,
}

impl Codel {
    /// Takes packets with `pop` until one may be sent; the others go to `drop`.
    pub fn dequeue<P>(
        &mut self,
        plan: CodelPlan,
        now: Instant,
        mut pop: impl FnMut() -> Option<Leaving<P>>,
        mut drop: impl FnMut(P),
    ) -> Option<P> {
        let (mut head, mut may_drop) = self.judge(plan, now, pop());
        if self.dropping {
            self.dropping = may_drop;
            while self.dropping && now >= self.drop_next {
                head.into_iter().for_each(|leaving| drop(leaving.packet));
                self.count += 1;
                (head, may_drop) = self.judge(plan, now, pop());
                self.dropping = may_drop;
                if may_drop {
                    self.drop_next = control_law(plan, self.drop_next, self.count);
                }
            }
        } else if may_drop {
            head.into_iter().for_each(|leaving| drop(leaving.packet));
            (head, _) = self.judge(plan, now, pop());
            self.enter(plan, now);
        }
        head.map(|leaving| leaving.packet)
    }

    /// Whether the packet at the head has seen a queue that stood for an interval (the RFC's `dodequeue`).
    fn judge<P>(
        &mut self,
        plan: CodelPlan,
        now: Instant,
        head: Option<Leaving<P>>,
    ) -> (Option<Leaving<P>>, bool) {
        let is_above = head.as_ref().is_some_and(|leaving| {
            let waited = now.since(leaving.queued_at);
            waited >= Duration::from_micros(plan.target_us) && leaving.behind_bytes > PACKET_BYTES_MAX
        });
        let may_drop = match self.first_above_at {
            _ if !is_above => {
                self.first_above_at = None;
                false
            }
            None => {
                self.first_above_at = Some(now + Duration::from_micros(plan.interval_us));
                false
            }
            Some(at) => now >= at,
        };
        (head, may_drop)
    }

    fn enter(&mut self, plan: CodelPlan, now: Instant) {
        self.dropping = true;
        let more = self.count - self.last_count;
        let recently = Duration::from_micros(plan.interval_us) * RESUME_INTERVALS;
        let resumes = more > 1 && now.since(self.drop_next) < recently;
        self.count = if resumes { more } else { 1 };
        self.drop_next = control_law(plan, now, self.count);
        self.last_count = self.count;
    }
}

/// `at` plus the interval divided by the square root of `count`, to a 2^-16th.
fn control_law(plan: CodelPlan, at: Instant, count: u64) -> Instant {
    let root = (u128::from(count) << 32).isqrt();
    at + Duration::from_micros(((u128::from(plan.interval_us) << 16) / root) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: CodelPlan = CodelPlan { target_us: 5_000, interval_us: 100_000 };

    /// A packet leaves every millisecond; all have waited for `waited_us`. The times of the drops.
    fn drops_ms(codel: &mut Codel, from_ms: u64, to_ms: u64, waited_us: u64) -> Vec<u64> {
        let mut drops = Vec::new();
        for ms in from_ms..to_ms {
            let now = Instant::from_millis(ms);
            let queued_at = Instant::from_micros(now.as_micros() - waited_us);
            let pop = || Some(Leaving { packet: ms, queued_at, behind_bytes: 100_000 });
            codel.dequeue(PLAN, now, pop, |packet| drops.push(packet));
        }
        drops
    }

    #[test]
    fn drops_after_an_interval_and_then_ever_more_often() {
        let drops = drops_ms(&mut Codel::default(), 1_000, 1_600, 6_000);
        // 100 ms after the start, then 100, 100 / sqrt 2, 100 / sqrt 3 ... ms later, at the next whole millisecond.
        assert_eq!(drops, [1_100, 1_200, 1_271, 1_329, 1_379, 1_424, 1_464, 1_502, 1_538, 1_571]);
    }

    #[test]
    fn a_short_queue_and_an_empty_one_are_left_alone() {
        assert!(drops_ms(&mut Codel::default(), 1_000, 3_000, 4_999).is_empty());
        let mut codel = Codel::default();
        for ms in 1_000..3_000 {
            let behind = Leaving { packet: ms, queued_at: Instant::ZERO, behind_bytes: PACKET_BYTES_MAX };
            let sent = codel.dequeue(PLAN, Instant::from_millis(ms), || Some(behind), |_| unreachable!());
            assert_eq!(sent, Some(ms));
        }
        assert_eq!(codel.dequeue(PLAN, Instant::ZERO, || None::<Leaving<u64>>, |_| unreachable!()), None);
    }

    #[test]
    fn a_drop_state_left_recently_is_resumed_at_its_rate() {
        let mut codel = Codel::default();
        let first = drops_ms(&mut codel, 1_000, 2_000, 6_000).len() as u64;
        assert!(drops_ms(&mut codel, 2_000, 2_050, 1_000).is_empty());
        let again = drops_ms(&mut codel, 2_050, 2_300, 6_000);
        assert_eq!(again[0], 2_150);
        assert!(again[1] - again[0] < 40 && first > 10, "{again:?}");
        // Long after, it starts at the initial rate.
        assert!(drops_ms(&mut codel, 2_300, 5_000, 1_000).is_empty());
        let restarted = drops_ms(&mut codel, 5_000, 5_300, 6_000);
        assert_eq!(restarted[..2], [5_100, 5_200]);
    }
}
