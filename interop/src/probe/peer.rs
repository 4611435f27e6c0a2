//! One end of a session with every datagram, segment and frame under the control of the caller.
//!
//! The layers are the engine's codecs; what is sent, and when, is decided here, because a tunnel of the engine would not
//! send what probes need. Segments are retransmitted every [`RETRANSMIT`] until they are acknowledged.

use crate::golden::capture::mux::Frame;
use engine::Entropy;
use engine::arq::{Command, Header, OVERHEAD};
use engine::crypt::Suite;
use engine::fec::{Decoder, Encoder, HEADER_LEN, Kind, PACKET_BYTES_MAX, Shape, kind};
use engine::mux::Dialect;
use engine::snappy;
use engine::time::diff;
use lab::mihomo;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Interval of retransmissions.
const RETRANSMIT: Duration = Duration::from_millis(250);

/// Bytes of data in a segment.
pub(crate) const SEGMENT_BYTES: usize = 1_200;

/// Datagrams that are kept as evidence.
const LOG_MAX: usize = 600;

/// The window that is announced, segments.
pub(crate) const WINDOW: u16 = 1_024;

/// Commands of smux.
pub(crate) const SYN: u8 = 0;
pub(crate) const FIN: u8 = 1;
pub(crate) const PSH: u8 = 2;
pub(crate) const NOP: u8 = 3;
pub(crate) const UPD: u8 = 4;

/// What both ends have in common.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) suite: Suite,
    pub(crate) compressed: bool,
    pub(crate) smux: u8,
    pub(crate) shape: Option<Shape>,
    /// Whether streams of the client begin with a head of shadowsocks, which is no part of their bytes.
    pub(crate) shadowsocks: bool,
}

/// A datagram that was sent or received.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    pub(crate) at: Instant,
    pub(crate) sent: bool,
    pub(crate) bytes: Vec<u8>,
}

/// One direction of a stream as received.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    pub(crate) opened: bool,
    pub(crate) ended: bool,
    /// Updates of smux 2: bytes consumed, window.
    pub(crate) updates: Vec<(u32, u32)>,
}

/// One end.
pub(crate) struct Peer {
    pub(crate) common: Common,
    socket: UdpSocket,
    pub(crate) to: SocketAddr,
    pub(crate) conv: u32,
    entropy: Entropy,
    encoder: Option<Encoder>,
    decoder: Option<Decoder>,
    squeeze: Option<snappy::Encoder>,
    expand: Option<snappy::Decoder>,
    started: Instant,
    /// Next number to send, and what is not acknowledged, with the time of the last transmission.
    pub(crate) next: u32,
    unacked: BTreeMap<u32, (Vec<u8>, Instant)>,
    /// The first data segment, and the last one.
    pub(crate) first: Vec<u8>,
    pub(crate) last: Vec<u8>,
    /// Next number expected, and what waits behind a gap.
    pub(crate) expected: u32,
    waiting: BTreeMap<u32, Vec<u8>>,
    /// Acknowledgements are not sent while this is false.
    pub(crate) acknowledges: bool,
    /// Nothing is retransmitted while this is false.
    pub(crate) retransmits: bool,
    /// Parity is computed and not sent while this is true.
    holds_parity: bool,
    /// Numbers acknowledged by the peer one by one, in order of arrival.
    pub(crate) acked: Vec<u32>,
    /// The latest una and window of the peer.
    pub(crate) una: u32,
    pub(crate) window: Option<u16>,
    pub(crate) wins: u32,
    pub(crate) asked: u32,
    /// How often each data segment arrived.
    pub(crate) arrivals: BTreeMap<u32, u32>,
    /// Opened datagrams of the peer, from the FEC or KCP header on.
    pub(crate) opened: Vec<Vec<u8>>,
    pub(crate) unopened: u32,
    frames: Vec<u8>,
    pub(crate) keepalives: Vec<u32>,
    pub(crate) streams: BTreeMap<u32, Received>,
    /// Whether what it receives begins with heads of shadowsocks.
    pub(crate) reads_heads: bool,
    /// Why the peer's bytes cannot be read any more.
    pub(crate) broken: Option<String>,
    pub(crate) log: VecDeque<Logged>,
}

