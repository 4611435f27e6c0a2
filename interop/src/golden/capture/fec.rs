//! The FEC layer: decodes shards to KCP datagrams, recomputes parity, rebuilds missing data.

use super::crypt::Payload;
use super::figures::Figures;
use super::file::Side;
use super::{Checked, compare, differs};
use engine::Generation;
use engine::fec::{Decoder, Encoder, HEADER_LEN, Kind, PACKET_BYTES_MAX, Shape, kind, seqid};
use std::collections::BTreeMap;

/// A KCP datagram as delivered to the ARQ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inner {
    /// Frame that delivered it, or that completed its group.
    pub(super) frame: usize,
    /// Rebuilt from parity by the decoder.
    pub(super) recovered: bool,
    /// KCP segments.
    pub(super) bytes: Vec<u8>,
}

/// Output of the FEC layer of one direction.
#[derive(Debug, Default)]
pub(super) struct Unwrapped {
    /// KCP datagrams in order of delivery.
    pub(super) inner: Vec<Inner>,
    /// Data packets missing when their group had enough shards, whether they arrived later or not.
    pub(super) rebuilt: Vec<Vec<u8>>,
    /// Number of compared parity shards.
    pub(super) compared: usize,
}

/// Removes the FEC layer if the sender uses FEC.
pub(super) fn unwrap(
    side: &Side,
    generation: Generation,
    payloads: Vec<Payload>,
    figures: &mut Figures,
) -> Checked<Unwrapped> {
    if side.datashard == 0 || side.parityshard == 0 {
        let plain = |payload: Payload| Inner { frame: payload.frame, recovered: false, bytes: payload.bytes };
        return Ok(Unwrapped { inner: payloads.into_iter().map(plain).collect(), ..Unwrapped::default() });
    }
    let shape =
        Shape::new(side.datashard, side.parityshard).or_else(|error| super::broken(error.to_string()))?;
    let groups = Groups::sort(shape, &payloads)?;
    groups.count(figures);
    let mut unwrapped = Unwrapped { inner: receive(shape, generation, &payloads), ..Unwrapped::default() };
    for (number, group) in &groups.groups {
        let (rebuilt, compared) =
            group.check(shape, generation).map_err(|flaw| flaw.at(&format!("FEC group {number}")))?;
        unwrapped.rebuilt.extend(rebuilt);
        unwrapped.compared += compared;
    }
    figures.set("fec_recovered_packets", unwrapped.rebuilt.len() as u64);
    Ok(unwrapped)
}

/// The datagrams that a receiver delivers to its ARQ, in the order of the file.
fn receive(shape: Shape, generation: Generation, payloads: &[Payload]) -> Vec<Inner> {
    let mut decoder = Decoder::new(Some(shape), generation);
    let mut inner = Vec::with_capacity(payloads.len());
    for payload in payloads {
        if kind(&payload.bytes) == Some(Kind::Data) {
            let bytes = payload.bytes[HEADER_LEN..].to_vec();
            inner.push(Inner { frame: payload.frame, recovered: false, bytes });
        }
        decoder.decode(payload.at_ms, &payload.bytes);
        while let Some(bytes) = decoder.poll_recovered() {
            inner.push(Inner { frame: payload.frame, recovered: true, bytes: bytes.to_vec() });
        }
    }
    inner
}

/// The shard groups of one direction.
struct Groups<'p> {
    shape: Shape,
    groups: BTreeMap<u32, Group<'p>>,
    last_seqid: u32,
}

impl<'p> Groups<'p> {
    fn sort(shape: Shape, payloads: &'p [Payload]) -> Checked<Self> {
        let mut groups = Self { shape, groups: BTreeMap::new(), last_seqid: 0 };
        for payload in payloads {
            groups.add(payload).map_err(|flaw| flaw.at(&format!("FEC packet in frame {}", payload.frame)))?;
        }
        Ok(groups)
    }

    fn add(&mut self, payload: &'p Payload) -> Checked<()> {
        let total = self.shape.total() as u32;
        let seqid = seqid(&payload.bytes);
        let at = (seqid % total) as usize;
        match kind(&payload.bytes) {
            Some(Kind::Data) if at < self.shape.data() => check_size(&payload.bytes)?,
            Some(Kind::Parity) if at >= self.shape.data() => {}
            Some(Kind::OutOfBand) => return Ok(()),
            found => {
                return differs(format!("seqid {seqid} is shard {at} of its group, its type is {found:?}"));
            }
        }
        self.last_seqid = self.last_seqid.max(seqid);
        let group = self.groups.entry(seqid / total).or_default();
        group.arrivals.push(payload);
        match group.shards.insert(at, payload) {
            Some(first) => {
                differs(format!("seqid {seqid} is also in frame {} with other bytes", first.frame))
            }
            None => Ok(()),
        }
    }

