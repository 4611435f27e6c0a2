//! Detection of the peer's shape from runs of data and parity packets (kcp-go autotune.go).

use crate::time::diff;

/// Samples kept: 256, and one at either end to see the edges (FEC-13).
const SAMPLES_MAX: usize = 258;

#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    seqid: u32,
    data: bool,
}

/// The last [`SAMPLES_MAX`] packets in order of arrival, as the 2026 generation keeps them.
#[derive(Debug, Default)]
pub(crate) struct Autotune {
    samples: Vec<Sample>,
    /// The oldest sample once all places are taken.
    oldest: usize,
    /// Distance, order of arrival, whether it is data.
    sorted: Vec<(i32, usize, bool)>,
}

impl Autotune {
    pub(crate) fn sample(&mut self, data: bool, seqid: u32) {
        debug_assert!(
            self.oldest == 0 || self.samples.len() == SAMPLES_MAX,
            "the window wrapped before it was full"
        );
        if self.samples.len() < SAMPLES_MAX {
            return self.samples.push(Sample { seqid, data });
        }
        self.samples[self.oldest] = Sample { seqid, data };
        self.oldest = (self.oldest + 1) % SAMPLES_MAX;
    }

    pub(crate) const fn len(&self) -> usize {
        self.samples.len()
    }

    /// Lengths of a run of data packets and of a run of parity packets, if the samples hold both from edge to edge
    /// (FEC-13).
    ///
    /// Seqids are ordered by their distance from the oldest one: unlike a pairwise comparison that is an
    /// order for any seqids. Equal ones, of a restarted peer, keep their order of arrival.
    pub(crate) fn detect(&mut self) -> Option<(usize, usize)> {
        let (newer, older) = self.samples.split_at(self.oldest);
        let pivot = older.first()?.seqid;
        let samples = older.iter().chain(newer).enumerate();
        self.sorted.clear();
        self.sorted
            .extend(samples.map(|(arrival, sample)| (diff(sample.seqid, pivot), arrival, sample.data)));
        self.sorted.sort_unstable();
        Some((self.period(true)?, self.period(false)?))
    }

    fn period(&self, wanted: bool) -> Option<usize> {
        let mut left = None;
        for (at, pair) in self.sorted.windows(2).enumerate() {
            let [(before, _, from), (after, _, to)] = [pair[0], pair[1]];
            if before.wrapping_add(1) != after {
                return None;
            }
            match left {
                None if from != wanted && to == wanted => left = Some(at),
                Some(left) if to != wanted => return Some(at - left),
                _ => {}
            }
        }
        None
    }
}

/// Samples by seqid modulo their number, as the 2021 generation keeps them (FEC-14).
#[derive(Debug)]
pub(crate) struct Autotune2021 {
    samples: Vec<Sample>,
}

impl Autotune2021 {
    pub(crate) fn new() -> Self {
        Self { samples: vec![Sample::default(); SAMPLES_MAX] }
    }

    pub(crate) fn sample(&mut self, data: bool, seqid: u32) {
        self.samples[seqid as usize % SAMPLES_MAX] = Sample { seqid, data };
    }

    pub(crate) fn detect(&self) -> Option<(usize, usize)> {
        Some((self.period(true)?, self.period(false)?))
    }

    /// Seqids must be contiguous at the first edge and from there to the next one. Without a first edge the run starts
    /// at the first sample.
    fn period(&self, wanted: bool) -> Option<usize> {
        let follows = |pair: &[Sample]| pair[0].seqid.wrapping_add(1) == pair[1].seqid;
        let rises = |pair: &[Sample]| pair[0].data != wanted && pair[1].data == wanted && follows(pair);
        let left = self.samples.windows(2).position(rises).map_or(0, |at| at + 1);
        for (at, pair) in self.samples.windows(2).enumerate().skip(left) {
            if !follows(pair) {
                return None;
            }
            if pair[0].data == wanted && pair[1].data != wanted {
                return Some(at + 1 - left);
            }
        }
        None
    }
}
