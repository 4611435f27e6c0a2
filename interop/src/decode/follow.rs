//! Second pass: every datagram through the layers, with the state of its flow and its session.

use super::detect::{Ends, Found, Survey, ends, segments};
use super::facts::{self, Fec, Rebuilt, Seen, SeenFrame, Stream, Totals};
use super::way::{WAITING_BYTES_MAX, Way};
use crate::golden::capture::pcap::Datagram;
use engine::Generation;
use engine::arq::{Command, Header};
use engine::crypt::{Cipher, Suite};
use engine::fec::{Decoder, HEADER_LEN, Kind, PACKET_BYTES_MAX, Shape, kind, seqid};
use sha2::{Digest, Sha256};
use sim::Direction;
use sim::record::Shard;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

/// Datagrams of a direction among which repetitions are detected.
const DUPLICATES_WITHIN: usize = 4_096;

/// Shard numbers below the newest one that may still arrive.
const LATE_SHARDS: u32 = 1_024;

/// Maximum number of sessions, and of their streams together, that are followed.
const SESSIONS_MAX: usize = 4_096;
/// See [`SESSIONS_MAX`].
pub(super) const STREAMS_MAX: usize = 16_384;

/// The state of the second pass.
pub(super) struct Follow<'s> {
    suites: &'s [Suite],
    flows: BTreeMap<Ends, Flow>,
    sessions: BTreeMap<(SocketAddr, u32), Session>,
    /// Keys of the sessions by number.
    numbers: Vec<(SocketAddr, u32)>,
    streams: BTreeMap<(u32, u32), Stream>,
    /// Bytes that may still wait for missing segments.
    budget: usize,
    /// Streams beyond the bound.
    pub(super) unlisted: u64,
}

struct Flow {
    facts: facts::Flow,
    cipher: Option<Cipher>,
    legs: [Leg; 2],
}

/// One direction of a flow.
struct Leg {
    shape: Option<Shape>,
    decoder: Option<Decoder>,
    /// Digests and packet numbers of the last datagrams, oldest first, and by digest.
    recent: VecDeque<u64>,
    numbers: BTreeMap<u64, u64>,
    /// Data shards seen among the newest, and the newest.
    shards: BTreeSet<u32>,
    newest: Option<u32>,
    /// The first shard of the capture.
    base: u32,
}

pub(super) struct Session {
    number: u32,
    pub(super) ways: [Way; 2],
}

impl<'s> Follow<'s> {
    pub(super) fn new(survey: Survey, suites: &'s [Suite]) -> Self {
        let flows = survey.flows.into_iter().map(|(ends, found)| (ends, Flow::new(&found)));
        Self {
            suites,
            flows: flows.collect(),
            sessions: BTreeMap::new(),
            numbers: Vec::new(),
            streams: BTreeMap::new(),
            budget: WAITING_BYTES_MAX,
            unlisted: 0,
        }
    }

    /// A datagram in packet `n`, at `t`. `None` if its addresses are beyond the bound.
    pub(super) fn datagram(&mut self, n: u64, t: u64, tcp: bool, datagram: &Datagram<'_>) -> Option<Seen> {
        let flow = self.flows.get_mut(&ends(datagram))?;
        let up = datagram.from == flow.facts.client;
        let dir = if up { Direction::Up } else { Direction::Down };
        let mut seen = Seen {
            n,
            t,
            from: datagram.from,
            to: datagram.to,
            dir,
            bytes: datagram.bytes.len(),
            duplicate_of: None,
            cipher: None,
            session: None,
            fec: None,
            segments: Vec::new(),
            rebuilt: Vec::new(),
            in_order: None,
            frames: Vec::new(),
            acked: Vec::new(),
            notes: Vec::new(),
            clear: None,
        };
        flow.facts.tcp |= tcp;
        let leg = &mut flow.legs[dir as usize];
        let totals = if up { &mut flow.facts.up } else { &mut flow.facts.down };
        totals.datagrams += 1;
        totals.bytes += datagram.bytes.len() as u64;
        seen.duplicate_of = leg.repeats(n, datagram.bytes);
        totals.duplicates += u64::from(seen.duplicate_of.is_some());
        let suite = self.suites.iter().find(|suite| Some(suite.cipher()) == flow.cipher);
        let mut copy = datagram.bytes.to_vec();
        let Some(inside) = suite.and_then(|suite| suite.open(&mut copy).ok()) else {
            totals.unopened += 1;
            return Some(seen);
        };
        seen.cipher = flow.cipher.map(Cipher::name);
        copy.truncate(inside.end);
        copy.drain(..inside.start);
        if seen.duplicate_of.is_none() {
            self.opened(&mut seen, &ends(datagram), &copy);
        }
        seen.clear = Some(copy);
        Some(seen)
    }

