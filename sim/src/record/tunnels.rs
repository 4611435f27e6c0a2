//! Observes one tunnel and turns its notes into events.

use super::event::{Again, Command, EventKind, Path, Segment, Sent, Shard, State};
use super::frames::Frames;
use crate::Side;
use engine::arq::{self, OVERHEAD};
use engine::fec::{self, Kind};
use engine::{Cause, Note, Tunnel, TunnelConfig};
use std::collections::{BTreeMap, VecDeque};

/// Minimum time between two samples of the state of a tunnel.
const SAMPLE_US: u64 = 10_000;

#[derive(Debug)]
pub(super) struct TunnelLog {
    side: Side,
    session: u32,
    started: bool,
    closed: bool,
    frames: Frames,
    /// Segments written into a datagram that has not been sent yet, oldest first.
    written: VecDeque<Written>,
    /// For each segment, the segments acknowledged before it since its last transmission.
    passed: BTreeMap<u32, Vec<u32>>,
    parity: Vec<u32>,
    state: Option<(u64, State)>,
    path: Option<(u64, Path)>,
}

#[derive(Debug)]
struct Written {
    sn: u32,
    rto_ms: u32,
    again: Option<Again>,
}

/// Notes of one instant, merged into one event per kind.
#[derive(Default)]
struct Batch {
    rebuilt: Vec<u32>,
    parity: Vec<u32>,
    got: [Vec<u32>; 3],
    in_order: Option<(u32, u32)>,
    acked: [Vec<u32>; 2],
    rtt_ms: Option<u32>,
}

impl TunnelLog {
    pub(super) fn new(side: Side, session: u32, config: &TunnelConfig) -> Self {
        Self {
            side,
            session,
            started: false,
            closed: false,
            frames: Frames::new(config.compress),
            written: VecDeque::new(),
            passed: BTreeMap::new(),
            parity: Vec::new(),
            state: None,
            path: None,
        }
    }

    /// Records the notes of a tunnel after it processed datagram `n`.
    pub(super) fn take(&mut self, t: u64, n: u64, tunnel: &mut Tunnel, mut add: impl FnMut(EventKind)) {
        if !self.started {
            self.started = true;
            tunnel.keep_notes();
            add(self.session_event(tunnel, None));
        }
        let mut batch = Batch::default();
        while let Some(note) = tunnel.poll_note() {
            self.note(note, &mut batch);
        }
        self.emit(batch, n, &mut add);
        if let Some(state) = self.sample(t, tunnel) {
            add(EventKind::State(state));
        }
        if let Some(path) = self.sample_path(t, tunnel) {
            add(EventKind::Path(path));
        }
        if let Some(reason) = tunnel.closed().filter(|_| !self.closed) {
            self.closed = true;
            add(self.session_event(tunnel, Some(reason.to_string())));
        }
    }

    /// The contents of datagram `n`, and the frames that its segments complete.
    pub(super) fn sent(&mut self, n: u64, bytes: usize, clear: Option<&[u8]>) -> (Sent, Vec<EventKind>) {
        let clear = clear.unwrap_or_default();
        let kind = fec::kind(clear);
        let shard = kind.map(|kind| Shard { seqid: fec::seqid(clear), parity: kind == Kind::Parity });
        let segments = match kind {
            None => clear,
            Some(Kind::Data) => clear.get(fec::HEADER_LEN..).unwrap_or_default(),
            Some(_) => &[],
        };
        let (segments, carried) = self.segments(segments);
        (Sent { n, side: self.side, session: self.session, bytes: bytes as u32, shard, segments }, carried)
    }

    fn segments(&mut self, mut bytes: &[u8]) -> (Vec<Segment>, Vec<EventKind>) {
        let (mut segments, mut carried) = (Vec::new(), Vec::new());
        while let Some((header, rest)) = arq::Header::parse(bytes) {
            let payload = &bytes[OVERHEAD..][..rest.len().min(header.len as usize)];
            let written = match header.command() {
                Some(arq::Command::Push) => self.written.pop_front_if(|written| written.sn == header.sn),
                _ => None,
            };
            if written.as_ref().is_some_and(|written| written.again.is_none()) {
                carried.extend(self.frames.push(self.side, self.session, header.sn, payload));
            }
            segments.push(segment(&header, written));
            bytes = &rest[payload.len()..];
        }
        (segments, carried)
    }

