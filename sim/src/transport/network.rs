use crate::ids::{PacketId, Stream};
use crate::link::{Adversary, Link};
use crate::net::{Net, Packet};
use crate::outcome::{Rule, Violation};
use crate::plan::Scenario;
use crate::record::Recorder;
use crate::rng::Seed;
use crate::trace::{Kind, Trace};
use crate::{Direction, Side};
use engine::Instant;
use std::collections::BTreeMap;

/// The two links between the sides, and the shared state of a run.
#[derive(Debug)]
pub struct Network {
    /// Event queue, packets and recorder.
    pub net: Net,
    /// The links, by [`Direction`].
    pub links: [Link; 2],
    /// Who else is on the path.
    pub adversary: Option<Adversary>,
    /// Fingerprint so far.
    pub trace: Trace,
    /// The workload that opened each stream, by its index, until the stream is over.
    pub owners: BTreeMap<Stream, usize>,
    /// Rules broken so far.
    pub violations: Vec<Violation>,
}

impl Network {
    /// Two idle links as planned.
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        let seed = Seed(scenario.links_seed.unwrap_or(seed));
        let link = |direction, plan| Link::new(direction, plan, seed);
        Self {
            net: Net::default(),
            adversary: Adversary::new(&scenario.adversary, seed),
            links: [link(Direction::Up, &scenario.up), link(Direction::Down, &scenario.down)],
            trace: Trace::new(),
            owners: BTreeMap::new(),
            violations: Vec::new(),
        }
    }

    /// Hands a packet to the link from `side`.
    pub fn send(
        &mut self,
        now: Instant,
        side: Side,
        packet: PacketId,
        record: impl FnOnce(&mut Recorder, &[u8]),
    ) {
        let Self { net, links, trace, adversary, .. } = self;
        let Packet { bytes, digest, .. } = net.packets.packet(packet);
        trace.record(now, side, Kind::Sent, *digest);
        if let Some(recorder) = &mut net.recorder {
            record(recorder, bytes);
        }
        let direction = side.sends();
        if let Some(adversary) = adversary {
            adversary.observe(net, links, now, (direction, packet));
        }
        links[direction as usize].send(net, now, packet);
    }

    /// `side` takes a packet that its link delivered.
    pub fn received(&mut self, now: Instant, side: Side, id: PacketId, packet: &Packet) {
        self.trace.record(now, side, Kind::Delivered, packet.digest);
        if let Some(recorder) = &mut self.net.recorder {
            recorder.received(now, id, &packet.bytes);
        }
    }

    /// Notes a broken rule; the run ends at the end of the current event.
    pub fn violate(&mut self, now: Instant, rule: Rule, detail: String) {
        if let Some(recorder) = &mut self.net.recorder {
            recorder.violation(now, rule, &detail);
        }
        self.violations.push(Violation { at_us: now.as_micros(), rule, detail });
    }
}
