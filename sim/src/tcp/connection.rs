//! One end of a connection: handshake, both halves, and the end of both directions (RFC 9293 section 3.10).

use super::MSS;
use super::control::control;
use super::receiver::Receiver;
use super::sender::{Outgoing, Sender};
use super::wire::{Endpoints, Header, decode, encode};
use crate::plan::Baseline;
use engine::Instant;
use engine::mux::{ReadError, WriteError};

/// Time after which a SYN is sent again; it doubles after the fourth.
const SYN_TIMEOUT_US: u64 = 1_000_000;

/// Which end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It dials.
    Client,
    /// It is dialled.
    Server,
}

/// One end of a connection.
#[derive(Debug)]
pub struct Connection {
    role: Role,
    endpoints: Endpoints,
    /// Own and the peer's.
    initial: [u32; 2],
    state: State,
    sender: Sender,
    receiver: Receiver,
    /// The peer's clock, to be echoed: that of the segment that advanced what is acknowledged.
    echo_ms: u32,
    /// The application waits for something to read, and for room to write.
    wants: [bool; 2],
    end_seen: bool,
    is_closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Listening,
    /// The SYN leaves at that time, for the time of that number.
    Dialling {
        due_us: u64,
        tries: u32,
        first_us: Option<u64>,
    },
    Established,
}

impl Connection {
    /// An end before the first packet. `seed` decides its initial sequence number, and the peer's of the same seed.
    pub fn new(role: Role, baseline: Baseline, endpoints: Endpoints, seed: u64, now: Instant) -> Self {
        let (one, other) = (seed as u32, (seed >> 32) as u32);
        let (initial, state) = match role {
            Role::Client => {
                ([one, other], State::Dialling { due_us: now.as_micros(), tries: 0, first_us: None })
            }
            Role::Server => ([other, one], State::Listening),
        };
        Self {
            role,
            endpoints,
            initial,
            state,
            sender: Sender::new(control(baseline, seed)),
            receiver: Receiver::new(),
            echo_ms: 0,
            wants: [true; 2],
            end_seen: false,
            is_closed: false,
        }
    }

    /// Takes an intact packet from its peer.
    pub fn take(&mut self, now: Instant, packet: &[u8]) {
        let now_us = now.as_micros();
        let [own, peers] = self.initial;
        let Some((header, payload)) = decode(packet, [peers, own], [self.receiver.next, self.sender.nxt])
        else {
            return;
        };
        if header.syn {
            return self.take_syn(now_us, &header);
        }
        if let State::Dialling { first_us, .. } = self.state {
            // The acknowledgement of the server's SYN.
            if header.ack.is_none() || self.role == Role::Client {
                return;
            }
            self.establish(now_us, first_us, &header);
        }
        if self.state != State::Established {
            return;
        }
        if header.seq <= self.receiver.next {
            self.echo_ms = header.ts.0;
        }
        self.take_data(now_us, &header, payload);
        self.sender.acked(now_us, &header);
    }

    fn take_data(&mut self, now_us: u64, header: &Header, payload: &[u8]) {
        let is_probe = payload.is_empty() && !header.fin && header.seq < self.receiver.next;
        if is_probe {
            self.receiver.ack_at = Some(now_us);
        }
        if !payload.is_empty() && header.ts.1 > 0 {
            let elapsed_ms = ((now_us / 1_000) as u32).wrapping_sub(header.ts.1);
            self.receiver.sample_rtt(now_us, u64::from(elapsed_ms) * 1_000);
        }
        self.receiver.take(now_us, header.seq, payload, header.fin, self.sender.rtt.rto_us());
    }

    fn take_syn(&mut self, now_us: u64, header: &Header) {
        self.echo_ms = header.ts.0;
        match (self.state, self.role) {
            (State::Listening, _) => {
                self.receiver.synchronize();
                self.state = State::Dialling { due_us: now_us, tries: 0, first_us: None };
            }
            (State::Dialling { first_us, tries, .. }, Role::Server) => {
                self.state = State::Dialling { due_us: now_us, tries, first_us };
            }
            (State::Dialling { first_us, .. }, Role::Client) if header.ack == Some(1) => {
                self.receiver.synchronize();
                self.establish(now_us, first_us, header);
                self.receiver.ack_at = Some(now_us);
            }
            // The acknowledgement of the SYN was lost.
            (State::Established, _) => self.receiver.ack_at = Some(now_us),
            _ => {}
        }
    }

    fn establish(&mut self, now_us: u64, first_us: Option<u64>, header: &Header) {
        self.state = State::Established;
        self.sender.establish(now_us, first_us.map(|at| now_us - at), header.window_bytes);
    }

