//! Checks of a server.

use super::peer::{Common, FIN, NOP, PSH, Peer, SYN, UPD};
use super::target::{Target, pattern};
use super::{Bench, Check, Checked, ServerSubject, Stop, fail, not_measured, parity, require, unsupported};
use engine::arq::{Command, Header};
use engine::crypt::Cipher;
use engine::fec::{HEADER_LEN, Kind, kind};
use lab::mihomo;
use std::time::Duration;

type Place<'b> = Bench<'b, ServerSubject>;

/// Time in which a server answers on a path without delay.
const ANSWER: Duration = Duration::from_secs(3);

/// Time in which nothing has to happen.
const QUIET: Duration = Duration::from_millis(500);

/// Stream of an end that announces half-close (SMUX-26).
pub(super) const HALF_CLOSE: u32 = 0x6b61_7273;

/// The first stream of a client.
pub(super) const FIRST: u32 = 3;

pub(super) const CHECKS: &[Check<ServerSubject>] = &[
    Check {
        ids: &["CRYPT-1", "CRYPT-2", "KCP-1"],
        title: "answers a sealed datagram with one that opens",
        run: answers,
    },
    Check { ids: &["CRYPT-3"], title: "does not answer damaged datagrams", run: damaged },
    Check {
        ids: &["CRYPT-19"],
        title: "does not answer a datagram of more than 1,500 bytes",
        run: oversized,
    },
    Check { ids: &["FEC-17"], title: "works on after garbage from many addresses", run: garbage },
    Check { ids: &["KCP-16"], title: "acknowledges duplicates, and nothing beyond its window", run: window },
    Check { ids: &["KCP-10", "KCP-18"], title: "moves una only over what has no gap", run: una },
    Check { ids: &["KCP-7"], title: "answers a window probe", run: probe },
    Check {
        ids: &["KCP-20"],
        title: "ends a datagram at a malformed segment, and keeps what is before",
        run: malformed,
    },
    Check {
        ids: &["KCP-22"],
        title: "ignores segments of another conversation at the address",
        run: other_conversation,
    },
    Check { ids: &["KCP-11"], title: "retransmits what is not acknowledged", run: retransmits },
    Check {
        ids: &["KCP-33"],
        title: "takes no replayed first datagrams from another address",
        run: replayed,
    },
    Check { ids: &["KCP-24"], title: "follows a client to another address", run: migrates },
    Check { ids: &["CRYPT-18"], title: "delivers none of its own datagrams as the client's", run: reflected },
    Check {
        ids: &["FEC-1", "FEC-2", "FEC-6", "FEC-7"],
        title: "sends parity that fits its data",
        run: own_parity,
    },
    Check { ids: &["FEC-9"], title: "rebuilds a lost datagram from parity", run: rebuilds },
    Check { ids: &["FEC-16"], title: "ignores messages out of band", run: out_of_band },
    Check {
        ids: &["FEC-23"],
        title: "delivers right bytes after replayed parity of another conversation",
        run: foreign_parity,
    },
    Check { ids: &["SNAP-1", "SNAP-3", "SMUX-1"], title: "returns the bytes of a stream", run: echoes },
    Check { ids: &["SNAP-6"], title: "skips chunks of reserved types", run: skippable },
    Check { ids: &["SNAP-8"], title: "reads nothing behind a chunk with a wrong checksum", run: bad_chunk },
    Check { ids: &["SMUX-15"], title: "keeps twenty streams apart", run: many },
    Check {
        ids: &["SMUX-2", "SMUX-9"],
        title: "reads nothing behind a frame of another version",
        run: bad_version,
    },
    Check { ids: &["SMUX-4"], title: "ignores a SYN for a stream that exists", run: second_syn },
    Check { ids: &["SMUX-5"], title: "drops data and ends of unknown streams", run: unknown_stream },
    Check {
        ids: &["SMUX-6", "SMUX-7"],
        title: "skips empty data, and length fields of frames without payload",
        run: empty,
    },
    Check {
        ids: &["SMUX-8"],
        title: "takes an update in a session of version 1 for an error",
        run: update_in_one,
    },
    Check {
        ids: &["SMUX-10", "SMUX-12"],
        title: "stops at the window of version 2, and goes on after an update",
        run: window_of_two,
    },
    Check { ids: &["SMUX-17"], title: "ends a stream after all its bytes", run: ends },
    Check {
        ids: &["SMUX-26", "CLI-23"],
        title: "half-closes: answers after the end of the request",
        run: half_close,
    },
];