    /// Everything inside the encryption.
    fn opened(&mut self, seen: &mut Seen, ends: &Ends, payload: &[u8]) {
        let Some(flow) = self.flows.get_mut(ends) else { return };
        let (leg, server) = (&mut flow.legs[seen.dir as usize], flow.facts.server);
        let totals = flow.facts.totals(seen.dir);
        let rebuilt = leg.fec(seen, payload, totals);
        let mut conv = None;
        if let Some(mut rest) = segments(payload) {
            while let Some((header, after)) = Header::parse(rest) {
                conv.get_or_insert(header.conv);
                let known =
                    self.sessions.len() < SESSIONS_MAX || self.sessions.contains_key(&(server, header.conv));
                let Some(payload) = after.get(..header.len as usize).filter(|_| known) else { break };
                let key = (server, header.conv);
                if !self.sessions.contains_key(&key) {
                    let number = self.numbers.len() as u32;
                    self.sessions.insert(key, Session { number, ways: [Way::new(), Way::new()] });
                    self.numbers.push(key);
                }
                let Some(session) = self.sessions.get_mut(&key) else { break };
                seen.session = Some(session.number);
                let flow_totals = flow.facts.totals(seen.dir);
                segment(session, seen, &header, payload, flow_totals, &mut self.budget);
                rest = &after[header.len as usize..];
            }
            if !rest.is_empty() {
                seen.notes.push(format!("{} bytes behind the last segment", rest.len()));
            }
        }
        if let Some(conv) = conv.filter(|conv| !flow.facts.convs.contains(conv)) {
            flow.facts.convs.truncate(15);
            flow.facts.convs.push(conv);
        }
        let rebuilt_conv =
            rebuilt.iter().find_map(|bytes| Header::parse(bytes)).map(|(header, _)| header.conv);
        let Some(conv) = conv.or(rebuilt_conv) else { return };
        let Some(session) = self.sessions.get_mut(&(server, conv)) else { return };
        seen.session = Some(session.number);
        for bytes in &rebuilt {
            let one = recover(&mut session.ways[seen.dir as usize], bytes, &mut self.budget);
            flow.facts.totals(seen.dir).rebuilt += u64::from(!one.new.is_empty());
            seen.rebuilt.push(one);
        }
        let way = &mut session.ways[seen.dir as usize];
        let lost = way.bytes.lost().is_some();
        seen.in_order = way.advance(seen.t, &mut self.budget, &mut seen.frames);
        if let Some(why) = way.bytes.lost().filter(|_| !lost) {
            seen.notes.push(format!("frames are not shown from here on: {why}"));
        }
        let number = session.number;
        self.frames(number, seen);
    }

    /// Enters frames into the timelines of their streams.
    fn frames(&mut self, session: u32, seen: &Seen) {
        let waited = seen.in_order.map_or(0, |in_order| in_order.waited_us);
        let mut delayed = BTreeSet::new();
        for frame in seen.frames.iter().filter(|frame| is_of_stream(frame)) {
            let key = (session, frame.stream);
            if !self.streams.contains_key(&key) && self.streams.len() >= STREAMS_MAX {
                self.unlisted += u64::from(frame.cmd == "SYN" || frame.cmd.contains("+SYN"));
                continue;
            }
            let stream = self.streams.entry(key).or_insert_with(|| Stream {
                session,
                stream: frame.stream,
                opened: seen.t,
                up: facts::Half::default(),
                down: facts::Half::default(),
            });
            let half = if seen.dir == Direction::Up { &mut stream.up } else { &mut stream.down };
            if frame.at.is_some() {
                half.bytes += frame.len;
                half.first.get_or_insert(seen.t);
                half.last = Some(seen.t);
                if waited > 0 && delayed.insert(frame.stream) {
                    half.waits += 1;
                    half.waited_us += waited;
                    half.waited_us_max = half.waited_us_max.max(waited);
                }
            }
            let (reset, end) = ends_stream(frame);
            half.reset |= reset;
            if end {
                half.end.get_or_insert(seen.t);
            }
        }
    }