impl Peer {
    /// An end at a new address, which speaks to `to`.
    pub(crate) fn new(common: Common, to: SocketAddr, conv: u32, entropy: Entropy) -> io::Result<Self> {
        Self::at(bind(to)?, common, to, conv, entropy)
    }

    /// An end at a bound address.
    pub(crate) fn at(
        socket: UdpSocket,
        common: Common,
        to: SocketAddr,
        conv: u32,
        entropy: Entropy,
    ) -> io::Result<Self> {
        let _ = socket.set_nonblocking(false);
        Ok(Self {
            socket,
            to,
            conv,
            entropy,
            encoder: common.shape.map(Encoder::new),
            decoder: common.shape.map(|shape| Decoder::new(Some(shape), engine::Generation::Go2026)),
            squeeze: common.compressed.then(snappy::Encoder::new),
            expand: common.compressed.then(snappy::Decoder::new),
            common,
            started: Instant::now(),
            next: 0,
            unacked: BTreeMap::new(),
            first: Vec::new(),
            last: Vec::new(),
            expected: 0,
            waiting: BTreeMap::new(),
            acknowledges: true,
            retransmits: true,
            holds_parity: false,
            acked: Vec::new(),
            una: 0,
            window: None,
            wins: 0,
            asked: 0,
            arrivals: BTreeMap::new(),
            opened: Vec::new(),
            unopened: 0,
            frames: Vec::new(),
            keepalives: Vec::new(),
            streams: BTreeMap::new(),
            reads_heads: false,
            broken: None,
            log: VecDeque::new(),
        })
    }