impl Place<'_> {
    fn peer(&mut self) -> Result<Peer, Stop> {
        let common = self.common.clone();
        self.peer_with(common)
    }

    fn peer_with(&mut self, common: Common) -> Result<Peer, Stop> {
        let conv = self.entropy.next_u32() | 1;
        Ok(Peer::new(common, self.subject.server, conv, self.entropy.fork())?)
    }

    /// An end without FEC.
    fn plain(&mut self) -> Result<Peer, Stop> {
        let common = Common { shape: None, ..self.common.clone() };
        self.peer_with(common)
    }

    fn target(&self) -> Result<&Target, Stop> {
        match &self.subject.target {
            Some(target) => Ok(target),
            None => not_measured("needs --target, the address to which the server connects"),
        }
    }

    /// The frames that open a stream to the target, and its token.
    fn opening(&mut self, peer: &Peer, stream: u32, mode: &str, n: usize) -> (String, Vec<u8>) {
        let token = self.token();
        let head = match &self.subject.target {
            Some(target) if self.common.shadowsocks => mihomo::head(target.address()),
            _ => Vec::new(),
        };
        let first = [head, format!("{token} {mode} {n}\n").into_bytes()].concat();
        (token, [peer.frame(SYN, stream, &[]), peer.frame(PSH, stream, &first)].concat())
    }

    /// Opens a stream to the target.
    fn open(&mut self, peer: &mut Peer, stream: u32, mode: &str, n: usize) -> Result<String, Stop> {
        let (token, frames) = self.opening(peer, stream, mode, n);
        peer.send(&frames)?;
        Ok(token)
    }

    /// Whether a new stream of a session works: the server acknowledges it, and returns its bytes if there is a target.
    fn works(&mut self, peer: &mut Peer, stream: u32, limit: Duration) -> Result<bool, Stop> {
        if self.subject.target.is_none() {
            peer.send(&[peer.frame(SYN, stream, &[]), peer.frame(PSH, stream, b"hello")].concat())?;
            return Ok(peer.until(limit, Peer::is_acknowledged)?);
        }
        self.open(peer, stream, "echo", 0)?;
        let text = format!("echo of stream {stream}");
        peer.send(&peer.frame(PSH, stream, text.as_bytes()))?;
        Ok(peer.until(limit, |peer| peer.stream(stream).bytes == text.as_bytes())?)
    }

    /// Requires that a session works on after something odd.
    fn still_works(&mut self, peer: &mut Peer, after: &str) -> Checked {
        let works = self.works(peer, FIRST + 40, ANSWER)?;
        self.show(peer, true);
        require(works, || format!("a new stream does not work after {after}"))
    }

    /// A session with one working stream.
    fn session(&mut self) -> Result<Peer, Stop> {
        let mut peer = self.plain()?;
        if self.works(&mut peer, FIRST, ANSWER)? {
            return Ok(peer);
        }
        self.show(&peer, true);
        fail("a first stream does not work")
    }

    /// Requires that a session reads nothing more.
    fn reads_nothing(&mut self, peer: &mut Peer, after: &str) -> Checked {
        self.target()?;
        let works = self.works(peer, FIRST + 40, Duration::from_millis(1_200))?;
        self.show(peer, true);
        require(!works, || format!("a new stream works after {after}"))
    }
}

/// The headers that a peer sent.
fn headers(peer: &Peer) -> Vec<Header> {
    let mut headers = Vec::new();
    for payload in &peer.opened {
        let mut rest = match kind(payload) {
            None => &payload[..],
            Some(Kind::Data) => payload.get(HEADER_LEN..).unwrap_or_default(),
            Some(_) => continue,
        };
        while let Some((header, after)) = Header::parse(rest) {
            headers.push(header);
            rest = after.get(header.len as usize..).unwrap_or_default();
        }
    }
    headers
}

