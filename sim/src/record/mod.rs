//! Recordings: everything that happens to every datagram and segment of a run, and why, for those who want to understand it.
//!
//! As a file ([`Files`]), a recording is one JSON object per line: first [`Header`], then [`Event`]s in the order in which
//! they happened, the last of which is [`What::Outcome`]; `karst-sim schema events` prints the JSON Schema of a line. Times
//! (`t`, `due`) are microseconds since the beginning of the run. Datagrams have numbers (`n`), counted over both directions
//! from 1; a copy has one of its own. Sessions are numbered as the client dialled them, from 0; both sides use the same
//! number. Segment numbers (`sn`) and shard numbers (`seqid`) count per session and direction, streams per session.
//!
//! A [`Recorder`] sits in [`crate::net::Net`] while a run is recorded; it only observes, so the trace stays the same;
//! without it, each place that records tests one option.

mod event;
mod files;
mod frames;
mod recording;
mod tunnels;
pub(crate) mod words;

pub use event::{
    Again, At, Command, Element, Event, FORMAT, Frame, FrameCommand, Header, Options, Path, Segment, Sent,
    Shard, Span, State, What,
};

pub use files::Files;
pub use recording::{Recording, RecordingError};

use crate::ids::{Node, PacketId, Stream};
use crate::outcome::Rule;
use crate::plan::FaultName;
use crate::{Direction, Scenario, Side};
use engine::{Instant, Tunnel, TunnelConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use tunnels::TunnelLog;

/// What becomes of a datagram on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is dropped.
    Dropped(Element),
    /// It waits for the transmitter, behind what is counted here, itself included.
    Queued {
        /// Bytes that wait.
        queue_bytes: u64,
    },
    /// It left the transmitter.
    Left {
        /// When it will arrive.
        due: Instant,
        /// Bytes that wait behind it.
        queue_bytes: u64,
        /// Later ones will overtake it.
        held_back: bool,
        /// Bits of it were flipped.
        damaged: bool,
    },
    /// A copy of it was made.
    Copied {
        /// The copy.
        copy: PacketId,
        /// When that will arrive.
        due: Instant,
    },
    /// It waits in the receiver's socket.
    Waits,
}

/// A datagram as it was on the wire, at one of its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// When.
    pub at: Instant,
    /// At which end.
    pub side: Side,
    /// Sender and receiver; `None` for what is an IP packet already.
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Those inside of the cipher, if they could be had.
    pub clear: Option<Vec<u8>>,
    /// What it is, in words.
    pub comment: String,
}

/// What watches a run.
#[derive(Debug)]
pub struct Recorder {
    configs: [Arc<TunnelConfig>; 2],
    /// Names of the workloads.
    works: Vec<String>,
    events: Vec<Event>,
    /// Datagrams themselves, if they are wanted, too.
    captured: Option<Vec<Captured>>,
    /// Datagrams so far.
    count: u64,
    /// Datagrams on their way, by the place of their packet.
    flights: BTreeMap<PacketId, Flight>,
    /// The datagram that a process handles now.
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
    /// A recorder for a run of `scenario`; `captures` keeps the datagrams, too.
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

