//! Checks of a client: the kit is the server, and the application behind the client.

use super::peer::{Common, FIN, NOP, PSH, Peer, is_idle};
use super::server::{FIRST, HALF_CLOSE, WINDOW_AT_START, judge_parity};
use super::target::pattern;
use super::{Bench, Check, Checked, ClientSubject, Stop, fail, not_measured, parity, require};
use engine::arq::Header;
use engine::crypt::Cipher;
use engine::fec::{HEADER_LEN, Kind, kind};
use lab::conformance::Verdict;
use lab::mihomo;
use lab::ports;
use lab::process::Process;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

type Place<'b> = Bench<'b, ClientSubject>;

const ANSWER: Duration = Duration::from_secs(3);

pub(super) const CHECKS: &[Check<ClientSubject>] = &[
    Check {
        ids: &["CRYPT-1", "CRYPT-2", "KCP-1"],
        title: "begins with a sealed datagram and segment 0",
        run: begins,
    },
    Check { ids: &["CRYPT-18"], title: "delivers none of its own datagrams as the server's", run: reflected },
    Check { ids: &["CLI-21"], title: "takes no datagrams from another address", run: other_address },
    Check { ids: &["KCP-7"], title: "answers a window probe", run: probe },
    Check { ids: &["KCP-11"], title: "retransmits what is not acknowledged", run: retransmits },
    Check { ids: &["KCP-16"], title: "acknowledges duplicates, and nothing beyond its window", run: window },
    Check {
        ids: &["FEC-1", "FEC-2", "FEC-6", "FEC-7"],
        title: "sends parity that fits its data",
        run: own_parity,
    },
    Check {
        ids: &["FEC-23"],
        title: "delivers right bytes after replayed parity of another conversation",
        run: foreign_parity,
    },
    Check {
        ids: &["SNAP-1", "SNAP-3", "SMUX-1"],
        title: "carries the bytes of a stream both ways",
        run: carries,
    },
    Check { ids: &["SMUX-3"], title: "numbers its streams 3, 5, 7", run: numbers },
    Check { ids: &["SMUX-5"], title: "drops data of unknown streams", run: unknown_stream },
    Check { ids: &["SMUX-17"], title: "ends a connection after all its bytes", run: ends },
    Check {
        ids: &["SMUX-26", "CLI-23"],
        title: "half-closes: delivers the answer after the end of the request",
        run: half_close,
    },
];

/// A running client, with the kit as its server.
struct Pair {
    peer: Peer,
    app: TcpStream,
    listen: SocketAddr,
    client: SocketAddr,
    process: Process,
}

impl Place<'_> {
    /// Starts the client, connects an application that sends `request`, and takes the session.
    fn pair(&mut self, common: Common, request: &[u8]) -> Result<Pair, Stop> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let listen = ports::free_tcp()?;
        let command = self
            .subject
            .command
            .replace("{server}", &socket.local_addr()?.to_string())
            .replace("{listen}", &listen.to_string());
        let flags = ["-c".to_owned(), format!("exec {command}")];
        let mut process = Process::start(Path::new("/bin/sh"), &flags, None)?;
        if let Err(error) = process.listens(ports::Protocol::Tcp, listen.port()) {
            return Err(Stop::Verdict(Verdict::Error, format!("the client does not listen: {error}")));
        }
        let mut app = connect(listen, request)?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let end = Instant::now() + Duration::from_secs(8);
        let mut buffer = vec![0; 65_536];
        while Instant::now() < end {
            let (len, from) = match socket.recv_from(&mut buffer) {
                Ok(found) => found,
                Err(error) if is_idle(&error) => {
                    if is_closed(&app) {
                        // Some listen before they are ready, and close what comes until then.
                        app = connect(listen, request)?;
                    }
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if let Some(conv) = conversation(&common, &buffer[..len]) {
                let mut peer = Peer::at(socket, common, from, conv, self.entropy.fork())?;
                peer.reads_heads = peer.common.shadowsocks;
                peer.receive(&buffer[..len])?;
                return Ok(Pair { peer, app, listen, client: from, process });
            }
        }
        fail("no datagram of the client opens: another key or cipher?")
    }

    /// Waits for the request of the application.
    fn request(&mut self, pair: &mut Pair, bytes: &[u8]) -> Checked {
        let peer = &mut pair.peer;
        if peer.until(ANSWER, |peer| peer.stream(FIRST).bytes == bytes)? {
            return Ok(());
        }
        self.show(&pair.peer, false);
        pair.runs()?;
        fail(match &pair.peer.broken {
            Some(why) => why.clone(),
            None => format!(
                "{} of {} bytes of stream {FIRST} arrive",
                pair.peer.stream(FIRST).bytes.len(),
                bytes.len()
            ),
        })
    }

    fn plain(&mut self, request: &[u8]) -> Result<Pair, Stop> {
        let common = Common { shape: None, ..self.common.clone() };
        self.pair(common, request)
    }
}

