//! A client's side of one flow.

use super::control::{Control, syn_options};
use super::flow::{Arrival, Flow, Numbers};
use super::packet::{Checksum, Flags, Options, Segment};
use super::variant::Variant;
use crate::entropy::Entropy;
use crate::time::Instant;
use core::time::Duration;
use std::net::SocketAddr;

/// Pauses between SYNs: one, two, then three seconds (FTCP-2).
const SYN_PAUSE: Duration = Duration::from_secs(1);
const SYN_PAUSE_MAX: Duration = Duration::from_secs(3);

/// A datagram that is sent this long after the first unanswered one is a retransmission or a keepalive, and expects an answer;
/// the handshake is repeated after as much silence again (FTCP-9).
const UNANSWERED: Duration = Duration::from_secs(1);
const SILENCE: Duration = Duration::from_secs(2);

/// A client's flow to one server.
#[derive(Clone, Debug)]
pub struct Connection {
    server: SocketAddr,
    variant: Variant,
    /// Sequence number of the SYN in flight.
    isn: u32,
    id: u16,
    flow: Option<Flow>,
    /// When the next SYN is due, while `waiting` or `expects_answer`.
    syn_at: Instant,
    pause: Duration,
    /// A SYN has no answer yet.
    waiting: bool,
    /// When something was sent first since the peer was last heard.
    unanswered_since: Option<Instant>,
    /// An answer is overdue at `syn_at`.
    expects_answer: bool,
    /// The first SYN was answered by a RST.
    refused: bool,
    /// So was one since the last call of [`Connection::take_refused`].
    refusal: bool,
}

impl Connection {
    /// A flow to `server` whose SYN is due at once.
    pub fn new(now: Instant, server: SocketAddr, variant: Variant, entropy: &mut Entropy) -> Self {
        Self {
            server,
            variant,
            isn: entropy.next_u32(),
            id: entropy.next_u32() as u16,
            flow: None,
            syn_at: now,
            pause: SYN_PAUSE,
            waiting: true,
            unanswered_since: None,
            expects_answer: false,
            refused: false,
            refusal: false,
        }
    }

    /// Whether datagrams can be sent.
    pub const fn is_open(&self) -> bool {
        self.flow.is_some()
    }

    /// Whether the server's system answered that no program listens.
    pub const fn was_refused(&self) -> bool {
        self.refused
    }

    /// Whether a SYN was refused since the last call (FTCP-16).
    pub const fn take_refused(&mut self) -> bool {
        core::mem::replace(&mut self.refusal, false)
    }

    /// Which program the server is; before it was heard, the one that this side expects.
    pub fn variant(&self) -> Variant {
        self.flow.map_or(self.variant, |flow| flow.variant())
    }

    /// When [`Connection::poll`] has to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.waiting || self.expects_answer).then_some(self.syn_at)
    }

    /// The SYN that is due: the first, one that was not answered, or one that renews a flow in which the server is silent
    /// (FTCP-2, FTCP-9).
    pub fn poll(&mut self, now: Instant) -> Option<Control> {
        if self.poll_timeout().is_none_or(|at| now < at) {
            return None;
        }
        self.waiting = true;
        self.syn_at = now + self.pause;
        self.pause = (self.pause + SYN_PAUSE).min(SYN_PAUSE_MAX);
        self.id = self.id.wrapping_add(1);
        let numbers = match &mut self.flow {
            Some(flow) => flow.renewal(),
            None => Numbers { seq: self.isn, ack: 0, id: self.id },
        };
        self.isn = numbers.seq;
        let syn = Control::bare(numbers, Flags::SYN);
        Some(match self.variant {
            Variant::Upstream => syn.with(syn_options(self.server.is_ipv6(), true)),
            Variant::KcptunTcp => syn,
        })
    }

    /// Handles a segment from the server that carries no datagram; returns the answer. Only the answer to a SYN of this side
    /// counts, and a RST that a host without the program sends; all else, FIN included, changes nothing (FTCP-8).
    pub fn handle_control(&mut self, now: Instant, segment: &Segment<'_>) -> Option<Control> {
        if segment.from != self.server || segment.checksum == Checksum::Wrong {
            return None;
        }
        let answers = segment.flags.has(Flags::ACK) && segment.ack == self.isn.wrapping_add(1);
        if segment.flags.has(Flags::RST) {
            self.handle_reset(now, segment.seq, answers);
            return None;
        }
        if !answers {
            return None;
        }
        if !segment.flags.has(Flags::SYN) {
            return None;
        }
        if self.waiting {
            let scale = Options::parse(segment.options).window_scale;
            let scale = scale.filter(|_| self.variant == Variant::Upstream);
            let (seq, ack) = (segment.ack, segment.seq.wrapping_add(1));
            let variant = Variant::of_handshake(segment);
            self.flow = Some(Flow::new(now, seq, ack, segment.window, scale, variant));
            (self.waiting, self.refused) = (false, false);
            self.heard();
        }
        // Also of a repeated SYN|ACK: the server did not receive the first.
        let numbers = self.flow.as_mut()?.numbers();
        let numbers = Numbers { seq: segment.ack, ack: segment.seq.wrapping_add(1), ..numbers };
        Some(Control::bare(numbers, Flags::ACK))
    }

    /// Anyone on the path can send a RST, so that it ends nothing: it is reported if it answers a SYN, and makes this side
    /// ask by a SYN if it is where the server's next segment would be (FTCP-16).
    fn handle_reset(&mut self, now: Instant, seq: u32, answers: bool) {
        if answers && self.waiting {
            self.refusal = true;
            self.refused |= self.flow.is_none();
        }
        let is_next = self.flow.is_some_and(|flow| flow.ack() == seq);
        if let (true, false, Some(since)) = (is_next, self.waiting, self.unanswered_since) {
            let soon = (since + UNANSWERED).max(now);
            self.syn_at = if self.expects_answer { self.syn_at.min(soon) } else { soon };
            self.expects_answer = true;
        }
    }

    /// Takes the numbers of a segment from the server whose datagram was opened, as [`Flow::handle`]; returns whether it did.
    /// Only one that advanced the conversation is an answer.
    pub fn handle_opened(&mut self, now: Instant, arrival: &Arrival, advanced: bool) -> bool {
        let Some(flow) = &mut self.flow else { return false };
        let taken = flow.handle(now, arrival, advanced);
        if advanced {
            self.waiting = false;
            self.heard();
        }
        taken
    }

    const fn heard(&mut self) {
        (self.unanswered_since, self.expects_answer) = (None, false);
        self.pause = SYN_PAUSE;
    }

    /// The numbers of the next datagram; `None` before the handshake.
    pub fn next(&mut self, now: Instant, len: usize) -> Option<Numbers> {
        let numbers = self.flow.as_mut()?.next(now, len);
        let since = *self.unanswered_since.get_or_insert(now);
        if !self.waiting && !self.expects_answer && now.since(since) >= UNANSWERED {
            (self.expects_answer, self.syn_at) = (true, now + SILENCE);
        }
        Some(numbers)
    }

    /// The FIN that ends the flow, for the connection trackers on the path (FTCP-10).
    pub fn close(&mut self) -> Option<Control> {
        let numbers = self.flow.as_mut()?.numbers();
        self.waiting = false;
        Some(Control::bare(numbers, Flags::FIN.and(Flags::ACK)))
    }
}
