//! The receiving side: keeps packets by group, rebuilds lost data packets, detects the peer's shape.

use super::Counters;
use super::autotune::{Autotune, Autotune2021};
use super::groups::Groups;
use super::list::List;
use super::rebuild::Rebuilder;
use super::{HEADER_LEN, Kind, PACKET_BYTES_MAX, Shape, kind, seqid};
use crate::Generation;
use crate::observe::{Mark, Marks};

/// Rebuilds lost data packets. Those that arrive go straight to the ARQ as well.
#[derive(Debug)]
pub struct Decoder {
    shape: Shape,
    store: Store,
    rebuilder: Rebuilder,
    counters: Counters,
    /// The peer was detected to use another shape.
    reshaped: bool,
    /// The conversation whose shards are rebuilt; `None` takes any.
    conv: Option<u32>,
}

#[derive(Debug)]
enum Store {
    Go2026 { groups: Groups, autotune: Autotune, tuning: bool, exit: TuneExit },
    Go2021 { list: List, autotune: Autotune2021 },
}

/// When the 2026 decoder leaves the tuning state, in which it rebuilds nothing (FEC-18).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TuneExit {
    /// When it detects any shape, as kcp-go v5.6.64 and later.
    #[default]
    AnyShape,
    /// Only when it detects another shape than its own, as kcp-go v5.6.63: after one misplaced packet of an
    /// otherwise unchanged peer it never rebuilds anything again.
    OtherShape,
}

/// The numbers kcp-go's decoder keeps, for traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderState {
    /// Data shards per group.
    pub data: usize,
    /// Parity shards per group.
    pub parity: usize,
    /// A packet did not fit the shape; detection continues.
    pub tuning: bool,
    /// Number of the newest group.
    pub newest_group: u32,
    /// Groups held.
    pub groups: usize,
    /// Packets held.
    pub packets: usize,
    /// Where seqids wrap.
    pub paws: u32,
    /// Samples for the detection.
    pub samples: usize,
}

impl Decoder {
    /// A decoder for groups of `shape`; `None` starts with one to one and detection, as a session without FEC
    /// does (FEC-15).
    pub fn new(shape: Option<Shape>, generation: Generation) -> Self {
        let store = match generation {
            Generation::Go2026 => Store::Go2026 {
                groups: Groups::default(),
                autotune: Autotune::default(),
                tuning: false,
                exit: TuneExit::default(),
            },
            Generation::Go2021 => Store::Go2021 { list: List::default(), autotune: Autotune2021::new() },
        };
        let shape = shape.unwrap_or(Shape::ONE_TO_ONE);
        Self {
            shape,
            store,
            rebuilder: Rebuilder::new(),
            counters: Counters::default(),
            reshaped: false,
            conv: None,
        }
    }

    /// Sets the end of the tuning state, which the 2021 generation does not have.
    #[must_use]
    pub fn with_tune_exit(mut self, tune_exit: TuneExit) -> Self {
        if let Store::Go2026 { exit, .. } = &mut self.store {
            *exit = tune_exit;
        }
        self
    }

    /// Rebuilds only groups all of whose rebuilt shards carry this conversation (FEC-23). The caller passes no data packet
    /// of another one.
    #[must_use]
    pub const fn with_conv(mut self, conv: u32) -> Self {
        self.conv = Some(conv);
        self
    }

    /// Sets the newest group seen, for traces that start in the middle.
    #[must_use]
    pub fn with_newest_group(mut self, newest: u32) -> Self {
        if let Store::Go2026 { groups, .. } = &mut self.store {
            groups.set_newest(newest);
        }
        self
    }

    /// Takes a whole FEC packet from the seqid on. Shards rebuilt with it are polled afterwards; shards that were not
    /// polled before are discarded.
    ///
    /// Anything but a data or parity packet of [`HEADER_LEN`] to [`PACKET_BYTES_MAX`] bytes is ignored
    /// (FEC-16, FEC-17).
    pub fn decode(&mut self, now_ms: u64, packet: &[u8]) {
        self.rebuilder.clear();
        if !(HEADER_LEN..=PACKET_BYTES_MAX).contains(&packet.len()) {
            return;
        }
        match kind(packet) {
            Some(kind @ (Kind::Data | Kind::Parity)) => self.sample_and_store(now_ms, kind, packet),
            Some(Kind::OutOfBand) | None => {}
        }
    }

