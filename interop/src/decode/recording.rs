//! The capture as a recording of the simulator, for its page of charts.

use super::facts::{self, Seen};
use super::follow::Follow;
use sim::record::{Command, Event, EventKind, FORMAT, Header, Options, Recording, Sent, Span, State};
use sim::{Direction, Side};
use std::collections::BTreeMap;

/// Datagrams that a page shows; of longer captures, the first ones.
pub(super) const SHOWN_MAX: usize = 100_000;

/// Interval between states of a session, microseconds.
const SAMPLE_US: u64 = 10_000;

/// Collects the events of a capture.
#[derive(Default)]
pub(super) struct Pages {
    events: Vec<Event>,
    shown: usize,
    left_out: u64,
    /// Smoothed round trip of each sender, and the time of its last state.
    senders: BTreeMap<(u32, Side), Sender>,
}

#[derive(Default)]
struct Sender {
    srtt_us: u64,
    window: u16,
    sampled_us: Option<u64>,
}

impl Pages {
    pub(super) fn add(&mut self, seen: &Seen, follow: &Follow<'_>) {
        if self.shown >= SHOWN_MAX {
            self.left_out += 1;
            return;
        }
        self.shown += 1;
        let (side, session) = (seen.dir.sender(), seen.session.unwrap_or(0));
        let segments = match seen.duplicate_of {
            None => seen.segments.iter().map(|one| one.segment.clone()).collect(),
            Some(_) => Vec::new(),
        };
        let shard = seen.fec.map(|fec| fec.shard);
        let sent = Sent { n: seen.n, side, session, bytes: seen.bytes as u32, shard, segments };
        self.event(seen.t, EventKind::Sent(sent));
        let receiver = seen.dir.receiver();
        let rebuilt: Vec<u32> = seen.rebuilt.iter().flat_map(|one| one.new.iter().copied()).collect();
        if !rebuilt.is_empty() {
            let seqids = seen.rebuilt.iter().filter(|one| !one.new.is_empty()).map(|_| 0).collect();
            self.event(
                seen.t,
                EventKind::Rebuilt { side: receiver, session, n: seen.n, seqids, parity: Vec::new() },
            );
            let got = EventKind::Got {
                side: receiver,
                session,
                n: seen.n,
                sns: Vec::new(),
                rebuilt,
                again: Vec::new(),
            };
            self.event(seen.t, got);
        }
        for frame in &seen.frames {
            if let Some(at) = frame.at {
                let span = Span { side: receiver, session, stream: frame.stream, at, len: frame.len as u32 };
                self.event(seen.t, EventKind::Read(span));
            }
        }
        self.acknowledgements(seen, receiver, session);
        self.state(seen, receiver, session, follow);
    }

    /// What the datagram acknowledges was sent by its receiver.
    fn acknowledgements(&mut self, seen: &Seen, side: Side, session: u32) {
        if !seen.acked.is_empty() {
            let (n, sns) = (seen.n, seen.acked.clone());
            self.event(seen.t, EventKind::Acked { side, session, n, sns, una: Vec::new() });
        }
        let acks = seen.segments.iter().filter(|one| one.segment.cmd == Command::Ack);
        let Some(us) = acks.filter_map(|one| one.after_us).min() else { return };
        self.event(seen.t, EventKind::Rtt { side, session, ms: (us / 1_000) as u32 });
        let sender = self.senders.entry((session, side)).or_default();
        sender.srtt_us = if sender.srtt_us == 0 { us } else { (7 * sender.srtt_us + us) / 8 };
    }

    fn state(&mut self, seen: &Seen, side: Side, session: u32, follow: &Follow<'_>) {
        let Some(segment) = seen.segments.last() else { return };
        let sender = self.senders.entry((session, side)).or_default();
        sender.window = segment.segment.wnd;
        if sender.sampled_us.is_some_and(|at| seen.t < at + SAMPLE_US) {
            return;
        }
        sender.sampled_us = Some(seen.t);
        let Some(numbers) = follow.numbers(session, side.sends()) else { return };
        let state = State {
            side,
            session,
            srtt_ms: (sender.srtt_us / 1_000) as u32,
            rttvar_ms: 0,
            rto_ms: 0,
            cwnd: 0,
            ssthresh: 0,
            rmt_wnd: sender.window.into(),
            snd_una: numbers.0,
            snd_nxt: numbers.1,
            rcv_nxt: 0,
            snd_queue: 0,
            rcv_queue: 0,
            rcv_buf: 0,
        };
        self.event(seen.t, EventKind::State(state));
    }

    fn event(&mut self, t: u64, kind: EventKind) {
        self.events.push(Event { t, kind });
    }

    /// The recording of a capture of that name.
    pub(super) fn finish(self, name: &str, follow: &Follow<'_>) -> Recording {
        let opened: Vec<&facts::Flow> = follow.flows().filter(|flow| flow.cipher.is_some()).collect();
        let sessions = follow.sessions();
        let words = |side: usize, fec: fn(&facts::Flow) -> Option<(usize, usize)>| Options {
            crypt: opened.first().and_then(|flow| flow.cipher).unwrap_or_default().to_owned(),
            mode: "unknown".to_owned(),
            nc: true,
            fec: opened.iter().find_map(|flow| fec(flow)),
            compressed: sessions.iter().any(|session| session.compressed[side] == Some(true)),
            ..Options::default()
        };
        let beyond = match self.left_out {
            0 => String::new(),
            n => format!(" The first {SHOWN_MAX} datagrams are shown, {n} more are not."),
        };
        let mux = sessions.iter().find_map(|session| session.mux.clone()).unwrap_or_default();
        let header = Header {
            format: FORMAT.to_owned(),
            scenario: name.to_owned(),
            description: format!(
                "A capture of {} datagrams in {} session{}, {mux}; causes of retransmissions are inferred.{beyond}",
                self.shown as u64 + self.left_out,
                sessions.len(),
                if sessions.len() == 1 { "" } else { "s" }
            ),
            capture: true,
            client: words(0, |flow| flow.client_fec),
            server: words(1, |flow| flow.server_fec),
            ..Header::default()
        };
        Recording { header, events: self.events }
    }
}

impl Follow<'_> {
    /// First unacknowledged and next number of a direction of a session.
    fn numbers(&self, session: u32, dir: Direction) -> Option<(u32, u32)> {
        self.by_number(session).map(|session| session.ways[dir as usize].numbers())
    }
}