fn answers(bench: &mut Place<'_>) -> Checked {
    let mut peer = bench.peer()?;
    let frames = peer.frame(SYN, FIRST, &[]);
    let payload = peer.segments(&frames).concat();
    let clock = peer.clock();
    let segment = peer.segment_with(81, 0, clock, 0, &payload);
    peer.datagram(&segment)?;
    let answered = peer.until(ANSWER, |peer| peer.acked.contains(&0))?;
    bench.show(&peer, true);
    require(answered, || match peer.unopened {
        0 => "no answer: another address, key or cipher?".to_owned(),
        n => format!("{n} answers that do not open"),
    })?;
    let found = headers(&peer);
    let ack = found.iter().find(|header| header.command() == Some(Command::Ack));
    let ts = ack.map(|ack| ack.ts);
    require(ts == Some(clock), || format!("the acknowledgement has clock {ts:?}, not {clock}"))?;
    require(found.iter().all(|header| header.conv == peer.conv), || "another conversation".to_owned())
}

fn damaged(bench: &mut Place<'_>) -> Checked {
    if bench.common.suite.cipher() == Cipher::Null {
        return not_measured("null detects no damage");
    }
    let mut peer = bench.plain()?;
    let frames = peer.frame(SYN, FIRST, &[]);
    let payload = peer.segments(&frames).concat();
    for place in [20, 24, 30, 45, usize::MAX] {
        let segment = peer.segment(81, 0, &payload);
        let mut datagram = peer.seal(&segment);
        let at = place.min(datagram.len() - 1);
        datagram[at] ^= 1;
        peer.send_sealed(&datagram)?;
    }
    peer.run(QUIET)?;
    bench.show(&peer, true);
    require(peer.opened.is_empty(), || "it answers a datagram whose CRC or tag is wrong".to_owned())?;
    peer.push(&payload)?;
    bench.still_works(&mut peer, "damaged datagrams")
}

fn oversized(bench: &mut Place<'_>) -> Checked {
    let mut peer = bench.plain()?;
    let segment = peer.segment(81, 0, &vec![0; 1_550]);
    peer.seal_and_send(&segment)?;
    peer.run(QUIET)?;
    bench.show(&peer, true);
    require(peer.acked.is_empty(), || {
        "it acknowledges a segment of a datagram of more than 1,500 bytes".to_owned()
    })
}

fn garbage(bench: &mut Place<'_>) -> Checked {
    let mut good = bench.session()?;
    for _ in 0..10 {
        let mut peer = bench.plain()?;
        for _ in 0..100 {
            let len =
                [0, 1, 8, 20, 24, 28, 60, 200, 1_350, 1_500, 9_000][bench.entropy.next_u32() as usize % 11];
            let mut bytes = vec![0; len];
            bench.entropy.fill(&mut bytes);
            let sealed = bench.entropy.next_u32().is_multiple_of(2) && len < 1_400;
            if sealed { peer.seal_and_send(&bytes)? } else { peer.send_sealed(&bytes)? }
        }
    }
    good.run(Duration::from_millis(100))?;
    bench.still_works(&mut good, "1,000 datagrams of garbage")
}

fn window(bench: &mut Place<'_>) -> Checked {
    let mut peer = bench.session()?;
    let before = peer.acked.len();
    let segment = peer.segment(81, 0, &peer.first);
    peer.datagram(&segment)?;
    let again = peer.until(ANSWER, |peer| peer.acked[before..].contains(&0))?;
    bench.show(&peer, true);
    require(again, || "a duplicate of segment 0 is not acknowledged".to_owned())?;
    let far = peer.next + 200_000;
    let segment = peer.segment(81, far, b"far beyond every window");
    peer.datagram(&segment)?;
    peer.run(QUIET)?;
    require(!peer.acked.contains(&far), || format!("segment {far} is acknowledged, far beyond the window"))?;
    bench.still_works(&mut peer, "a segment beyond the window")
}

fn una(bench: &mut Place<'_>) -> Checked {
    let mut peer = bench.session()?;
    peer.retransmits = false;
    let first = peer.next;
    let parts: Vec<Vec<u8>> = (0..4).flat_map(|_| peer.segments(&peer.frame(NOP, 0, &[]))).collect();
    peer.withhold(&parts[0])?;
    parts[1..].iter().try_for_each(|part| peer.push(part))?;
    let last = first + 3;
    let acked = peer.until(ANSWER, |peer| peer.acked.contains(&last))?;
    peer.run(Duration::from_millis(200))?;
    bench.show(&peer, true);
    require(acked, || format!("segment {last}, behind a gap, is not acknowledged"))?;
    require(peer.una == first, || format!("una is {} while segment {first} is missing", peer.una))?;
    let segment = peer.segment(81, first, &parts[0]);
    peer.datagram(&segment)?;
    let moved = peer.until(ANSWER, |peer| peer.una == last + 1)?;
    require(moved, || format!("una is {}, not {}, after the gap was filled", peer.una, last + 1))
}