    /// The next rebuilt KCP datagram, without size field and padding; valid until the next call. Shards with an
    /// impossible size field are counted and skipped (FEC-9).
    pub fn poll_recovered(&mut self) -> Option<&[u8]> {
        loop {
            let size = match self.rebuilder.peek()? {
                [low, high, rest @ ..] => usize::from(u16::from_le_bytes([*low, *high]))
                    .checked_sub(2)
                    .filter(|size| *size <= rest.len()),
                _ => None,
            };
            match size {
                Some(size) => return self.rebuilder.poll().map(|shard| &shard[2..][..size]),
                None => {
                    self.rebuilder.poll();
                    self.counters.errs += 1;
                }
            }
        }
    }

    /// The next rebuilt shard: size field, KCP bytes, zero padding to the longest shard of its group.
    pub fn poll_recovered_shard(&mut self) -> Option<&[u8]> {
        self.rebuilder.poll()
    }

    /// The seqids of the data packets rebuilt with `packet`, which was decoded last, and of the parity packets used.
    pub(crate) fn rebuilt_by(
        &self,
        packet: &[u8],
    ) -> (impl Iterator<Item = u32> + '_, impl Iterator<Item = u32> + '_) {
        let first = seqid(packet) - u32::from(self.shape.index(seqid(packet)));
        let (missing, known) = self.rebuilder.places();
        let parity = known.iter().filter(|&&place| usize::from(place) >= self.shape.data());
        let at = move |place: &u8| first + u32::from(*place);
        (missing.iter().map(at), parity.map(at))
    }

    /// The shape of the groups it decodes.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// Totals and gauges.
    pub fn counters(&self) -> Counters {
        let (shard_set, shard_min) = match &self.store {
            Store::Go2026 { groups, .. } => (groups.len(), groups.newest()),
            Store::Go2021 { list, .. } => (list.len(), 0),
        };
        Counters { shard_set: shard_set as u64, shard_min: u64::from(shard_min), ..self.counters }
    }

    /// Coverage marks that were hit.
    pub fn marks(&self) -> Marks {
        let mut marks = Marks::NONE;
        marks.hit_if(Mark::FecOtherShape, self.reshaped);
        let wrapped = matches!(&self.store, Store::Go2026 { groups, .. } if groups.wrapped());
        marks.hit_if(Mark::ShardWrapIn, wrapped);
        marks.hit_if(Mark::ForeignParity, self.counters.foreign > 0);
        marks
    }

    /// The numbers kcp-go's decoder of 2026 keeps, for traces; for the 2021 generation only shape and packets
    /// count.
    pub fn state(&self) -> DecoderState {
        let (data, parity, paws) = (self.shape.data(), self.shape.parity(), self.shape.paws());
        let none = DecoderState {
            data,
            parity,
            paws,
            tuning: false,
            newest_group: 0,
            groups: 0,
            packets: 0,
            samples: 0,
        };
        match &self.store {
            Store::Go2026 { groups, autotune, tuning, .. } => DecoderState {
                tuning: *tuning,
                newest_group: groups.newest(),
                groups: groups.len(),
                packets: groups.packets(),
                samples: autotune.len(),
                ..none
            },
            Store::Go2021 { list, .. } => DecoderState { packets: list.len(), ..none },
        }
    }

    fn sample_and_store(&mut self, now_ms: u64, kind: Kind, packet: &[u8]) {
        let seqid = seqid(packet);
        let Self { shape, store, rebuilder, counters, reshaped, conv } = self;
        match store {
            Store::Go2026 { groups, autotune, tuning, exit } => {
                autotune.sample(kind == Kind::Data, seqid);
                // FEC-20
                if seqid >= shape.paws() {
                    return;
                }
                *tuning |= !shape.fits(seqid, kind);
                if !*tuning {
                    return groups.insert((*shape, *conv), (kind, packet), rebuilder, counters);
                }
                // A packet that arrives while tuning is never stored (FEC-11).
                if let Some(found) = autotune.detect().and_then(shape_2026) {
                    *tuning = found == *shape && *exit == TuneExit::OtherShape;
                    if found != *shape {
                        *shape = found;
                        *reshaped = true;
                        groups.clear();
                    }
                }
            }
            Store::Go2021 { list, autotune } => {
                autotune.sample(kind == Kind::Data, seqid);
                if !shape.fits(seqid, kind) {
                    let found = autotune.detect().and_then(|(data, parity)| Shape::new(data, parity).ok());
                    *reshaped |= found.is_some_and(|found| found != *shape);
                    *shape = found.unwrap_or(*shape);
                }
                list.insert(now_ms, (*shape, *conv), (kind, packet), rebuilder, counters);
            }
        }
    }
}

/// kcp-go 2026 takes detected shapes of less than 256 shards (FEC-13).
fn shape_2026((data, parity): (usize, usize)) -> Option<Shape> {
    Shape::new(data, parity).ok().filter(|shape| shape.total() < 256)
}