    pub(crate) fn local(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Milliseconds of this end's clock.
    pub(crate) fn clock(&self) -> u32 {
        // Not 0, so that a peer does not take an echo for an absent one.
        self.started.elapsed().as_millis() as u32 + 1_000
    }

    /// A frame of smux.
    pub(crate) fn frame(&self, command: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        self.raw_frame(self.common.smux, command, payload.len() as u16, stream, payload)
    }

    /// Sends the last bytes of a stream, in frames of 10,000 bytes at most, and its end.
    pub(crate) fn send_to_end(&mut self, stream: u32, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(10_000) {
            let frame = self.frame(PSH, stream, part);
            self.send(&frame)?;
        }
        let end = self.frame(FIN, stream, &[]);
        self.send(&end)
    }

    /// A frame whose fields need not fit each other.
    pub(crate) fn raw_frame(
        &self,
        version: u8,
        command: u8,
        len: u16,
        stream: u32,
        payload: &[u8],
    ) -> Vec<u8> {
        let mut frame = vec![version, command];
        frame.extend(len.to_le_bytes());
        frame.extend(stream.to_le_bytes());
        frame.extend_from_slice(payload);
        frame
    }

    /// Sends frames, in as many segments as needed.
    pub(crate) fn send(&mut self, frames: &[u8]) -> io::Result<()> {
        for segment in self.segments(frames) {
            self.push(&segment)?;
        }
        Ok(())
    }

    /// The bytes of data segments that carry frames: compressed if the session is.
    pub(crate) fn segments(&mut self, frames: &[u8]) -> Vec<Vec<u8>> {
        let mut bytes = Vec::new();
        match &mut self.squeeze {
            Some(encoder) => encoder.encode(frames, &mut bytes),
            None => bytes.extend_from_slice(frames),
        }
        bytes.chunks(SEGMENT_BYTES).map(<[u8]>::to_vec).collect()
    }

    /// Sends a data segment with the next number.
    pub(crate) fn push(&mut self, payload: &[u8]) -> io::Result<()> {
        let sn = self.next;
        self.next = self.next.wrapping_add(1);
        if sn == 0 {
            self.first = payload.to_vec();
        }
        self.last = payload.to_vec();
        self.unacked.insert(sn, (payload.to_vec(), Instant::now()));
        let segment = self.segment(81, sn, payload);
        self.datagram(&segment)
    }

    /// A data segment that is only counted as sent, and takes its place in the FEC group.
    pub(crate) fn withhold(&mut self, payload: &[u8]) -> io::Result<()> {
        let sn = self.next;
        self.next = self.next.wrapping_add(1);
        self.unacked.insert(sn, (payload.to_vec(), Instant::now()));
        let segment = self.segment(81, sn, payload);
        self.transmit(&segment, false)
    }

    /// A segment.
    pub(crate) fn segment(&self, cmd: u8, sn: u32, payload: &[u8]) -> Vec<u8> {
        self.segment_with(cmd, sn, self.clock(), self.expected, payload)
    }

    /// A segment with other numbers.
    pub(crate) fn segment_with(&self, cmd: u8, sn: u32, ts: u32, una: u32, payload: &[u8]) -> Vec<u8> {
        let mut segment = Vec::with_capacity(OVERHEAD + payload.len());
        segment.extend(self.conv.to_le_bytes());
        segment.extend([cmd, 0]);
        segment.extend(WINDOW.to_le_bytes());
        for number in [ts, sn, una, payload.len() as u32] {
            segment.extend(number.to_le_bytes());
        }
        segment.extend_from_slice(payload);
        segment
    }

    /// Sends segments in one datagram.
    pub(crate) fn datagram(&mut self, segments: &[u8]) -> io::Result<()> {
        self.transmit(segments, true)
    }

    fn transmit(&mut self, segments: &[u8], sends: bool) -> io::Result<()> {
        let Some(encoder) = &mut self.encoder else {
            return if sends { self.seal_and_send(segments) } else { Ok(()) };
        };
        let mut packet = vec![0; HEADER_LEN];
        packet.extend_from_slice(segments);
        encoder.encode(self.started.elapsed().as_millis() as u64, &mut packet);
        let mut parity = Vec::new();
        let mut out = vec![0; PACKET_BYTES_MAX];
        while let Some(len) = encoder.poll_parity(&mut out) {
            parity.push(out[..len].to_vec());
        }
        if sends {
            self.seal_and_send(&packet)?;
        }
        let parity = if self.holds_parity { Vec::new() } else { parity };
        parity.iter().try_for_each(|packet| self.seal_and_send(packet))
    }

    /// A datagram that takes its place in the FEC group and is not sent.
    pub(crate) fn skip(&mut self, segments: &[u8]) -> io::Result<()> {
        self.transmit(segments, false)
    }

    /// Whether parity is kept back.
    pub(crate) const fn hold_parity(&mut self, held: bool) {
        self.holds_parity = held;
    }

    /// Sends without FEC, or starts groups as if nothing had been sent.
    pub(crate) fn use_fec(&mut self, used: bool) {
        self.encoder = self.common.shape.filter(|_| used).map(Encoder::new);
    }

    /// Continues at another port, as behind a translator that lost its table.
    pub(crate) fn move_to_new_port(&mut self) -> io::Result<()> {
        self.socket = bind(self.to)?;
        Ok(())
    }

    /// Seals a payload, from the FEC or KCP header on, and sends it.
    pub(crate) fn seal_and_send(&mut self, payload: &[u8]) -> io::Result<()> {
        let sealed = self.seal(payload);
        self.send_sealed(&sealed)
    }

    /// Seals a payload.
    pub(crate) fn seal(&mut self, payload: &[u8]) -> Vec<u8> {
        let (head, tail) = (self.common.suite.head_len(), self.common.suite.tail_len());
        let mut datagram = vec![0; head];
        datagram.extend_from_slice(payload);
        datagram.resize(datagram.len() + tail, 0);
        let mut nonce = vec![0; self.common.suite.cipher().nonce_len()];
        self.entropy.fill(&mut nonce);
        self.common.suite.seal(&nonce, &mut datagram);
        datagram
    }

    /// Sends bytes as they are.
    pub(crate) fn send_sealed(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.note(true, datagram);
        match self.socket.send_to(datagram, self.to) {
            // Reported for an earlier datagram: nothing listens there yet.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            other => other.map(drop),
        }
    }

    /// The datagrams that were sent so far, sealed.
    pub(crate) fn sent(&self) -> Vec<Vec<u8>> {
        self.log.iter().filter(|logged| logged.sent).map(|logged| logged.bytes.clone()).collect()
    }

    /// The datagrams that arrived so far, sealed.
    pub(crate) fn arrived(&self) -> Vec<Vec<u8>> {
        self.log.iter().filter(|logged| !logged.sent).map(|logged| logged.bytes.clone()).collect()
    }

    /// Receives and answers until `done`, or until `limit` has passed; whether `done` holds.
    pub(crate) fn until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> io::Result<bool> {
        let end = Instant::now() + limit;
        let mut buffer = vec![0; 65_536];
        loop {
            if done(self) {
                return Ok(true);
            }
            let now = Instant::now();
            if now >= end {
                return Ok(false);
            }
            let wait = (end - now).min(Duration::from_millis(20));
            self.socket.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
            match self.socket.recv_from(&mut buffer) {
                Ok((len, from)) if from == self.to => {
                    let datagram = buffer[..len].to_vec();
                    self.receive(&datagram)?;
                }
                Ok(_) => {}
                Err(error) if is_idle(&error) => {}
                Err(error) => return Err(error),
            }
            self.retransmit()?;
        }
    }

    /// Receives and answers for a while.
    pub(crate) fn run(&mut self, time: Duration) -> io::Result<()> {
        self.until(time, |_| false).map(drop)
    }

    fn retransmit(&mut self) -> io::Result<()> {
        if !self.retransmits {
            return Ok(());
        }
        let now = Instant::now();
        let due: Vec<(u32, Vec<u8>)> = self
            .unacked
            .iter()
            .filter(|(_, (_, sent))| now.duration_since(*sent) >= RETRANSMIT)
            .take(64)
            .map(|(sn, (payload, _))| (*sn, payload.clone()))
            .collect();
        for (sn, payload) in due {
            if let Some(waiting) = self.unacked.get_mut(&sn) {
                waiting.1 = now;
            }
            let segment = self.segment(81, sn, &payload);
            self.datagram(&segment)?;
        }
        Ok(())
    }

    /// A datagram of the peer.
    pub(crate) fn receive(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.note(false, datagram);
        let mut copy = datagram.to_vec();
        let Ok(inside) = self.common.suite.open(&mut copy) else {
            self.unopened += 1;
            return Ok(());
        };
        let payload = copy[inside].to_vec();
        let mut inner = Vec::new();
        match kind(&payload) {
            None => inner.push(payload.clone()),
            Some(Kind::Data) => inner.push(payload.get(HEADER_LEN..).unwrap_or_default().to_vec()),
            Some(_) => {}
        }
        let now_ms = self.started.elapsed().as_millis() as u64;
        if let Some(decoder) = self.decoder.as_mut().filter(|_| kind(&payload).is_some()) {
            decoder.decode(now_ms, &payload);
            while let Some(bytes) = decoder.poll_recovered() {
                inner.push(bytes.to_vec());
            }
        }
        self.opened.push(payload);
        let mut answer = Vec::new();
        for bytes in inner {
            self.input(&bytes, &mut answer);
        }
        self.deliver();
        if self.acknowledges && !answer.is_empty() {
            // Each acknowledgement carries the una after everything in the datagram.
            let acks: Vec<u8> = answer
                .iter()
                .flat_map(|(cmd, sn, ts)| self.segment_with(*cmd, *sn, *ts, self.expected, &[]))
                .collect();
            acks.chunks(OVERHEAD * 40).try_for_each(|part| self.datagram(part))?;
        }
        Ok(())
    }

    /// The segments of a datagram; `answer` gets command, number and clock of the answers.
    fn input(&mut self, mut bytes: &[u8], answer: &mut Vec<(u8, u32, u32)>) {
        while let Some((header, rest)) = Header::parse(bytes) {
            let Some(payload) = rest.get(..header.len as usize) else { return };
            bytes = &rest[header.len as usize..];
            if header.conv != self.conv {
                continue;
            }
            self.window = Some(header.wnd);
            if diff(header.una, self.una) > 0 {
                self.una = header.una;
            }
            self.unacked.retain(|sn, _| diff(*sn, header.una) >= 0);
            match header.command() {
                Some(Command::Ack) => {
                    self.acked.push(header.sn);
                    self.unacked.remove(&header.sn);
                }
                Some(Command::Push) => {
                    *self.arrivals.entry(header.sn).or_default() += 1;
                    let ahead = diff(header.sn, self.expected);
                    if ahead < i32::from(WINDOW) {
                        answer.push((82, header.sn, header.ts));
                    }
                    if (0..i32::from(WINDOW)).contains(&ahead) {
                        self.waiting.entry(header.sn).or_insert_with(|| payload.to_vec());
                    }
                }
                Some(Command::Wask) => {
                    self.asked += 1;
                    answer.push((84, 0, 0));
                }
                Some(Command::Wins) => self.wins += 1,
                None => {}
            }
        }
    }

    /// Parses what has become readable.
    fn deliver(&mut self) {
        while let Some(payload) = self.waiting.remove(&self.expected) {
            self.expected = self.expected.wrapping_add(1);
            match &mut self.expand {
                None => self.frames.extend_from_slice(&payload),
                Some(decoder) => {
                    if let Err(error) = decoder.push(&payload) {
                        self.broken.get_or_insert_with(|| format!("compressed stream: {error}"));
                    }
                    self.frames.extend_from_slice(decoder.decoded());
                    decoder.consume(decoder.decoded().len());
                }
            }
        }
        while self.broken.is_none() && self.frames.len() >= 8 {
            let Some(frame) = Frame::parse(Dialect::Smux, self.common.smux, &self.frames) else {
                let head = crate::golden::capture::hex(&self.frames[..8]);
                let hint = match self.frames[0] {
                    other @ 1..=2 if other != self.common.smux => format!("; --smuxver {other}?"),
                    0xff => "; is it compressed?".to_owned(),
                    _ => String::new(),
                };
                self.broken = Some(format!("no frame of smux version {}: {head}{hint}", self.common.smux));
                return;
            };
            let body = if frame.carries_data || frame.is_report { frame.payload_bytes } else { 0 };
            let Some(payload) = self.frames.get(8..8 + body).map(<[u8]>::to_vec) else { return };
            self.frames.drain(..8 + body);
            self.take_frame(&frame, &payload);
        }
    }

    fn take_frame(&mut self, frame: &Frame, payload: &[u8]) {
        if frame.name == "NOP" {
            self.keepalives.push(frame.id);
            return;
        }
        let stream = self.streams.entry(frame.id).or_default();
        match frame.name.as_str() {
            "SYN" => stream.opened = true,
            "FIN" => stream.ended = true,
            "PSH" => stream.bytes.extend_from_slice(payload),
            _ => {
                let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| payload[at + i]));
                stream.updates.push((word(0), word(4)));
            }
        }
    }

    fn note(&mut self, sent: bool, bytes: &[u8]) {
        self.log.push_back(Logged { at: Instant::now(), sent, bytes: bytes.to_vec() });
        if self.log.len() > LOG_MAX {
            self.log.pop_front();
        }
    }

    /// What a stream received, behind a head; empty before its first frame.
    pub(crate) fn stream(&self, id: u32) -> Received {
        let mut received = self.streams.get(&id).cloned().unwrap_or_default();
        if self.reads_heads {
            received.bytes = mihomo::behind_head(&received.bytes).to_vec();
        }
        received
    }

    /// Whether everything sent is acknowledged.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.unacked.is_empty()
    }
}

/// A socket that can send to an address.
fn bind(to: SocketAddr) -> io::Result<UdpSocket> {
    UdpSocket::bind(match (to.ip().is_loopback(), to.is_ipv4()) {
        (true, true) => "127.0.0.1:0",
        (true, false) => "[::1]:0",
        (false, true) => "0.0.0.0:0",
        (false, false) => "[::]:0",
    })
}

/// Nothing arrived, or an earlier datagram found no listener.
pub(crate) fn is_idle(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted | ConnectionRefused)
}