    pub(super) fn flows(&self) -> impl Iterator<Item = &facts::Flow> {
        self.flows.values().map(|flow| &flow.facts)
    }

    pub(super) fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.streams.values()
    }

    pub(super) fn by_number(&self, number: u32) -> Option<&Session> {
        let place = self.numbers.get(number as usize)?;
        self.sessions.get(place)
    }

    /// The conversations, in order of their numbers.
    pub(super) fn sessions(&self) -> Vec<facts::Session> {
        let facts = |(&(server, conv), session): (&(SocketAddr, u32), &Session)| {
            let of = |way: &Way| way.bytes.dialect();
            let mux = session.ways.iter().find_map(of).map(|(dialect, version)| match version {
                1 | 2 if dialect == engine::mux::Dialect::Smux => format!("smux version {version}"),
                _ => dialect.name().to_owned(),
            });
            let each = [&session.ways[0].bytes, &session.ways[1].bytes];
            facts::Session {
                session: session.number,
                conv,
                server,
                compressed: each.map(|bytes| bytes.compressed()),
                mux,
                frames: each.map(|bytes| bytes.frames.clone()),
                lost: each.map(|bytes| bytes.lost().map(str::to_owned)),
            }
        };
        let mut sessions: Vec<_> = self.sessions.iter().map(facts).collect();
        sessions.sort_by_key(|session| session.session);
        sessions
    }
}

/// One segment in the datagram itself.
fn segment(
    session: &mut Session,
    seen: &mut Seen,
    header: &Header,
    payload: &[u8],
    totals: &mut Totals,
    budget: &mut usize,
) {
    let mut one = session.ways[seen.dir as usize].sent(seen.n, seen.t, header, totals);
    let (acked, after_us) = session.ways[1 - seen.dir as usize].acknowledged(seen.t, header);
    one.after_us = after_us;
    seen.acked.extend(acked);
    if header.command() == Some(Command::Push) {
        session.ways[seen.dir as usize].data(header.sn, payload, budget);
    }
    seen.segments.push(one);
}

/// A data packet rebuilt from parity.
fn recover(way: &mut Way, mut bytes: &[u8], budget: &mut usize) -> Rebuilt {
    let mut rebuilt = Rebuilt { sns: Vec::new(), new: Vec::new() };
    while let Some((header, after)) = Header::parse(bytes) {
        let Some(payload) = after.get(..header.len as usize) else { break };
        if header.command() == Some(Command::Push) {
            rebuilt.sns.push(header.sn);
            if !way.has(header.sn) {
                rebuilt.new.push(header.sn);
                way.data(header.sn, payload, budget);
            }
        }
        bytes = &after[header.len as usize..];
    }
    rebuilt
}

/// Keepalives have numbers of their own, except for those of SMUX-27, SMUX-29 and SMUX-33.
fn is_of_stream(frame: &SeenFrame) -> bool {
    let session_wide = matches!(frame.cmd.as_str(), "NOP" | "ACK") && frame.len < 65_534
        || frame.cmd.starts_with("PING")
        || frame.cmd.starts_with("GO_AWAY");
    !session_wide
}

/// Whether a frame resets its direction, and whether it ends it.
fn ends_stream(frame: &SeenFrame) -> (bool, bool) {
    let reset = frame.cmd.contains("+RST") || frame.cmd == "NOP" && frame.len == 65_534;
    let data = frame.at.is_some();
    (reset, frame.cmd == "FIN" || !data && (frame.cmd.contains("+FIN") || frame.cmd.contains("+RST")))
}

impl facts::Flow {
    const fn totals(&mut self, dir: Direction) -> &mut Totals {
        match dir {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }
}

impl Flow {
    fn new(found: &Found) -> Self {
        let sizes = found.shapes.map(|shape| shape.map(|shape| (shape.data(), shape.parity())));
        let facts = facts::Flow {
            client: found.client,
            server: found.server,
            tcp: false,
            cipher: found.cipher.map(Cipher::name),
            client_fec: sizes[0],
            server_fec: sizes[1],
            convs: Vec::new(),
            up: Totals::default(),
            down: Totals::default(),
        };
        Self { facts, cipher: found.cipher, legs: found.shapes.map(Leg::new) }
    }
}

impl Leg {
    fn new(shape: Option<Shape>) -> Self {
        Self {
            shape,
            decoder: shape.map(|shape| Decoder::new(Some(shape), Generation::Go2026)),
            recent: VecDeque::new(),
            numbers: BTreeMap::new(),
            shards: BTreeSet::new(),
            newest: None,
            base: 0,
        }
    }

