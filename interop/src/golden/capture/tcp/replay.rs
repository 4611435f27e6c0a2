//! karst in the place of either program: it receives what the other one sent, and sends a datagram wherever the recorded
//! program did. What it sends has to pass a connection tracker.

use super::super::{Checked, differs};
use super::Captured;
use engine::forged::{
    Arrival, Connection, Control, Flags, Listener, Numbers, Options, Segment, Variant, WINDOW, WINDOW_SCALE,
};
use engine::time::diff;
use engine::{Entropy, Instant};

/// Replays a connection in both roles; returns the number of segments that karst sent.
pub(super) fn check(segments: &[Captured<'_>]) -> Checked<usize> {
    let mut sent = 0;
    for up in [true, false] {
        let mut replay = Replay::new(segments, up);
        for captured in segments {
            replay
                .step(captured)
                .map_err(|flaw| flaw.at(&format!("karst as {}, frame {}", name(up), captured.frame)))?;
        }
        sent += replay.sent;
    }
    Ok(sent)
}

const fn name(up: bool) -> &'static str {
    if up { "client" } else { "server" }
}

enum Role {
    Client(Box<Connection>),
    Server(Listener<()>),
}

struct Replay {
    up: bool,
    role: Role,
    start_us: u64,
    /// Added to numbers of the recorded program to get those of karst.
    shift: Option<u32>,
    tracker: Tracker,
    sent: usize,
}

/// What a connection tracker knows of the direction from karst (nf_conntrack_proto_tcp.c).
#[derive(Default)]
struct Tracker {
    /// Highest end that karst sent.
    end: Option<u32>,
    /// Largest acknowledgement plus window of the other side.
    edge: Option<u32>,
    window_max: u32,
    /// Highest end that the other side sent.
    peer_end: Option<u32>,
    scale: u8,
}

/// Lag of an acknowledgement that a tracker accepts at least.
const LAG_MAX: i32 = 66_000;