fn probe(bench: &mut Place<'_>) -> Checked {
    let mut peer = bench.session()?;
    let segment = peer.segment(83, 0, &[]);
    peer.datagram(&segment)?;
    let answered = peer.until(ANSWER, |peer| peer.wins > 0)?;
    bench.show(&peer, true);
    require(answered, || "no window announcement answers it".to_owned())?;
    require(peer.window.is_some_and(|window| window > 0), || "the window of an idle session is 0".to_owned())
}

fn malformed(bench: &mut Place<'_>) -> Checked {
    let mut peer = bench.session()?;
    let payload = peer.segments(&peer.frame(NOP, 0, &[])).concat();
    let sn = peer.next;
    let mut bytes = peer.segment(81, sn, &payload);
    peer.withhold(&payload)?;
    bytes.extend(peer.segment(99, sn + 1, b"x"));
    peer.datagram(&bytes)?;
    let acked = peer.until(ANSWER, |peer| peer.acked.contains(&sn) || peer.una > sn)?;
    bench.show(&peer, true);
    require(acked, || "the segment before the malformed one is not acknowledged".to_owned())?;
    let mut long = peer.segment(81, sn + 1, b"y");
    let at = long.len() - 5;
    long[at..at + 4].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    peer.datagram(&long)?;
    bench.still_works(&mut peer, "malformed segments")
}

fn other_conversation(bench: &mut Place<'_>) -> Checked {
    let mut peer = bench.session()?;
    let mut segment = peer.segment(81, peer.next + 2, b"of another conversation");
    segment[..4].copy_from_slice(&(peer.conv ^ 0x5555_5555).to_le_bytes());
    peer.datagram(&segment)?;
    bench.still_works(&mut peer, "a segment of another conversation")
}

fn retransmits(bench: &mut Place<'_>) -> Checked {
    bench.target()?;
    let mut peer = bench.plain()?;
    peer.acknowledges = false;
    bench.open(&mut peer, FIRST, "send", 100)?;
    let again = peer.until(Duration::from_secs(6), |peer| peer.arrivals.values().any(|n| *n >= 2))?;
    bench.show(&peer, true);
    let arrived = peer.arrivals.len();
    require(again, || format!("{arrived} data segments arrived once, and not again within 6 s"))
}

fn replayed(bench: &mut Place<'_>) -> Checked {
    bench.target()?;
    let mut peer = bench.plain()?;
    let token = bench.open(&mut peer, FIRST, "echo", 0)?;
    peer.send(&peer.frame(PSH, FIRST, b"transfer 100 coins"))?;
    let first = peer.sent();
    let done = peer.until(ANSWER, |peer| peer.stream(FIRST).bytes.len() == 18)?;
    require(done, || "a first stream does not work".to_owned())?;
    peer.run(Duration::from_millis(100))?;
    let mut attacker = bench.plain()?;
    attacker.conv = peer.conv;
    for datagram in &first {
        attacker.send_sealed(datagram)?;
    }
    attacker.run(Duration::from_millis(800))?;
    bench.show(&attacker, true);
    let seen = bench.target()?.seen(&token);
    require(seen.connections == 1, || {
        format!(
            "the target got the request {} times: recorded datagrams from another address start a session",
            seen.connections
        )
    })
}

fn migrates(bench: &mut Place<'_>) -> Checked {
    bench.target()?;
    let mut peer = bench.plain()?;
    let token = bench.open(&mut peer, FIRST, "echo", 0)?;
    peer.send(&peer.frame(PSH, FIRST, b"here"))?;
    let done = peer.until(ANSWER, |peer| peer.stream(FIRST).bytes == b"here")?;
    require(done, || "a first stream does not work".to_owned())?;
    peer.run(Duration::from_millis(100))?;
    peer.move_to_new_port()?;
    peer.send(&peer.frame(PSH, FIRST, b", there"))?;
    let followed = peer.until(Duration::from_secs(8), |peer| peer.stream(FIRST).bytes == b"here, there")?;
    bench.show(&peer, true);
    let seen = bench.target()?.seen(&token);
    if followed {
        return Ok(());
    }
    unsupported(format!(
        "the stream does not continue at another port; the target has {} bytes",
        seen.bytes.len()
    ))
}