    fn count(&self, figures: &mut Figures) {
        let sum = |of: &dyn Fn(&Group<'_>) -> usize| self.groups.values().map(of).sum::<usize>() as u64;
        let data = self.shape.data();
        figures.set("fec_data_shards", sum(&|group| group.data(data)));
        figures.set("fec_parity_shards", sum(&|group| group.shards.len() - group.data(data)));
        let bare = |group: &Group<'_>| usize::from(group.data(data) == data && group.shards.len() == data);
        figures.set("fec_complete_groups_without_parity", sum(&bare));
        figures.set("fec_last_seqid", u64::from(self.last_seqid));
        figures.set("fec_parity_verified", sum(&|group| group.spare_parity(data)));
    }
}

/// Recorded shards of one group, by arrival and by position.
#[derive(Default)]
struct Group<'p> {
    arrivals: Vec<&'p Payload>,
    shards: BTreeMap<usize, &'p Payload>,
}

impl Group<'_> {
    /// Number of recorded data packets.
    fn data(&self, data: usize) -> usize {
        self.shards.range(..data).count()
    }

    /// Parity shards that were not needed to rebuild data packets.
    fn spare_parity(&self, data: usize) -> usize {
        self.arrivals.iter().skip(data).filter(|payload| kind(&payload.bytes) == Some(Kind::Parity)).count()
    }

    /// Rebuilds packets that were missing when the group had enough shards, then recomputes parity. Returns the rebuilt packets
    /// and the number of equal parity shards.
    fn check(&self, shape: Shape, generation: Generation) -> Checked<(Vec<Vec<u8>>, usize)> {
        if self.arrivals.len() < shape.data() {
            return Ok((Vec::new(), 0));
        }
        let rebuilt = self.rebuild(shape, generation)?;
        let parity = encode(shape, &self.complete(shape, &rebuilt));
        if parity.len() != shape.parity() {
            return differs(format!("engine makes {} parity shards", parity.len()));
        }
        for (at, payload) in self.shards.range(shape.data()..) {
            let row = at - shape.data();
            let body = |packet: &[u8]| packet.get(4..).unwrap_or_default().to_vec();
            if let Some(difference) = compare::bytes(&body(&payload.bytes), &body(&parity[row])) {
                return differs(format!(
                    "parity shard {row} in frame {}: type and body {difference}",
                    payload.frame
                ));
            }
        }
        Ok((rebuilt, self.shards.range(shape.data()..).count()))
    }

    /// The positions of data packets that had not arrived when the group had enough shards.
    fn missing(&self, shape: Shape) -> Vec<usize> {
        let early = &self.arrivals[..shape.data()];
        let arrived = |at: &usize| {
            self.shards.get(at).is_some_and(|shard| early.iter().any(|one| one.frame == shard.frame))
        };
        (0..shape.data()).filter(|at| !arrived(at)).collect()
    }

    fn rebuild(&self, shape: Shape, generation: Generation) -> Checked<Vec<Vec<u8>>> {
        let mut decoder = Decoder::new(Some(shape), generation);
        let mut rebuilt = Vec::new();
        for payload in &self.arrivals[..shape.data()] {
            decoder.decode(0, &payload.bytes);
            while let Some(bytes) = decoder.poll_recovered() {
                rebuilt.push(bytes.to_vec());
            }
        }
        let missing = self.missing(shape).len();
        if rebuilt.len() == missing {
            return Ok(rebuilt);
        }
        differs(format!("{missing} data packets missing, engine rebuilds {}", rebuilt.len()))
    }

    /// All data packets with room for their header.
    fn complete(&self, shape: Shape, rebuilt: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut rebuilt = self.missing(shape).into_iter().zip(rebuilt).collect::<BTreeMap<_, _>>();
        let packet = |at: usize| match rebuilt.remove(&at) {
            Some(bytes) => [&[0; HEADER_LEN][..], bytes].concat(),
            None => self.shards.get(&at).map(|payload| payload.bytes.clone()).unwrap_or_default(),
        };
        (0..shape.data()).map(packet).collect()
    }
}

/// Checks the size field of a data packet.
fn check_size(packet: &[u8]) -> Checked<()> {
    match packet.get(6..).and_then(|body| body.first_chunk()) {
        Some(size) if usize::from(u16::from_le_bytes(*size)) + 6 == packet.len() => Ok(()),
        Some(size) => {
            differs(format!("size field {}, packet of {} bytes", u16::from_le_bytes(*size), packet.len()))
        }
        None => differs("too short for its size field"),
    }
}

/// Parity shards of a group from its data.
///
/// Encodes twice with a constant clock: the encoder skips parity after a pause, and with one data shard also at its start. Whether the recorded program did so is visible in `fec_complete_groups_without_parity`.
pub(crate) fn encode(shape: Shape, data: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(shape);
    let mut out = vec![0; PACKET_BYTES_MAX];
    let mut parity = Vec::new();
    for packet in data.iter().chain(data) {
        parity.clear();
        encoder.encode(0, &mut packet.clone());
        while let Some(len) = encoder.poll_parity(&mut out) {
            parity.push(out[..len].to_vec());
        }
    }
    parity
}
