//! Recordings: every event of every datagram and segment of a run, with its cause.
//!
//! As a file ([`Files`]), a recording is one JSON object per line: first [`Header`], then [`Event`]s in chronological
//! order, the last of which is [`EventKind::Outcome`]; `karst-sim schema events` prints the JSON Schema of a line. Times
//! (`t`, `due`) are microseconds since the start of the run. Datagrams are numbered (`n`) over both directions
//! from 1; a copy has its own number. Sessions are numbered as the client dialled them, from 0; both sides use the same
//! number. Segment numbers (`sn`) and shard numbers (`seqid`) count per session and direction, streams per session.
//!
//! A [`Recorder`] in [`crate::net::Net`] records a run. It does not affect the run, so the trace hash stays the same; without a
//! recorder, each call site tests one option.

mod event;
mod files;
mod frames;
mod links;
mod recording;
mod tunnels;
pub mod words;

pub use event::{
    Again, At, Command, Element, Event, EventKind, FORMAT, Frame, FrameCommand, Header, LinkState, Options,
    Path, Segment, Sent, Shard, Span, State,
};

pub use files::Files;
pub use recording::{Recording, RecordingError};

use crate::ids::{Node, PacketId, Stranger, Stream};
use crate::outcome::Rule;
use crate::plan::{Act, FaultName};
use crate::{Direction, Scenario, Side};
use engine::{Instant, Tunnel, TunnelConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use tunnels::TunnelLog;

/// Event of a datagram in transit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transit {
    /// It is dropped.
    Dropped(Element),
    /// It enters the queue of the link.
    Queued {
        /// Bytes in the queue, this datagram included.
        queue_bytes: u64,
    },
    /// It left the transmitter.
    Left {
        /// Time of its arrival.
        due: Instant,
        /// Bytes still in the queue.
        queue_bytes: u64,
        /// Delayed, so that later datagrams overtake it.
        held_back: bool,
        /// Some of its bits were flipped.
        damaged: bool,
    },
    /// It was duplicated.
    Copied {
        /// The copy.
        copy: PacketId,
        /// Time at which the copy arrives.
        due: Instant,
    },
    /// It is queued in the receiver's socket.
    Waits,
}

/// A datagram that the adversary sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injected {
    /// The attack.
    pub act: Act,
    /// The observed datagram that triggered it.
    pub of: PacketId,
    /// The injected datagram.
    pub packet: PacketId,
    /// Direction in which it is sent.
    pub direction: Direction,
    /// Source address; `None` if it is that of the observed sender, or of its peer for reflected ones.
    pub source: Option<Stranger>,
    /// Time at which it arrives.
    pub due: Instant,
}

/// A datagram as captured at one of the two ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Simulated time.
    pub at: Instant,
    /// Side of the capture.
    pub side: Side,
    /// Sender and receiver; `None` if the bytes are an IP packet.
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    /// Bytes on the wire.
    pub bytes: Vec<u8>,
    /// Bytes inside the encryption; `None` if they do not open.
    pub clear: Option<Vec<u8>>,
    /// Comment for the capture file.
    pub comment: String,
}

/// Records the events of a run.
#[derive(Debug)]
pub struct Recorder {
    configs: [Arc<TunnelConfig>; 2],
    /// Names of the workloads.
    works: Vec<String>,
    events: Vec<Event>,
    /// Captured datagrams; `None` unless captures are requested.
    captured: Option<Vec<Captured>>,
    /// Datagrams recorded so far.
    count: u64,
    /// Datagrams in transit, by packet.
    flights: BTreeMap<PacketId, Flight>,
    /// The datagram that a process is handling.
    handled: u64,
    tunnels: BTreeMap<Node, TunnelLog>,
    /// Bytes written to, and read from, each stream on each side.
    bytes: BTreeMap<(Side, Stream), [u64; 2]>,
    ended: BTreeSet<(Side, Stream)>,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    n: u64,
    dir: Direction,
    addresses: Option<(SocketAddr, SocketAddr)>,
}

impl Recorder {
    /// A recorder for a run of `scenario`; `captures` also keeps the datagrams.
    pub fn new(scenario: &Scenario, captures: bool) -> Self {
        Self {
            works: scenario.work.iter().map(|plan| plan.name.clone()).collect(),
            configs: [&scenario.client, &scenario.server].map(|side| Arc::clone(&side.config)),
            events: Vec::new(),
            captured: captures.then(Vec::new),
            count: 0,
            flights: BTreeMap::new(),
            handled: 0,
            tunnels: BTreeMap::new(),
            bytes: BTreeMap::new(),
            ended: BTreeSet::new(),
        }
    }