fn reflected(bench: &mut Place<'_>) -> Checked {
    bench.target()?;
    if bench.common.suite.cipher() == Cipher::Null {
        return not_measured("null has no nonce by which a datagram could be recognised");
    }
    let mut peer = bench.plain()?;
    let token = bench.open(&mut peer, FIRST, "send", 6_000)?;
    let done = peer.until(ANSWER, |peer| peer.stream(FIRST).bytes.len() == 6_000)?;
    require(done, || "a first stream does not work".to_owned())?;
    for datagram in peer.arrived() {
        peer.send_sealed(&datagram)?;
    }
    peer.run(Duration::from_millis(300))?;
    let own = b"the client's own bytes".repeat(8);
    peer.send(&peer.frame(PSH, FIRST, &own))?;
    let target = bench.target()?;
    peer.until(ANSWER, |_| target.seen(&token).bytes.len() >= own.len())?;
    let seen = target.seen(&token);
    bench.show(&peer, true);
    require(seen.bytes == own, || {
        let sent = pattern(&token, 6_000);
        match seen.bytes.len() {
            0 => format!("the session reads nothing more of the client (stream ended: {})", seen.ended),
            n if sent.starts_with(&seen.bytes[..n.min(1_000)]) => {
                format!("the target got {n} bytes that it had sent itself")
            }
            n => format!("the target got {n} bytes that differ from the {} of the client", own.len()),
        }
    })
}

fn own_parity(bench: &mut Place<'_>) -> Checked {
    bench.target()?;
    let mut peer = bench.peer()?;
    bench.open(&mut peer, FIRST, "send", 60_000)?;
    let done = peer.until(Duration::from_secs(8), |peer| peer.stream(FIRST).bytes.len() == 60_000)?;
    bench.show(&peer, true);
    require(done, || "60,000 bytes do not arrive".to_owned())?;
    judge_parity(&peer)
}

/// Recomputes the parity of every whole group that arrived.
pub(super) fn judge_parity(peer: &Peer) -> Checked {
    let packets: Vec<&Vec<u8>> = peer.opened.iter().filter(|payload| kind(payload).is_some()).collect();
    if packets.is_empty() {
        return unsupported("it sends no FEC");
    }
    match crate::decode::judge_parity(packets.iter().map(|packet| packet.as_slice())) {
        Ok(0) => not_measured("no group with parity arrived whole"),
        Ok(_) => Ok(()),
        Err(why) => fail(why),
    }
}

fn rebuilds(bench: &mut Place<'_>) -> Checked {
    let Some(shape) = bench.common.shape else {
        return not_measured("needs FEC (--datashard, --parityshard)");
    };
    let mut peer = bench.peer()?;
    peer.acknowledges = false;
    // A server may trust a shape only once it has seen many groups.
    for _ in 0..24 {
        for _ in 0..shape.data() {
            let part = peer.segments(&peer.frame(NOP, 0, &[])).concat();
            peer.push(&part)?;
        }
        let all = peer.next;
        peer.until(ANSWER, |peer| peer.una == all)?;
    }
    peer.retransmits = false;
    let lost = peer.next;
    for at in 0..shape.data() {
        let part = peer.segments(&peer.frame(NOP, 0, &[])).concat();
        if at == 1 { peer.withhold(&part)? } else { peer.push(&part)? }
    }
    let all = peer.next;
    let rebuilt = peer.until(ANSWER, |peer| peer.una == all)?;
    bench.show(&peer, true);
    require(rebuilt, || format!("una stays at {}: segment {} was not rebuilt", peer.una, lost + 1))
}