impl Replay {
    fn new(segments: &[Captured<'_>], up: bool) -> Self {
        let mut entropy = Entropy::from_seed([7; 32]);
        let first = segments.iter().find(|captured| captured.up).map(|captured| captured.segment);
        let role = match first.filter(|_| up) {
            Some(first) => {
                let kcptun_tcp = segments
                    .iter()
                    .any(|c| !c.up && c.segment.flags.has(Flags::SYN) && c.segment.options.is_empty());
                let variant = if kcptun_tcp { Variant::KcptunTcp } else { Variant::Upstream };
                Role::Client(Box::new(Connection::new(Instant::ZERO, first.to, variant, &mut entropy)))
            }
            None => Role::Server(Listener::new(&mut entropy)),
        };
        let start_us = segments.first().map_or(0, |captured| captured.at_us);
        Self { up, role, start_us, shift: None, tracker: Tracker::default(), sent: 0 }
    }

    fn step(&mut self, captured: &Captured<'_>) -> Checked<()> {
        let now = Instant::from_micros(1_000_000 + captured.at_us - self.start_us);
        if captured.up == self.up {
            return self.act(now, captured);
        }
        // The peer acknowledges the recorded program's numbers.
        let Some(shift) = self.shift.or_else(|| matches!(self.role, Role::Server(_)).then_some(0)) else {
            return Ok(());
        };
        let segment = Segment { ack: captured.segment.ack.wrapping_add(shift), ..captured.segment };
        self.receive(now, &segment, captured)
    }

    /// The recorded program sent this: a SYN, or a datagram.
    fn act(&mut self, now: Instant, captured: &Captured<'_>) -> Checked<()> {
        let recorded = &captured.segment;
        if let (Role::Client(client), true) = (&mut self.role, recorded.flags.has(Flags::SYN)) {
            let Some(syn) = client.poll(now) else { return Ok(()) };
            self.shift = Some(syn.seq.wrapping_sub(recorded.seq));
            self.tracker.end = Some(syn.seq.wrapping_add(1));
            return Ok(());
        }
        if let (Role::Server(_), true) = (&self.role, recorded.flags.has(Flags::SYN))
            && let (None, Some(end)) = (self.shift, self.tracker.end)
        {
            self.shift = Some(end.wrapping_sub(1).wrapping_sub(recorded.seq));
        }
        if !captured.is_data() {
            return Ok(());
        }
        let len = recorded.payload.len();
        let numbers = match &mut self.role {
            Role::Client(client) => client.next(now, len),
            Role::Server(server) => server.flow_mut(recorded.to).map(|(flow, ())| flow.next(now, len)),
        };
        // Before the peer was heard; the recorded program may have heard what the capture lacks.
        let Some(numbers) = numbers else { return Ok(()) };
        self.sent += 1;
        self.tracker.check(numbers, len)
    }

    fn receive(&mut self, now: Instant, segment: &Segment<'_>, captured: &Captured<'_>) -> Checked<()> {
        let is_datagram = segment.datagram().is_some();
        if is_datagram != captured.is_data() {
            return differs("a segment with PSH, ACK and payload is not taken as a datagram");
        }
        self.tracker.heard(segment, captured.end());
        if is_datagram {
            let arrival = Arrival::of(segment);
            match &mut self.role {
                Role::Client(client) => drop(client.handle_opened(now, &arrival, true)),
                Role::Server(server) => {
                    server.handle_opened(now, segment.to, segment.from, &arrival, ((), true))
                }
            }
            return Ok(());
        }
        let answer = match &mut self.role {
            Role::Client(client) => client.handle_control(now, segment),
            Role::Server(server) => server.handle_control(segment),
        };
        self.answered(segment, answer)
    }

    /// Checks the answer to a segment without a datagram.
    fn answered(&mut self, segment: &Segment<'_>, answer: Option<Control>) -> Checked<()> {
        let Some(answer) = answer else {
            let expected = segment.flags.has(Flags::SYN) && segment.flags.0 & 0x15 != 0x10;
            return if expected { differs("a SYN without an answer") } else { Ok(()) };
        };
        if answer.ack != segment.seq.wrapping_add(1) {
            return differs(format!(
                "the answer acknowledges {}, not {}",
                answer.ack,
                segment.seq.wrapping_add(1)
            ));
        }
        if let Role::Server(_) = self.role {
            self.tracker.end.get_or_insert(answer.seq.wrapping_add(1));
            let scaled = Options::parse(answer.options()).window_scale.is_some();
            if scaled != Options::parse(segment.options).window_scale.is_some() {
                return differs("the window scale of a SYN is not answered by one");
            }
        }
        Ok(())
    }
}

impl Tracker {
    fn heard(&mut self, segment: &Segment<'_>, end: u32) {
        let is_syn = segment.flags.has(Flags::SYN);
        if is_syn {
            self.scale = Options::parse(segment.options).window_scale.unwrap_or(0);
        }
        if self.peer_end.is_none_or(|before| diff(end, before) > 0) {
            self.peer_end = Some(end);
        }
        if segment.flags.has(Flags::ACK) && !segment.flags.has(Flags::RST) {
            let window = u32::from(segment.window) << if is_syn { 0 } else { self.scale };
            self.window_max = self.window_max.max(window);
            let edge = segment.ack.wrapping_add(window);
            if self.edge.is_none_or(|before| diff(edge, before) > 0) {
                self.edge = Some(edge);
            }
        }
    }

    /// Whether a tracker accepts a segment from karst.
    fn check(&mut self, numbers: Numbers, len: usize) -> Checked<()> {
        let Numbers { seq, ack, .. } = numbers;
        let end = seq.wrapping_add(len as u32);
        if let Some(edge) = self.edge
            && diff(seq, edge) > 0
        {
            return differs(format!("sequence number {seq} is beyond the window, which ends at {edge}"));
        }
        if let Some(before) = self.end
            && diff(end, before) < -(self.window_max.max(u32::from(WINDOW)) as i32)
        {
            return differs(format!("the segment ends at {end}, a window before {before}"));
        }
        if let Some(peer_end) = self.peer_end {
            let lag = diff(peer_end, ack);
            if !(0..=LAG_MAX.max(i32::from(u16::MAX) << WINDOW_SCALE)).contains(&lag) {
                return differs(format!("acknowledgement {ack} lags {lag} behind"));
            }
        }
        if self.end.is_none_or(|before| diff(end, before) > 0) {
            self.end = Some(end);
        }
        Ok(())
    }
}