    fn note(&mut self, note: Note, batch: &mut Batch) {
        match note {
            Note::Sent { sn, cause, xmit, rto_ms, waited_ms } => {
                let passed_by =
                    self.passed.remove(&sn).filter(|_| cause != Some(Cause::Timeout)).unwrap_or_default();
                let again = cause.map(|cause| Again { cause, xmit, passed_by, waited_ms });
                self.written.push_back(Written { sn, rto_ms, again });
            }
            Note::Passed { sn, by } => self.passed.entry(sn).or_default().push(by),
            Note::Acked { sn, by_una } => {
                self.passed.remove(&sn);
                batch.acked[usize::from(by_una)].push(sn);
            }
            Note::Rtt { ms } => batch.rtt_ms = Some(ms),
            Note::Received { sn, new: true, rebuilt: false } => batch.got[0].push(sn),
            Note::Received { sn, new: true, rebuilt: true } => batch.got[1].push(sn),
            // A rebuilt segment that had already arrived is not an event.
            Note::Received { rebuilt: true, .. } => {}
            Note::Received { sn, .. } => batch.got[2].push(sn),
            Note::InOrder { sn } => {
                batch.in_order = Some((batch.in_order.map_or(sn, |(first, _)| first), sn))
            }
            Note::UsedParity { seqid } => self.parity.push(seqid),
            Note::Rebuilt { seqid } => {
                batch.rebuilt.push(seqid);
                batch.parity.append(&mut self.parity);
            }
            _ => {}
        }
    }

    fn emit(&self, batch: Batch, n: u64, add: &mut impl FnMut(EventKind)) {
        let (side, session) = (self.side, self.session);
        let Batch { rebuilt, parity, got: [sns, by_parity, again], in_order, acked: [acked, una], rtt_ms } =
            batch;
        if !rebuilt.is_empty() {
            add(EventKind::Rebuilt { side, session, n, seqids: rebuilt, parity });
        }
        if !(sns.is_empty() && by_parity.is_empty() && again.is_empty()) {
            add(EventKind::Got { side, session, n, sns, rebuilt: by_parity, again });
        }
        if let Some((first, last)) = in_order {
            add(EventKind::InOrder { side, session, first, last });
        }
        if !(acked.is_empty() && una.is_empty()) {
            add(EventKind::Acked { side, session, n, sns: acked, una });
        }
        if let Some(ms) = rtt_ms {
            add(EventKind::Rtt { side, session, ms });
        }
    }

    fn sample(&mut self, t: u64, tunnel: &Tunnel) -> Option<State> {
        if self.state.is_some_and(|(at, _)| t < at + SAMPLE_US) {
            return None;
        }
        let arq = tunnel.arq().state();
        let state = State {
            side: self.side,
            session: self.session,
            srtt_ms: arq.srtt_ms as u32,
            rttvar_ms: arq.rttvar_ms as u32,
            rto_ms: arq.rto_ms,
            cwnd: arq.cwnd,
            ssthresh: arq.ssthresh,
            rmt_wnd: arq.rmt_wnd,
            snd_una: arq.snd_una,
            snd_nxt: arq.snd_nxt,
            rcv_nxt: arq.rcv_nxt,
            snd_queue: arq.snd_queue,
            rcv_queue: arq.rcv_queue,
            rcv_buf: arq.rcv_buf,
        };
        if self.state.is_some_and(|(_, before)| before == state) {
            return None;
        }
        self.state = Some((t, state));
        Some(state)
    }

    fn sample_path(&mut self, t: u64, tunnel: &Tunnel) -> Option<Path> {
        if self.path.as_ref().is_some_and(|(at, _)| t < at + SAMPLE_US) {
            return None;
        }
        let control = tunnel.arq().control_state()?;
        let path = Path {
            side: self.side,
            session: self.session,
            phase: control.phase.into(),
            bandwidth_bytes_s: control.bandwidth_bytes_s,
            min_rtt_us: control.min_rtt_us,
            pacing_bytes_s: control.pacing_bytes_s,
            window_bytes: control.window_bytes,
            in_flight_bytes: control.in_flight_bytes,
            loss_ppm: control.loss_ppm,
        };
        if self.path.as_ref().is_some_and(|(_, before)| *before == path) {
            return None;
        }
        self.path = Some((t, path.clone()));
        Some(path)
    }

    fn session_event(&self, tunnel: &Tunnel, closed: Option<String>) -> EventKind {
        let (side, session) = (self.side, self.session);
        EventKind::Session { side, session, conv: tunnel.conv(), peer: tunnel.peer(), closed }
    }
}

fn segment(header: &arq::Header, written: Option<Written>) -> Segment {
    let (rto_ms, again) = written.map_or((0, None), |written| (written.rto_ms, written.again));
    Segment {
        cmd: match header.command() {
            Some(arq::Command::Push) => Command::Push,
            Some(arq::Command::Ack) => Command::Ack,
            Some(arq::Command::Wask) => Command::Wask,
            Some(arq::Command::Wins) => Command::Wins,
            None => Command::Unknown,
        },
        sn: header.sn,
        ts: header.ts,
        una: header.una,
        wnd: header.wnd,
        frg: u32::from(header.frg),
        len: header.len,
        rto_ms,
        again,
    }
}