fn out_of_band(bench: &mut Place<'_>) -> Checked {
    let mut peer = bench.session()?;
    let mut packet = vec![0; 40];
    engine::fec::write_out_of_band_header(&mut packet);
    packet[8..12].copy_from_slice(&peer.conv.to_le_bytes());
    peer.seal_and_send(&packet)?;
    let works = bench.works(&mut peer, FIRST + 40, ANSWER)?;
    bench.show(&peer, true);
    // Such messages exist since kcp-go 5.6.60; before, they are segments of another conversation.
    if works { Ok(()) } else { unsupported("a message out of band ends the session") }
}

/// Segments that fit the receive window of every session (KCP-4).
pub(super) const WINDOW_AT_START: usize = 16;

/// Groups that come before the one with the attack.
const GROUPS_BEFORE: usize = 24;

/// A conversation of data segments of equal size that carry one stream; returns the datagrams of the last group.
struct Flood {
    peer: Peer,
    /// Number of the first segment.
    base: u32,
    segments: Vec<Vec<u8>>,
    token: String,
    bytes: Vec<u8>,
}

impl Flood {
    fn new(bench: &mut Place<'_>, data: usize) -> Result<Self, Stop> {
        let mut peer = bench.peer()?;
        // A server may hold back until its client is proven; that must not take places of the groups.
        peer.use_fec(false);
        let works = bench.works(&mut peer, FIRST + 40, ANSWER)?;
        require(works, || "a first stream does not work".to_owned())?;
        peer.run(Duration::from_millis(200))?;
        peer.use_fec(true);
        (peer.acknowledges, peer.retransmits) = (false, false);
        let base = peer.next;
        let (token, opening) = bench.opening(&peer, FIRST, "after", 0);
        let mut segments = peer.segments(&opening);
        let mut bytes = Vec::new();
        while segments.len() < (GROUPS_BEFORE + 1) * data {
            let mut part = vec![0; 64];
            bench.entropy.fill(&mut part);
            segments.extend(peer.segments(&peer.frame(PSH, FIRST, &part)));
            bytes.extend(part);
        }
        Ok(Self { peer, base, segments, token, bytes })
    }

    /// Sends everything before the last group, in pieces that fit the window of a session that was not accepted yet.
    fn before(&mut self, data: usize) -> Checked {
        for segments in self.segments[..GROUPS_BEFORE * data].chunks(WINDOW_AT_START) {
            segments.iter().try_for_each(|segment| self.peer.push(segment))?;
            let all = self.peer.next;
            let taken = self.peer.until(ANSWER, |peer| peer.una == all)?;
            require(taken, || format!("una is {} after {all} segments", self.peer.una))?;
        }
        Ok(())
    }

    /// The KCP datagrams of the last group.
    fn last(&self, data: usize) -> Vec<Vec<u8>> {
        let from = GROUPS_BEFORE * data;
        let datagram = |(at, segment): (usize, &Vec<u8>)| {
            self.peer.segment_with(81, self.base + (from + at) as u32, 1_000, 0, segment)
        };
        self.segments[from..].iter().take(data).enumerate().map(datagram).collect()
    }
}

fn foreign_parity(bench: &mut Place<'_>) -> Checked {
    let Some(shape) = bench.common.shape else {
        return not_measured("needs FEC (--datashard, --parityshard)");
    };
    bench.target()?;
    let data = shape.data();
    let (mut old, mut new) = (Flood::new(bench, data)?, Flood::new(bench, data)?);
    let Some(plan) = parity::plan(shape, &new.last(data), &old.last(data)) else {
        return not_measured(format!("no parity of {}:{} groups deceives", shape.data(), shape.parity()));
    };
    old.before(data)?;
    for datagram in old.last(data) {
        old.peer.datagram(&datagram)?;
    }
    let sent = old.peer.sent();
    let recorded: Vec<&Vec<u8>> = sent[sent.len() - shape.parity()..].iter().collect();
    new.before(data)?;
    new.peer.hold_parity(true);
    for (at, datagram) in new.last(data).iter().enumerate() {
        if plan.withheld.contains(&at) { new.peer.skip(datagram)? } else { new.peer.datagram(datagram)? }
    }
    for at in &plan.parity {
        new.peer.send_sealed(recorded[*at])?;
    }
    new.peer.run(Duration::from_millis(300))?;
    // The lost ones arrive after all.
    let last = new.last(data);
    plan.withheld.iter().try_for_each(|at| new.peer.seal_and_send(&last[*at]))?;
    new.peer.next = new.base + new.segments.len() as u32;
    new.peer.retransmits = true;
    let end = new.peer.frame(FIN, FIRST, &[]);
    new.peer.send(&end)?;
    let target = bench.target()?;
    new.peer.until(ANSWER, |_| target.seen(&new.token).ended)?;
    let seen = target.seen(&new.token);
    bench.show(&new.peer, true);
    require(seen.bytes == new.bytes, || {
        let differing = seen.bytes.iter().zip(&new.bytes).filter(|(a, b)| a != b).count();
        match differing {
            0 => format!(
                "the session is dead: the target has {} of {} bytes",
                seen.bytes.len(),
                new.bytes.len()
            ),
            n => format!("{n} wrong bytes of {} reach the target", new.bytes.len()),
        }
    })
}