    /// The packet with the same bytes, if there was one recently.
    fn repeats(&mut self, n: u64, bytes: &[u8]) -> Option<u64> {
        let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = Sha256::digest(bytes).into();
        let digest = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        if let Some(first) = self.numbers.get(&digest) {
            return Some(*first);
        }
        self.numbers.insert(digest, n);
        self.recent.push_back(digest);
        if self.recent.len() > DUPLICATES_WITHIN
            && let Some(oldest) = self.recent.pop_front()
        {
            self.numbers.remove(&oldest);
        }
        None
    }

    /// The FEC layer; returns rebuilt KCP datagrams.
    fn fec(&mut self, seen: &mut Seen, payload: &[u8], totals: &mut Totals) -> Vec<Vec<u8>> {
        let parity = match kind(payload) {
            Some(Kind::Data) => false,
            Some(Kind::Parity) => true,
            Some(Kind::OutOfBand) => {
                seen.notes.push("message out of band".into());
                return Vec::new();
            }
            None => return Vec::new(),
        };
        let seqid = seqid(payload);
        let total = self.shape.map(|shape| shape.total() as u32);
        let place = total.map(|total| (seqid / total, seqid % total));
        seen.fec = Some(Fec { shard: Shard { seqid, parity }, place });
        *(if parity { &mut totals.fec_parity } else { &mut totals.fec_data }) += 1;
        totals.fec_missing += self.missing(seqid, parity);
        let mut rebuilt = Vec::new();
        if let Some(decoder) = &mut self.decoder
            && (HEADER_LEN..=PACKET_BYTES_MAX).contains(&payload.len())
        {
            decoder.decode(seen.t / 1_000, payload);
            while let Some(bytes) = decoder.poll_recovered() {
                rebuilt.push(bytes.to_vec());
            }
        }
        rebuilt
    }

    /// The data shards that can no longer arrive, and never did.
    fn missing(&mut self, seqid: u32, parity: bool) -> u64 {
        let Some(shape) = self.shape else { return 0 };
        let total = shape.total() as u32;
        let newest = *self.newest.get_or_insert_with(|| {
            self.base = seqid;
            seqid
        });
        if !parity {
            self.shards.insert(seqid);
        }
        // A jump is that of a restarted sender, or the wrap of the numbers.
        if seqid < newest || seqid - newest > 64 * LATE_SHARDS {
            if newest.abs_diff(seqid) > 64 * LATE_SHARDS {
                (self.newest, self.base) = (Some(seqid), seqid);
                self.shards.clear();
            }
            return 0;
        }
        self.newest = Some(seqid);
        let from = newest.saturating_sub(LATE_SHARDS).max(self.base);
        let until = seqid.saturating_sub(LATE_SHARDS);
        let data = (from..until).filter(|old| (old % total) < shape.data() as u32);
        let missing = data.filter(|old| !self.shards.contains(old)).count();
        self.shards = self.shards.split_off(&until);
        missing as u64
    }

    /// Data shards among the newest that never arrived, at the end of the capture.
    pub(super) fn missing_at_end(&self) -> u64 {
        let (Some(shape), Some(newest)) = (self.shape, self.newest) else { return 0 };
        let total = shape.total() as u32;
        let from = newest.saturating_sub(LATE_SHARDS).max(self.base);
        let data = (from..newest).filter(|old| (old % total) < shape.data() as u32);
        data.filter(|old| !self.shards.contains(old)).count() as u64
    }
}

impl Follow<'_> {
    /// Completes the totals at the end of the capture.
    pub(super) fn finish(&mut self) {
        for flow in self.flows.values_mut() {
            flow.facts.up.fec_missing += flow.legs[0].missing_at_end();
            flow.facts.down.fec_missing += flow.legs[1].missing_at_end();
        }
    }
}