    /// Takes the events recorded since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Takes the datagrams captured since the last call.
    pub fn take_captured(&mut self) -> Vec<Captured> {
        self.captured.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Records a tunnel's notes, and its state if a sample is due.
    pub fn tunnel(&mut self, now: Instant, node: Node, session: u32, tunnel: &mut Tunnel) {
        let config = &self.configs[node.side() as usize];
        let log = self.tunnels.entry(node).or_insert_with(|| TunnelLog::new(node.side(), session, config));
        let t = now.as_micros();
        log.take(t, self.handled, tunnel, |kind| self.events.push(Event { t, kind }));
    }

    /// A tunnel handed a datagram to its link.
    pub fn sent(
        &mut self,
        now: Instant,
        node: Node,
        packet: PacketId,
        addresses: (SocketAddr, SocketAddr),
        bytes: &[u8],
    ) {
        let side = node.side();
        let n = self.depart(packet, side, Some(addresses));
        let clear = self.opened(side, bytes);
        let Some(log) = self.tunnels.get_mut(&node) else { return };
        let (sent, carried) = log.sent(n, bytes.len(), clear.as_deref());
        let comment = if self.captured.is_some() { words::datagram(&sent) } else { String::new() };
        self.add(now, EventKind::Sent(sent));
        carried.into_iter().for_each(|kind| self.add(now, kind));
        self.capture(now, side, Some(addresses), bytes, clear, comment);
    }

    /// A host handed an IP packet to its link.
    pub fn sent_ip(&mut self, now: Instant, side: Side, packet: PacketId, bytes: &[u8]) {
        let n = self.depart(packet, side, None);
        let (session, shard, segments) = (0, None, Vec::new());
        self.add(now, EventKind::Sent(Sent { n, side, session, bytes: bytes.len() as u32, shard, segments }));
        self.capture(now, side, None, bytes, None, format!("#{n}"));
    }

    /// A datagram in transit was dropped, queued, sent, duplicated or delivered.
    pub fn transit(&mut self, now: Instant, packet: PacketId, transit: Transit) {
        let Some(&Flight { n, dir, addresses }) = self.flights.get(&packet) else { return };
        let kind = match transit {
            Transit::Dropped(by) => EventKind::Dropped { n, dir, by },
            Transit::Queued { queue_bytes } => EventKind::Queued { n, dir, queue: queue_bytes },
            Transit::Left { due, queue_bytes, held_back, damaged } => {
                EventKind::Left { n, dir, due: due.as_micros(), queue: queue_bytes, held_back, damaged }
            }
            Transit::Copied { copy, due } => {
                let copy = self.depart(copy, dir.sender(), addresses);
                EventKind::Copied { n, copy, due: due.as_micros() }
            }
            Transit::Waits => EventKind::Waits { n, side: dir.receiver() },
        };
        self.add(now, kind);
    }

    /// The adversary sends a datagram.
    pub fn injected(&mut self, now: Instant, injected: Injected) {
        let Injected { act, of, packet, direction, source, due } = injected;
        let observed = self.flights.get(&of).copied();
        let addresses = observed.and_then(|of| of.addresses).map(|(from, to)| {
            let back = observed.is_some_and(|of| of.dir != direction);
            let (from, to) = if back { (to, from) } else { (from, to) };
            (source.map_or(from, Stranger::address), to)
        });
        let n = self.depart(packet, direction.sender(), addresses);
        let of = observed.map_or(0, |of| of.n);
        self.add(now, EventKind::Injected { n, dir: direction, act, of, due: due.as_micros() });
    }

    /// A process receives a datagram; the events of tunnels that follow are attributed to it.
    pub fn received(&mut self, now: Instant, packet: PacketId, bytes: &[u8]) {
        let Some(Flight { n, dir, addresses }) = self.flights.remove(&packet) else { return };
        let side = dir.receiver();
        self.handled = n;
        self.add(now, EventKind::Received { n, side });
        if self.captured.is_some() {
            let clear = addresses.and_then(|_| self.opened(dir.sender(), bytes));
            self.capture(now, side, addresses, bytes, clear, format!("#{n} arrives"));
        }
    }

    /// The engine dropped the datagram received last.
    pub fn refused(&mut self, now: Instant, side: Side, why: String) {
        self.add(now, EventKind::Refused { n: self.handled, side, why });
    }

    /// A stream was opened, for the workload with that index if it is known.
    pub fn opened_stream(&mut self, now: Instant, side: Side, stream: Stream, work: Option<usize>) {
        let work = work.and_then(|index| self.works.get(index).cloned());
        self.add(now, EventKind::Opened { side, session: stream.dial(), stream: stream.id().0, work });
    }

    /// An application wrote `len` bytes.
    pub fn wrote(&mut self, now: Instant, side: Side, stream: Stream, len: usize) {
        let span = self.span(side, stream, 0, len);
        self.add(now, EventKind::Wrote(span));
    }

    /// An application read `len` bytes.
    pub fn read(&mut self, now: Instant, side: Side, stream: Stream, len: usize) {
        let span = self.span(side, stream, 1, len);
        self.add(now, EventKind::Read(span));
    }

    /// An application ended its direction.
    pub fn finished(&mut self, now: Instant, side: Side, stream: Stream) {
        self.add(now, EventKind::Finished(at(side, stream)));
    }

    /// An application read the end of a stream.
    pub fn ended(&mut self, now: Instant, side: Side, stream: Stream) {
        if self.ended.insert((side, stream)) {
            self.add(now, EventKind::Ended(at(side, stream)));
        }
    }

    /// An application closed a stream.
    pub fn closed(&mut self, now: Instant, side: Side, stream: Stream) {
        self.add(now, EventKind::Closed(at(side, stream)));
    }

    /// A stream was reset because its session ended.
    pub fn reset(&mut self, now: Instant, side: Side, stream: Stream) {
        self.add(now, EventKind::Reset(at(side, stream)));
    }

    /// A fault started or healed.
    pub fn fault(&mut self, now: Instant, kind: FaultName, healed: bool) {
        self.add(now, EventKind::Fault { kind, healed });
    }

    /// A rule was broken.
    pub fn violation(&mut self, now: Instant, rule: Rule, detail: &str) {
        self.add(now, EventKind::Violation { rule, detail: detail.into() });
    }

    fn add(&mut self, now: Instant, kind: EventKind) {
        self.events.push(Event { t: now.as_micros(), kind });
    }

    fn depart(&mut self, packet: PacketId, side: Side, addresses: Option<(SocketAddr, SocketAddr)>) -> u64 {
        self.count += 1;
        self.flights.insert(packet, Flight { n: self.count, dir: side.sends(), addresses });
        self.count
    }

    /// Opens a datagram that `side` sealed.
    fn opened(&self, side: Side, sealed: &[u8]) -> Option<Vec<u8>> {
        let mut datagram = sealed.to_vec();
        let inside = self.configs[side as usize].suite.open(&mut datagram).ok()?;
        datagram.truncate(inside.end);
        datagram.drain(..inside.start);
        Some(datagram)
    }

    fn capture(
        &mut self,
        at: Instant,
        side: Side,
        addresses: Option<(SocketAddr, SocketAddr)>,
        bytes: &[u8],
        clear: Option<Vec<u8>>,
        comment: String,
    ) {
        if let Some(captured) = &mut self.captured {
            captured.push(Captured { at, side, addresses, bytes: bytes.to_vec(), clear, comment });
        }
    }

    fn span(&mut self, side: Side, stream: Stream, direction: usize, len: usize) -> Span {
        let place = &mut self.bytes.entry((side, stream)).or_default()[direction];
        let at = *place;
        *place += len as u64;
        Span { side, session: stream.dial(), stream: stream.id().0, at, len: len as u32 }
    }
}

impl Header {
    /// The first line of a recording of `scenario`.
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        Self {
            format: FORMAT.into(),
            scenario: scenario.name.clone(),
            description: scenario.description.clone(),
            seed,
            transport: scenario.transport(),
            capture: false,
            client: Options::new(&scenario.client),
            server: Options::new(&scenario.server),
            links: links::states(scenario),
        }
    }
}

impl Options {
    fn new(side: &crate::plan::SidePlan) -> Self {
        let (settings, config) = (&side.settings, &side.config);
        Self {
            crypt: settings.crypt.name().into(),
            mode: settings.mode.name().into(),
            interval_ms: config.tuning.interval_ms,
            resend: config.tuning.resend,
            nc: config.tuning.nc,
            mtu: config.mtu,
            sndwnd: config.snd_wnd,
            rcvwnd: config.rcv_wnd,
            fec: config.fec.map(|shape| (shape.data(), shape.parity())),
            compressed: config.compress,
            smuxver: config.mux.version,
        }
    }
}

fn at(side: Side, stream: Stream) -> At {
    At { side, session: stream.dial(), stream: stream.id().0 }
}