fn echoes(bench: &mut Place<'_>) -> Checked {
    bench.target()?;
    let mut peer = bench.peer()?;
    let token = bench.open(&mut peer, FIRST, "echo", 0)?;
    let bytes = pattern(&token, 100_000);
    for part in bytes.chunks(20_000) {
        peer.send(&peer.frame(PSH, FIRST, part))?;
        peer.until(ANSWER, Peer::is_acknowledged)?;
    }
    peer.until(Duration::from_secs(8), |peer| peer.stream(FIRST).bytes.len() >= bytes.len())?;
    bench.show(&peer, true);
    if let Some(why) = peer.broken {
        return fail(why);
    }
    let found = peer.stream(FIRST).bytes;
    require(found == bytes, || format!("{} of {} bytes come back, or others", found.len(), bytes.len()))
}

fn skippable(bench: &mut Place<'_>) -> Checked {
    if !bench.common.compressed {
        return not_measured("the session is not compressed");
    }
    let mut peer = bench.session()?;
    peer.push(&[0x80, 5, 0, 0, 1, 2, 3, 4, 5])?;
    bench.still_works(&mut peer, "a chunk of type 80")
}

fn bad_chunk(bench: &mut Place<'_>) -> Checked {
    if !bench.common.compressed {
        return not_measured("the session is not compressed");
    }
    let mut peer = bench.session()?;
    peer.push(&[0x01, 8, 0, 0, 9, 9, 9, 9, 1, 2, 3, 4])?;
    bench.reads_nothing(&mut peer, "a chunk with a wrong checksum")
}

fn many(bench: &mut Place<'_>) -> Checked {
    bench.target()?;
    let mut peer = bench.peer()?;
    let mut expected = Vec::new();
    for at in 0..20 {
        let token = bench.open(&mut peer, FIRST + 2 * at, "echo", 0)?;
        expected.push((FIRST + 2 * at, pattern(&token, 1_000 + 100 * at as usize)));
    }
    for part in 0..3 {
        for (stream, bytes) in &expected {
            let third = bytes.len().div_ceil(3);
            let piece = bytes.chunks(third).nth(part).unwrap_or_default().to_vec();
            peer.send(&peer.frame(PSH, *stream, &piece))?;
        }
    }
    let all = |peer: &Peer| expected.iter().all(|(stream, bytes)| peer.stream(*stream).bytes == *bytes);
    let done = peer.until(Duration::from_secs(8), all)?;
    bench.show(&peer, true);
    require(done, || {
        let wrong = expected.iter().filter(|(stream, bytes)| peer.stream(*stream).bytes != *bytes).count();
        format!("{wrong} of 20 streams do not get their own bytes")
    })
}

fn bad_version(bench: &mut Place<'_>) -> Checked {
    let mut peer = bench.session()?;
    let frame = peer.raw_frame(7, NOP, 0, 0, &[]);
    peer.send(&frame)?;
    bench.reads_nothing(&mut peer, "a frame of version 7")
}

fn second_syn(bench: &mut Place<'_>) -> Checked {
    bench.target()?;
    let mut peer = bench.plain()?;
    let token = bench.open(&mut peer, FIRST, "echo", 0)?;
    peer.send(&[peer.frame(SYN, FIRST, &[]), peer.frame(PSH, FIRST, b"behind it")].concat())?;
    let done = peer.until(ANSWER, |peer| peer.stream(FIRST).bytes == b"behind it")?;
    bench.show(&peer, true);
    let seen = bench.target()?.seen(&token);
    require(done && seen.connections == 1, || {
        format!("the stream has {} bytes at the target", seen.bytes.len())
    })
}