/// An application that sends `request`.
fn connect(listen: SocketAddr, request: &[u8]) -> io::Result<TcpStream> {
    let mut app = TcpStream::connect(listen)?;
    app.set_read_timeout(Some(Duration::from_millis(100)))?;
    app.set_nodelay(true)?;
    app.write_all(request)?;
    Ok(app)
}

/// Whether the client closed a connection on which nothing was to be read.
fn is_closed(app: &TcpStream) -> bool {
    match app.peek(&mut [0]) {
        Ok(n) => n == 0,
        Err(error) => !is_idle(&error),
    }
}

/// The conversation of a datagram with segments.
fn conversation(common: &Common, datagram: &[u8]) -> Option<u32> {
    let mut copy = datagram.to_vec();
    let inside = common.suite.open(&mut copy).ok()?;
    let payload = &copy[inside];
    let segments = match kind(payload) {
        None => payload,
        Some(Kind::Data) => payload.get(HEADER_LEN..)?,
        Some(_) => return None,
    };
    Header::parse(segments).map(|(header, _)| header.conv)
}

impl Pair {
    /// Lets both ends run until the application has read `len` bytes, its end, or the limit passes.
    fn read(&mut self, len: usize, limit: Duration) -> Result<(Vec<u8>, bool), Stop> {
        let end = Instant::now() + limit;
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 65_536]);
        while Instant::now() < end && bytes.len() < len {
            self.peer.run(Duration::from_millis(10))?;
            self.app.set_read_timeout(Some(Duration::from_millis(5)))?;
            match self.app.read(&mut buffer) {
                Ok(0) => return Ok((bytes, true)),
                Ok(n) => bytes.extend_from_slice(&buffer[..n]),
                Err(error) if is_idle(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok((bytes, true)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok((bytes, false))
    }

    /// Answers an announcement of half-close.
    fn answer_announcement(&mut self) -> io::Result<()> {
        if self.peer.keepalives.contains(&HALF_CLOSE) {
            let frame = self.peer.frame(NOP, HALF_CLOSE, &[]);
            self.peer.send(&frame)?;
        }
        Ok(())
    }

    fn runs(&mut self) -> Checked {
        self.process.check().map_err(|error| Stop::Verdict(Verdict::Error, error.to_string()))
    }
}

fn begins(bench: &mut Place<'_>) -> Checked {
    let mut pair = bench.plain(b"hello")?;
    bench.request(&mut pair, b"hello")?;
    bench.show(&pair.peer, false);
    require(pair.peer.arrivals.contains_key(&0), || "its first data segment is not number 0".to_owned())?;
    require(pair.peer.unopened == 0, || format!("{} of its datagrams do not open", pair.peer.unopened))
}

fn reflected(bench: &mut Place<'_>) -> Checked {
    if bench.common.suite.cipher() == Cipher::Null {
        return not_measured("null has no nonce by which a datagram could be recognised");
    }
    let request = pattern("reflected", 6_000);
    let mut pair = bench.plain(&request)?;
    bench.request(&mut pair, &request)?;
    for datagram in pair.peer.arrived() {
        pair.peer.send_sealed(&datagram)?;
    }
    pair.peer.run(Duration::from_millis(300))?;
    pair.answer_announcement()?;
    let own = b"the server's own bytes".repeat(8);
    let frame = pair.peer.frame(PSH, FIRST, &own);
    pair.peer.send(&frame)?;
    let (bytes, ended) = pair.read(own.len(), ANSWER)?;
    bench.show(&pair.peer, false);
    let reflected = if pair.peer.reads_heads { mihomo::behind_head(&bytes) } else { &bytes };
    require(bytes == own, || match bytes.len() {
        0 => format!("the session reads nothing more of the server (connection ended: {ended})"),
        n if request.starts_with(&reflected[..reflected.len().min(100)]) => {
            format!("the application got {n} bytes that it had sent itself")
        }
        n => format!("the application got {n} bytes that differ from those of the server"),
    })
}

fn other_address(bench: &mut Place<'_>) -> Checked {
    let mut pair = bench.plain(b"hello")?;
    bench.request(&mut pair, b"hello")?;
    let payload = pair.peer.segments(&pair.peer.frame(PSH, FIRST, b"forged")).concat();
    let segment = pair.peer.segment(81, pair.peer.next, &payload);
    let sealed = pair.peer.seal(&segment);
    let stranger = UdpSocket::bind("127.0.0.1:0")?;
    stranger.send_to(&sealed, pair.client)?;
    let (bytes, _) = pair.read(1, Duration::from_millis(600))?;
    bench.show(&pair.peer, false);
    require(bytes.is_empty(), || "data from another address reaches the application".to_owned())?;
    pair.runs()
}

fn probe(bench: &mut Place<'_>) -> Checked {
    let mut pair = bench.plain(b"hello")?;
    bench.request(&mut pair, b"hello")?;
    let segment = pair.peer.segment(83, 0, &[]);
    pair.peer.datagram(&segment)?;
    let answered = pair.peer.until(ANSWER, |peer| peer.wins > 0)?;
    bench.show(&pair.peer, false);
    require(answered, || "no window announcement answers it".to_owned())
}

fn retransmits(bench: &mut Place<'_>) -> Checked {
    let common = Common { shape: None, ..bench.common.clone() };
    let mut pair = bench.pair(common, b"hello")?;
    bench.request(&mut pair, b"hello")?;
    pair.peer.acknowledges = false;
    pair.app.write_all(b"again")?;
    let last = |peer: &Peer| peer.arrivals.iter().next_back().map_or(0, |(_, n)| *n);
    let before = pair.peer.arrivals.len();
    let again =
        pair.peer.until(Duration::from_secs(6), |peer| peer.arrivals.len() > before && last(peer) >= 2)?;
    bench.show(&pair.peer, false);
    require(again, || "a segment that is not acknowledged does not come again within 6 s".to_owned())
}

fn window(bench: &mut Place<'_>) -> Checked {
    let mut pair = bench.plain(b"hello")?;
    bench.request(&mut pair, b"hello")?;
    let frame = pair.peer.frame(NOP, 0, &[]);
    pair.peer.send(&frame)?;
    pair.peer.until(ANSWER, Peer::is_acknowledged)?;
    let before = pair.peer.acked.len();
    let segment = pair.peer.segment(81, 0, &pair.peer.first);
    pair.peer.datagram(&segment)?;
    let again = pair.peer.until(ANSWER, |peer| peer.acked[before..].contains(&0))?;
    bench.show(&pair.peer, false);
    require(again, || "a duplicate of segment 0 is not acknowledged".to_owned())?;
    let far = pair.peer.next + 200_000;
    let segment = pair.peer.segment(81, far, b"far");
    pair.peer.datagram(&segment)?;
    pair.peer.run(Duration::from_millis(500))?;
    require(!pair.peer.acked.contains(&far), || {
        format!("segment {far} is acknowledged, far beyond the window")
    })
}

fn own_parity(bench: &mut Place<'_>) -> Checked {
    let request = pattern("parity", 60_000);
    let common = bench.common.clone();
    let mut pair = bench.pair(common, &request)?;
    bench.request(&mut pair, &request)?;
    bench.show(&pair.peer, false);
    judge_parity(&pair.peer)
}

/// Groups that come before the one with the attack.
const GROUPS_BEFORE: usize = 12;

fn foreign_parity(bench: &mut Place<'_>) -> Checked {
    let Some(shape) = bench.common.shape else {
        return not_measured("needs FEC (--datashard, --parityshard)");
    };
    let data = shape.data();
    let floods = [(); 2].map(|()| flood(bench, data));
    let [old, new] = floods;
    let (
        Flood { pair: mut old, segments: old_segments, .. },
        Flood { pair: mut new, segments: new_segments, bytes },
    ) = (old?, new?);
    let last = |pair: &Pair, segments: &[Vec<u8>]| -> Vec<Vec<u8>> {
        let from = GROUPS_BEFORE * data;
        let one = |(at, segment): (usize, &Vec<u8>)| {
            pair.peer.segment_with(81, pair.peer.next + (from + at) as u32, 1_000, 1, segment)
        };
        segments[from..].iter().take(data).enumerate().map(one).collect()
    };
    let (old_last, new_last) = (last(&old, &old_segments), last(&new, &new_segments));
    let Some(plan) = parity::plan(shape, &new_last, &old_last) else {
        return not_measured(format!("no parity of {}:{} groups deceives", shape.data(), shape.parity()));
    };
    for (pair, segments) in [(&mut old, &old_segments), (&mut new, &new_segments)] {
        for piece in segments[..GROUPS_BEFORE * data].chunks(WINDOW_AT_START) {
            piece.iter().try_for_each(|segment| pair.peer.push(segment))?;
            let all = pair.peer.next;
            let taken = pair.peer.until(ANSWER, |peer| peer.una == all)?;
            require(taken, || format!("una is {} after {all} segments", pair.peer.una))?;
        }
    }
    old_last.iter().try_for_each(|datagram| old.peer.datagram(datagram))?;
    let sent = old.peer.sent();
    let recorded = &sent[sent.len() - shape.parity()..];
    new.peer.hold_parity(true);
    for (at, datagram) in new_last.iter().enumerate() {
        if plan.withheld.contains(&at) { new.peer.skip(datagram)? } else { new.peer.datagram(datagram)? }
    }
    plan.parity.iter().try_for_each(|at| new.peer.send_sealed(&recorded[*at]))?;
    new.peer.run(Duration::from_millis(300))?;
    plan.withheld.iter().try_for_each(|at| new.peer.seal_and_send(&new_last[*at]))?;
    let (found, _) = new.read(bytes.len(), ANSWER)?;
    bench.show(&new.peer, false);
    require(found == bytes, || {
        let differing = found.iter().zip(&bytes).filter(|(a, b)| a != b).count();
        match differing {
            0 => format!("the session is dead: the application has {} of {} bytes", found.len(), bytes.len()),
            n => format!("{n} wrong bytes of {} reach the application", bytes.len()),
        }
    })
}

/// A session whose server has data segments of equal size to send.
struct Flood {
    pair: Pair,
    segments: Vec<Vec<u8>>,
    /// Bytes of the stream.
    bytes: Vec<u8>,
}

fn flood(bench: &mut Place<'_>, data: usize) -> Result<Flood, Stop> {
    let common = bench.common.clone();
    let mut pair = bench.pair(common, b"hello")?;
    bench.request(&mut pair, b"hello")?;
    pair.peer.run(Duration::from_millis(200))?;
    (pair.peer.acknowledges, pair.peer.retransmits) = (false, false);
    // Acknowledgements took places of the first groups.
    pair.peer.use_fec(true);
    let (mut segments, mut bytes) = (Vec::new(), Vec::new());
    while segments.len() < (GROUPS_BEFORE + 1) * data {
        let mut part = vec![0; 64];
        bench.entropy.fill(&mut part);
        let frame = pair.peer.frame(PSH, FIRST, &part);
        segments.extend(pair.peer.segments(&frame));
        bytes.extend(part);
    }
    Ok(Flood { pair, segments, bytes })
}

fn carries(bench: &mut Place<'_>) -> Checked {
    let request = pattern("request", 50_000);
    let common = bench.common.clone();
    let mut pair = bench.pair(common, &request)?;
    bench.request(&mut pair, &request)?;
    pair.answer_announcement()?;
    let answer = pattern("answer", 50_000);
    for part in answer.chunks(10_000) {
        let frame = pair.peer.frame(PSH, FIRST, part);
        pair.peer.send(&frame)?;
    }
    let (bytes, _) = pair.read(answer.len(), Duration::from_secs(8))?;
    bench.show(&pair.peer, false);
    require(bytes == answer, || format!("{} of 50,000 bytes of the answer arrive, or others", bytes.len()))
}

fn numbers(bench: &mut Place<'_>) -> Checked {
    let mut pair = bench.plain(b"one")?;
    bench.request(&mut pair, b"one")?;
    let mut others = Vec::new();
    for text in [b"two", b"six"] {
        let mut app = TcpStream::connect(pair.listen)?;
        app.write_all(text)?;
        let before = pair.peer.streams.len();
        pair.peer.until(ANSWER, |peer| peer.streams.len() > before)?;
        others.push(app);
    }
    bench.show(&pair.peer, false);
    let ids: Vec<u32> = pair.peer.streams.keys().copied().collect();
    require(ids == [3, 5, 7], || format!("three connections have the streams {ids:?}"))
}

fn unknown_stream(bench: &mut Place<'_>) -> Checked {
    let mut pair = bench.plain(b"hello")?;
    bench.request(&mut pair, b"hello")?;
    let frames = [
        pair.peer.frame(PSH, 999, b"unknown"),
        pair.peer.frame(FIN, 997, &[]),
        pair.peer.frame(PSH, FIRST, b"known"),
    ];
    pair.peer.send(&frames.concat())?;
    let (bytes, _) = pair.read(5, ANSWER)?;
    bench.show(&pair.peer, false);
    require(bytes == b"known", || {
        "the connection does not work after data of a stream that does not exist".to_owned()
    })
}

fn ends(bench: &mut Place<'_>) -> Checked {
    let mut pair = bench.plain(b"hello")?;
    bench.request(&mut pair, b"hello")?;
    let answer = pattern("ends", 30_000);
    pair.peer.send_to_end(FIRST, &answer)?;
    let (bytes, ended) = pair.read(usize::MAX, Duration::from_secs(5))?;
    bench.show(&pair.peer, false);
    require(bytes == answer, || format!("{} of 30,000 bytes arrive before the end", bytes.len()))?;
    require(ended, || "the connection does not end".to_owned())
}

fn half_close(bench: &mut Place<'_>) -> Checked {
    let mut pair = bench.plain(b"the whole ")?;
    pair.peer.run(Duration::from_millis(200))?;
    pair.answer_announcement()?;
    pair.peer.run(Duration::from_millis(200))?;
    pair.app.write_all(b"request")?;
    pair.app.shutdown(Shutdown::Write)?;
    bench.request(&mut pair, b"the whole request")?;
    pair.peer.run(Duration::from_millis(400))?;
    let answer = pattern("half-close", 65_536);
    pair.peer.send_to_end(FIRST, &answer)?;
    let (bytes, ended) = pair.read(usize::MAX, Duration::from_secs(5))?;
    bench.show(&pair.peer, false);
    require(bytes == answer && ended, || {
        format!(
            "{} of 65,536 bytes of the answer arrive: the end of the request ends the answer",
            bytes.len()
        )
    })
}