    /// What happened since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The datagrams that were sent and received since the last call.
    pub fn take_captured(&mut self) -> Vec<Captured> {
        self.captured.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// A tunnel did something: takes its notes, and its numbers if it is time.
    pub fn tunnel(&mut self, now: Instant, node: Node, session: u32, tunnel: &mut Tunnel) {
        let config = &self.configs[node.side() as usize];
        let log = self.tunnels.entry(node).or_insert_with(|| TunnelLog::new(node.side(), session, config));
        let t = now.as_micros();
        log.take(t, self.handled, tunnel, |what| self.events.push(Event { t, what }));
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
        self.add(now, What::Sent(sent));
        carried.into_iter().for_each(|what| self.add(now, what));
        self.capture(now, side, Some(addresses), bytes, clear, comment);
    }

    /// A host handed an IP packet to its link.
    pub fn sent_ip(&mut self, now: Instant, side: Side, packet: PacketId, bytes: &[u8]) {
        let n = self.depart(packet, side, None);
        let (session, shard, segments) = (0, None, Vec::new());
        self.add(now, What::Sent(Sent { n, side, session, bytes: bytes.len() as u32, shard, segments }));
        self.capture(now, side, None, bytes, None, format!("#{n}"));
    }

    /// Something happens to a datagram on its way.
    pub fn fate(&mut self, now: Instant, packet: PacketId, fate: Fate) {
        let Some(&Flight { n, dir, addresses }) = self.flights.get(&packet) else { return };
        let what = match fate {
            Fate::Dropped(by) => What::Dropped { n, dir, by },
            Fate::Queued { queue_bytes } => What::Queued { n, dir, queue: queue_bytes },
            Fate::Left { due, queue_bytes, held_back, damaged } => {
                What::Left { n, dir, due: due.as_micros(), queue: queue_bytes, held_back, damaged }
            }
            Fate::Copied { copy, due } => {
                let copy = self.depart(copy, dir.sender(), addresses);
                What::Copied { n, copy, due: due.as_micros() }
            }
            Fate::Waits => What::Waits { n, side: dir.receiver() },
        };
        self.add(now, what);
    }

    /// A process takes a datagram; what tunnels do next is because of it.
    pub fn received(&mut self, now: Instant, packet: PacketId, bytes: &[u8]) {
        let Some(Flight { n, dir, addresses }) = self.flights.remove(&packet) else { return };
        let side = dir.receiver();
        self.handled = n;
        self.add(now, What::Received { n, side });
        if self.captured.is_some() {
            let clear = addresses.and_then(|_| self.opened(dir.sender(), bytes));
            self.capture(now, side, addresses, bytes, clear, format!("#{n} arrives"));
        }
    }

    /// The engine dropped the datagram received last.
    pub fn refused(&mut self, now: Instant, side: Side, why: String) {
        self.add(now, What::Refused { n: self.handled, side, why });
    }

    /// A stream began, for the workload of that index where it is known.
    pub fn opened_stream(&mut self, now: Instant, side: Side, stream: Stream, work: Option<usize>) {
        let work = work.and_then(|index| self.works.get(index).cloned());
        self.add(now, What::Opened { side, session: stream.dial(), stream: stream.id().0, work });
    }

    /// An application wrote `len` bytes.
    pub fn wrote(&mut self, now: Instant, side: Side, stream: Stream, len: usize) {
        let span = self.span(side, stream, 0, len);
        self.add(now, What::Wrote(span));
    }

    /// An application read `len` bytes.
    pub fn read(&mut self, now: Instant, side: Side, stream: Stream, len: usize) {
        let span = self.span(side, stream, 1, len);
        self.add(now, What::Read(span));
    }

    /// An application ended its direction.
    pub fn finished(&mut self, now: Instant, side: Side, stream: Stream) {
        self.add(now, What::Finished(at(side, stream)));
    }

    /// An application saw the end of what it reads.
    pub fn ended(&mut self, now: Instant, side: Side, stream: Stream) {
        if self.ended.insert((side, stream)) {
            self.add(now, What::Ended(at(side, stream)));
        }
    }

    /// An application closed a stream.
    pub fn closed(&mut self, now: Instant, side: Side, stream: Stream) {
        self.add(now, What::Closed(at(side, stream)));
    }

    /// A stream was lost with its session.
    pub fn reset(&mut self, now: Instant, side: Side, stream: Stream) {
        self.add(now, What::Reset(at(side, stream)));
    }

    /// A fault begins or heals.
    pub fn fault(&mut self, now: Instant, kind: FaultName, healed: bool) {
        self.add(now, What::Fault { kind, healed });
    }

    /// A rule was broken.
    pub fn violation(&mut self, now: Instant, rule: Rule, detail: &str) {
        self.add(now, What::Violation { rule, detail: detail.into() });
    }

    fn add(&mut self, now: Instant, what: What) {
        self.events.push(Event { t: now.as_micros(), what });
    }

    fn depart(&mut self, packet: PacketId, side: Side, addresses: Option<(SocketAddr, SocketAddr)>) -> u64 {
        self.count += 1;
        self.flights.insert(packet, Flight { n: self.count, dir: side.sends(), addresses });
        self.count
    }

    /// What is inside of a datagram that `side` sealed.
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
            client: Options::new(&scenario.client),
            server: Options::new(&scenario.server),
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
