//! Measures a path with datagrams that any KCP server answers, and that change nothing there (KCP-42).
//!
//! Data segments are acknowledged one by one while they wait behind a gap, and each acknowledgement repeats the number and the
//! clock value of its segment. A session whose segment 1 is withheld therefore answers every other one, of any size. Once the
//! gap is filled, una shows which of the unanswered segments arrived, so that the loss of each direction is known.

use crate::arq::{Command, Header, OVERHEAD};
use crate::crypt::Suite;
use crate::entropy::Entropy;
use crate::fec::{self, Kind};
use crate::mux::{self, Mux, Role, Smux};
use crate::nonce::Nonces;
use crate::snappy;
use crate::time::Instant;
use crate::tunnel::TunnelConfig;

/// The client's side of a session that only measures. It needs no state of what was sent: the caller numbers the segments.
#[derive(Debug)]
pub struct PathProbe {
    suite: Suite,
    nonces: Nonces,
    conv: u32,
    /// Payload of segment 0, and of each later one: a keepalive frame, compressed if the session is.
    first: Vec<u8>,
    later: Vec<u8>,
    /// First number of the server's data that did not arrive.
    una: u32,
}

/// What a datagram of the server acknowledges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Every segment below this number arrived.
    pub una: u32,
    /// Segments from `una` on that the server has room for.
    pub window: u16,
    /// Number and tag of each acknowledged segment.
    pub acks: Vec<(u32, u32)>,
    /// Number and clock value of each segment of data, to be acknowledged: karst's server answers nothing else before that
    /// (KCP-34).
    pub data: Vec<(u32, u32)>,
}

impl PathProbe {
    /// A session of its own conversation. kcptun's client looks the same: nothing is announced.
    pub fn new(config: &TunnelConfig, mut entropy: Entropy) -> Self {
        let settings = mux::Settings { announce: false, ..config.mux.clone() };
        let mut mux = Smux::new(settings, Role::Client, Instant::ZERO);
        let mut frame = Vec::new();
        mux.probe();
        mux.poll_frame(&mut frame);
        let (mut first, mut later) = (frame.clone(), frame.clone());
        if config.compress {
            let mut compressor = snappy::Encoder::new();
            for payload in [&mut first, &mut later] {
                payload.clear();
                compressor.encode(&frame, payload);
            }
        }
        let conv = entropy.next_u32();
        Self { suite: config.suite.clone(), nonces: entropy.nonces(), conv, first, later, una: 0 }
    }

    /// A sealed datagram with segment `sn`, whose payload is the same each time. `tag` comes back with its acknowledgement.
    pub fn segment(&mut self, sn: u32, tag: u32) -> Vec<u8> {
        let payload = if sn == 0 { self.first.clone() } else { self.later.clone() };
        self.seal(sn, tag, &payload)
    }

    /// A sealed datagram of `bytes` bytes, or as few as its headers take. Its payload is no frame: the gap before `sn` must
    /// never be filled, and `sn` be at least 64 (KCP-31).
    pub fn padded(&mut self, sn: u32, tag: u32, bytes: usize) -> Vec<u8> {
        let headers = self.suite.head_len() + OVERHEAD + self.suite.tail_len();
        self.seal(sn, tag, &vec![0; bytes.saturating_sub(headers)])
    }

    fn seal(&mut self, sn: u32, tag: u32, payload: &[u8]) -> Vec<u8> {
        let header = Header { ts: tag, sn, len: payload.len() as u32, ..self.header(Command::Push) };
        self.seal_segments(&[(header, payload)])
    }

    /// A sealed datagram that acknowledges the data of a reply; `None` if there is none.
    pub fn acknowledge(&mut self, reply: &Reply) -> Option<Vec<u8>> {
        for &(sn, _) in &reply.data {
            self.una += u32::from(sn == self.una);
        }
        let ack = |&(sn, ts): &(u32, u32)| (Header { sn, ts, ..self.header(Command::Ack) }, &[][..]);
        let acks: Vec<(Header, &[u8])> = reply.data.iter().map(ack).collect();
        (!acks.is_empty()).then(|| self.seal_segments(&acks))
    }

    fn header(&self, command: Command) -> Header {
        Header { wnd: u16::MAX, una: self.una, ..Header::new(self.conv, command) }
    }

    fn seal_segments(&mut self, segments: &[(Header, &[u8])]) -> Vec<u8> {
        let mut datagram = vec![0; self.suite.head_len()];
        for (header, payload) in segments {
            let at = datagram.len();
            datagram.resize(at + OVERHEAD, 0);
            header.write(&mut datagram[at..]);
            datagram.extend_from_slice(payload);
        }
        datagram.resize(datagram.len() + self.suite.tail_len(), 0);
        let nonce = self.suite.next_nonce(&mut self.nonces);
        self.suite.seal(&nonce, &mut datagram);
        datagram
    }

    /// Opens a datagram in place; `None` if it is damaged, of another conversation, or parity.
    pub fn read(&self, datagram: &mut [u8]) -> Option<Reply> {
        let range = self.suite.open(datagram).ok()?;
        let payload = &datagram[range];
        let mut segments = match fec::kind(payload) {
            None => payload,
            Some(Kind::Data) => payload.get(fec::HEADER_LEN..)?,
            Some(_) => return None,
        };
        let mut reply: Option<Reply> = None;
        while let Some((header, rest)) = Header::parse(segments) {
            let (Some(command), true) = (header.command(), header.conv == self.conv) else { break };
            let reply =
                reply.get_or_insert_with(|| Reply { una: 0, window: 0, acks: Vec::new(), data: Vec::new() });
            (reply.una, reply.window) = (header.una, header.wnd);
            match command {
                Command::Ack => reply.acks.push((header.sn, header.ts)),
                Command::Push => reply.data.push((header.sn, header.ts)),
                Command::Wask | Command::Wins => {}
            }
            let Some(rest) = rest.get(header.len as usize..) else { break };
            segments = rest;
        }
        reply
    }
}
