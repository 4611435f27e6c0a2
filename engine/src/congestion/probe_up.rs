//! ProbeBw-Up: how much more is sent to probe for bandwidth.

use super::Tally;

/// Loss of a probe beyond the random loss that counts as congestion, parts per million. A probe may end in losses for a part of
/// its time only.
const EXCESS_PPM: u32 = 10_000;

/// Lost segments from which on a probe can count as congested.
const LOST_MIN: u32 = 8;

/// State of the probes for bandwidth.
#[derive(Debug)]
pub(super) struct ProbeUp {
    /// Segments sent above the estimated bandwidth, since they were judged last.
    pub(super) tally: Tally,
    /// What a probe adds to the bytes in flight at most.
    bytes_max: u64,
    /// This probe has found more bandwidth.
    pub(super) grows: bool,
    /// Delivery rate to be exceeded, bytes per second.
    from_bytes_s: u64,
}

impl ProbeUp {
    pub(super) const fn new() -> Self {
        Self {
            tally: Tally { delivered: 0, lost: 0, runs: 0 },
            bytes_max: u64::MAX,
            grows: false,
            from_bytes_s: 0,
        }
    }

    /// A probe begins at the estimate `bytes_s`.
    pub(super) const fn start(&mut self, bytes_s: u64) {
        (self.from_bytes_s, self.grows) = (bytes_s, false);
    }

    /// What a probe adds to what is in flight on a path that holds `path_bytes`.
    pub(super) fn share_bytes(&self, path_bytes: u64) -> u64 {
        self.bytes_max.min(path_bytes / if self.grows { 2 } else { 8 })
    }

    /// Judges the last probe: one that met congestion makes the next one smaller.
    pub(super) fn adapt(&mut self, path_bytes: u64, segment_bytes: u64, random_ppm: u32, random: Tally) {
        let tally = std::mem::take(&mut self.tally);
        let excessive = tally.lost >= LOST_MIN && tally.loss_ppm() > random_ppm * 5 / 4 + EXCESS_PPM;
        let congested = excessive && tally.exceeds(random);
        let before = self.bytes_max.min(path_bytes / 8);
        if congested {
            self.bytes_max = (before / 2).max(path_bytes / 32);
        } else if tally.total() > 0 {
            self.bytes_max = (before + path_bytes / 32).max(4 * segment_bytes);
        }
    }

    /// Whether the delivery rate `bytes_s` exceeds the one before by half of what the probe adds, at least 2 % and at most 10 %.
    pub(super) fn exceeds(&self, bytes_s: u64, path_bytes: u64) -> bool {
        let path_bytes = path_bytes.max(1);
        let share = (self.share_bytes(path_bytes) * 1_000 / path_bytes / 2).clamp(20, 100);
        bytes_s >= self.from_bytes_s * (1_000 + share) / 1_000
    }

    /// The probe found that the path carries `bytes_s`, and goes on with more.
    pub(super) const fn grow(&mut self, bytes_s: u64) {
        (self.from_bytes_s, self.bytes_max, self.grows) = (bytes_s, u64::MAX, true);
    }
}
