//! The engine's clock arithmetic: the only place with instants, the millisecond wrap and serial numbers.

use core::ops::Add;
use core::time::Duration;

/// A point on the driver's own monotonic axis, in microseconds. The engine never reads a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The origin of the driver's axis.
    pub const ZERO: Self = Self(0);

    /// The instant `micros` microseconds after the driver's origin.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The instant `millis` milliseconds after the driver's origin.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1000)
    }

    /// Microseconds since the driver's origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the driver's origin (FEC wall clock, FEC-5).
    pub const fn as_millis(self) -> u64 {
        self.0 / 1000
    }

    /// The millisecond clock of KCP headers: u32, wraps every 49.7 days (KCP-2).
    pub const fn ms(self) -> u32 {
        (self.0 / 1000) as u32
    }

    /// Time since `earlier`, zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// The start of the millisecond that lies `ms` milliseconds after the one this instant is in.
    ///
    /// KCP compares whole milliseconds, so a deadline must fall on a millisecond boundary to be due when it fires.
    pub const fn ms_boundary_after(self, ms: u32) -> Self {
        Self((self.0 / 1000 + ms as u64) * 1000)
    }

    /// The next whole multiple of `ms` milliseconds since the driver's origin after the millisecond this instant is in.
    ///
    /// Timers of many sessions that are due about then fall together, and the machine wakes up once for all.
    pub const fn ms_multiple_after(self, ms: u32) -> Self {
        let ms = if ms == 0 { 1 } else { ms as u64 };
        Self((self.0 / 1000 / ms + 1) * ms * 1000)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(rhs.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// Signed distance `a - b` of two serial numbers or millisecond clocks modulo 2^32 (KCP-2).
pub const fn diff(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b) as i32
}

/// A deadline of the engine and its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// When the driver must call `handle_timeout`.
    pub at: Instant,
    /// The work that is due then.
    pub why: Timer,
}

impl Deadline {
    /// The earlier of two optional deadlines; the first one on a tie.
    pub fn earliest(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(if b.at < a.at { b } else { a }),
            (a, b) => a.or(b),
        }
    }
}

/// Reasons of a [`Deadline`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Timer {
    /// KCP's periodic flush: acknowledgements, retransmissions, window probes.
    Flush,
    /// smux sends a NOP.
    Keepalive,
    /// smux checks for datagrams from the peer.
    PeerCheck,
    /// The peer has been silent long enough to trigger a probe.
    Probe,
    /// The rate limit permits the next datagrams.
    Pace,
    /// An address is probed, the session moves, or it ends because its peer acknowledged nothing.
    Path,
    /// A stream with a stalled reader is reset, because it blocks the others.
    Stall,
    /// The client checks whether a replaced session is still used.
    Scavenge,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_difference_survives_the_wrap() {
        assert_eq!(diff(3, u32::MAX), 4);
        assert_eq!(diff(u32::MAX, 3), -4);
        assert_eq!(diff(0x8000_0000, 0), i32::MIN);
    }

    #[test]
    fn millisecond_clock_wraps_at_32_bits() {
        assert_eq!(Instant::from_millis((1 << 32) + 7).ms(), 7);
        assert_eq!(Instant::from_micros(1_999).ms_boundary_after(2), Instant::from_micros(3_000));
    }

    #[test]
    fn multiples_lie_ahead() {
        let after = |us, ms| Instant::from_micros(us).ms_multiple_after(ms).as_micros();
        assert_eq!([after(0, 30), after(29_999, 30), after(30_000, 30)], [30_000, 30_000, 60_000]);
        assert_eq!(after(1_234_567, 0), 1_235_000);
    }
}