fn unknown_stream(bench: &mut Place<'_>) -> Checked {
    let mut peer = bench.session()?;
    let frames = [peer.frame(PSH, 999, b"nobody's"), peer.frame(FIN, 997, &[])].concat();
    peer.send(&frames)?;
    bench.still_works(&mut peer, "data and an end of streams that do not exist")
}

fn empty(bench: &mut Place<'_>) -> Checked {
    let mut peer = bench.session()?;
    let version = peer.common.smux;
    let frames = [peer.frame(PSH, FIRST, &[]), peer.raw_frame(version, NOP, 777, 0, &[])].concat();
    peer.send(&frames)?;
    bench.still_works(&mut peer, "empty data and a NOP with a length field")
}

fn update_in_one(bench: &mut Place<'_>) -> Checked {
    bench.target()?;
    if bench.common.smux != 1 {
        return not_measured("the session is of version 2");
    }
    let mut peer = bench.session()?;
    let frame = peer.raw_frame(1, UPD, 8, FIRST, &[0; 8]);
    peer.send(&frame)?;
    let works = bench.works(&mut peer, FIRST + 40, Duration::from_millis(1_200))?;
    bench.show(&peer, true);
    // smux 1.5.16 takes it in both versions.
    if works { unsupported("an update is read in version 1, too") } else { Ok(()) }
}

fn window_of_two(bench: &mut Place<'_>) -> Checked {
    if bench.common.smux != 2 {
        return not_measured("the session is of version 1");
    }
    bench.target()?;
    let mut peer = bench.plain()?;
    bench.open(&mut peer, FIRST, "send", 400_000)?;
    peer.until(Duration::from_secs(5), |peer| peer.stream(FIRST).bytes.len() >= 262_144)?;
    peer.run(QUIET)?;
    bench.show(&peer, true);
    let len = peer.stream(FIRST).bytes.len();
    // The last frame may begin within the window and end beyond it.
    require((262_144..262_144 + 65_536).contains(&len), || {
        format!("{len} bytes come without an update, not 262,144")
    })?;
    let update = [(len as u32).to_le_bytes(), 1_000_000_u32.to_le_bytes()].concat();
    peer.send(&peer.frame(UPD, FIRST, &update))?;
    let done = peer.until(Duration::from_secs(5), |peer| peer.stream(FIRST).bytes.len() == 400_000)?;
    require(done, || format!("{} of 400,000 bytes after an update", peer.stream(FIRST).bytes.len()))
}

fn ends(bench: &mut Place<'_>) -> Checked {
    bench.target()?;
    let mut peer = bench.peer()?;
    let token = bench.open(&mut peer, FIRST, "send", 30_000)?;
    let done = peer.until(Duration::from_secs(5), |peer| peer.stream(FIRST).ended)?;
    bench.show(&peer, true);
    let stream = peer.stream(FIRST);
    require(stream.bytes == pattern(&token, 30_000), || {
        format!("{} of 30,000 bytes, or others", stream.bytes.len())
    })?;
    require(done, || "no FIN follows".to_owned())
}

fn half_close(bench: &mut Place<'_>) -> Checked {
    bench.target()?;
    let mut peer = bench.plain()?;
    // Every smux ignores the number of a NOP.
    peer.send(&peer.frame(NOP, HALF_CLOSE, &[]))?;
    let token = bench.open(&mut peer, FIRST, "after", 65_536)?;
    peer.send(&[peer.frame(PSH, FIRST, b"the whole request"), peer.frame(FIN, FIRST, &[])].concat())?;
    peer.until(Duration::from_secs(6), |peer| peer.stream(FIRST).ended)?;
    peer.run(Duration::from_millis(200))?;
    bench.show(&peer, true);
    let (stream, seen) = (peer.stream(FIRST), bench.target()?.seen(&token));
    require(seen.bytes == b"the whole request", || {
        format!("the target got {} bytes of the request", seen.bytes.len())
    })?;
    require(stream.bytes == pattern(&token, 65_536), || {
        format!(
            "{} of 65,536 bytes of the answer arrive: the end of the request ends the answer",
            stream.bytes.len()
        )
    })
}