    /// The next packet that leaves now.
    pub fn transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        let now_us = now.as_micros();
        match self.state {
            State::Listening => None,
            State::Dialling { due_us, tries, .. } => (due_us <= now_us).then(|| {
                let wait_us = SYN_TIMEOUT_US << tries.saturating_sub(4).min(6);
                // The round trip of a SYN that was sent twice is unknown.
                let first_us = (tries == 0).then_some(now_us);
                self.state = State::Dialling { due_us: now_us + wait_us, tries: tries + 1, first_us };
                self.packet(now_us, Outgoing { seq: 0, len: 0, fin: false }, true)
            }),
            State::Established => {
                if let Some(out) = self.sender.next(now_us) {
                    return Some(self.packet(now_us, out, false));
                }
                let due = self.receiver.ack_at.is_some_and(|at| at <= now_us);
                let seq = self.sender.nxt;
                due.then(|| self.packet(now_us, Outgoing { seq, len: 0, fin: false }, false))
            }
        }
    }

    fn packet(&mut self, now_us: u64, out: Outgoing, syn: bool) -> Vec<u8> {
        let knows_peer = !syn || self.role == Role::Server;
        // Blocks go where a packet has room for them.
        let room = (MSS - out.len).saturating_sub(4) as usize / 8;
        let mut sacks = if syn { Vec::new() } else { self.receiver.sacks() };
        sacks.truncate(room);
        let header = Header {
            seq: out.seq,
            ack: knows_peer.then_some(self.receiver.next),
            syn,
            fin: out.fin,
            window_bytes: self.receiver.announce(),
            ts: ((now_us / 1_000) as u32, self.echo_ms),
            sacks,
        };
        if !syn {
            self.receiver.acknowledge(now_us, out.len > 0);
        }
        let payload = if out.len > 0 { self.sender.payload(out) } else { [&[][..]; 2] };
        encode(&header, self.endpoints, self.initial, payload)
    }

    /// A deadline may have passed.
    pub fn expire(&mut self, now: Instant) {
        let now_us = now.as_micros();
        if self.state == State::Established {
            self.sender.expire(now_us);
            if self.receiver.ack_at.is_some_and(|at| at <= now_us) {
                self.receiver.expire();
            }
        }
    }

    /// When [`Self::expire`] and [`Self::transmit`] have something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let at = match self.state {
            State::Listening => None,
            State::Dialling { due_us, .. } => Some(due_us),
            State::Established => self.sender.deadline().into_iter().chain(self.receiver.ack_at).min(),
        };
        at.map(Instant::from_micros)
    }

    /// Whether what the application waits for is there; each is reported once.
    pub fn is_ready(&mut self) -> bool {
        let can = self.can();
        self.wants = [self.wants[0] && !can[0], self.wants[1] && !can[1]];
        can != [false; 2]
    }

    fn can(&mut self) -> [bool; 2] {
        if self.state != State::Established {
            return [false; 2];
        }
        let readable = self.wants[0] && (self.receiver.has_data() || self.receiver.is_ended());
        [readable, self.wants[1] && self.sender.is_writable()]
    }

    /// Writes what there is room for.
    ///
    /// # Errors
    /// The connection is not established, the buffer is full, or the application finished.
    pub fn write(&mut self, data: &[u8]) -> Result<usize, WriteError> {
        if self.sender.is_finished {
            return Err(WriteError::Closed);
        }
        match if self.state == State::Established { self.sender.write(data) } else { 0 } {
            0 => {
                self.wants[1] = true;
                Err(WriteError::Blocked)
            }
            written => Ok(written),
        }
    }

    /// The first unread bytes; empty at the end.
    ///
    /// # Errors
    /// Nothing is there.
    pub fn peek(&mut self) -> Result<&[u8], ReadError> {
        if self.receiver.has_data() {
            return Ok(self.receiver.peek());
        }
        if self.receiver.is_ended() {
            self.end_seen = true;
            return Ok(&[]);
        }
        self.wants[0] = true;
        Err(ReadError::Blocked)
    }

    /// Takes `n` bytes that were peeked.
    pub fn consume(&mut self, now: Instant, n: usize) {
        self.receiver.consume(now.as_micros(), n);
    }

    /// Ends this direction behind what was written.
    pub const fn finish(&mut self) {
        self.sender.is_finished = true;
    }

    /// Ends both directions: what was not read is dropped.
    pub fn close(&mut self, now: Instant) {
        self.finish();
        self.is_closed = true;
        self.receiver.discards = true;
        while self.receiver.has_data() {
            let n = self.receiver.peek().len();
            self.consume(now, n);
        }
    }

    /// Whether nothing is left to send or to have acknowledged.
    pub fn is_drained(&self) -> bool {
        self.sender.is_drained()
    }

    /// Whether both directions have ended, and the application has seen it.
    pub fn is_over(&self) -> bool {
        let is_ended = self.sender.is_finished && self.sender.is_drained() && self.receiver.is_ended();
        is_ended && self.receiver.ack_at.is_none() && (self.end_seen || self.is_closed)
    }

    /// Segments retransmitted so far.
    pub const fn retransmitted(&self) -> u64 {
        self.sender.retransmitted
    }
}

/// The answer to a packet of a connection that is over on this side: both ends have everything, but the last acknowledgement
/// was lost (TIME-WAIT).
pub fn answer_closed(packet: &[u8], endpoints: Endpoints, now: Instant) -> Option<Vec<u8>> {
    let (header, payload) = decode(packet, [0; 2], [0; 2])?;
    let end = header.seq + payload.len() as u64 + u64::from(header.fin);
    let answer = Header {
        seq: header.ack?,
        ack: Some(end),
        ts: (now.as_millis() as u32, header.ts.0),
        ..Header::default()
    };
    (end > header.seq).then(|| encode(&answer, endpoints, [0; 2], [&[], &[]]))
}
