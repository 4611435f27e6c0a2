//! The smux dialect of kcptunB (cs8425/kcptun v2.0.4, cs8425/smux v2.0.0; kcptunb.md).
//!
//! It is version 1 of smux with three commands more: a receiver pauses (FUL) and resumes (EMP) single streams, and every
//! keepalive is answered (ACK). Other versions of smux end the session at any of them. So this end sends no FUL or EMP before
//! the peer has answered a keepalive, and beyond its first ACK none either: it works with `--streambuf-en=0`, and with the
//! version 1 of any other kcptun (SMUXB-4).

use super::session::{Control, Payload, Session, Wire};
use super::ticker::Ticker;
use super::{Mux, ProtocolError, Role, Settings};
use crate::event::StreamId;
use crate::observe::Mark;
use crate::time::Instant;
use core::time::Duration;

/// Round trip that the flow control assumes before it was measured (kcptunb.md section 3).
const RTT_INITIAL: Duration = Duration::from_millis(500);

const SYN: u8 = 0;
const FIN: u8 = 1;
const PSH: u8 = 2;
const NOP: u8 = 3;
const ACK: u8 = 4;
const FUL: u8 = 5;
const EMP: u8 = 6;

/// Frames of kcptunB's smux.
#[derive(Debug)]
pub(super) struct Smuxb {
    /// Number of this side's latest NOP, and when it was sent.
    nop: u32,
    nop_at: Instant,
    rtt: Duration,
    /// The peer has answered one of this side's NOPs (SMUXB-4).
    peer_answers: bool,
    /// The peer's first NOP was answered.
    answered: bool,
}

/// One end of a session that starts at `now`.
pub(super) fn new(settings: Settings, role: Role, now: Instant) -> Box<dyn Mux> {
    let wire = Smuxb { nop: 0, nop_at: now, rtt: RTT_INITIAL, peer_answers: false, answered: false };
    let mut session = Session::new(wire, settings, role, now);
    session.queue(Control::Keepalive); // SMUXB-2
    Box::new(session)
}

/// Flow control of a stream: what its sender was asked for, and how fast its reader is (kcptunb.md section 4).
#[derive(Debug)]
pub(super) struct Flow {
    syn_due: bool,
    /// The peer asked to pause.
    held: bool,
    /// This side wants the peer to pause, and whether a frame said so.
    pause: bool,
    pause_told: bool,
    /// Bytes read since the last frame with data.
    since: i64,
    /// Unread bytes that the reader is estimated to use up within a round trip.
    guess: i64,
    needed: i64,
    pushed_at: Instant,
    boost_until: Instant,
}

impl Wire for Smuxb {
    type Flow = Flow;

    const HEADER_BYTES: usize = 8;

    fn first_id(role: Role) -> u32 {
        match role {
            Role::Client => 3,
            Role::Server => 2,
        }
    }

    /// A peer that does not answer closes the session unless something arrives in each of its intervals, which usually
    /// are as long as this side's (SMUXB-3).
    fn periods_ms(settings: &Settings) -> [u32; 2] {
        let often = if settings.keepalive_ms > 0 { (settings.keepalive_ms / 3).max(1) } else { 0 };
        [often, settings.peer_timeout_ms]
    }

    fn flow(&mut self, settings: &Settings, now: Instant, _: StreamId, opened_here: bool) -> Flow {
        Flow {
            syn_due: opened_here,
            held: false,
            pause: false,
            pause_told: false,
            since: 0,
            guess: settings.stream_bytes_max as i64,
            needed: 0,
            pushed_at: now,
            boost_until: now + boost(settings),
        }
    }

    /// SMUXB-1
    fn handle_header(session: &mut Session<Self>, header: &[u8]) -> Result<Payload, ProtocolError> {
        let &[version, command, len0, len1, id0, id1, id2, id3] = header else {
            return Ok(Payload::NONE);
        };
        let number = u32::from_le_bytes([id0, id1, id2, id3]);
        let (id, len) = (StreamId(number), usize::from(u16::from_le_bytes([len0, len1])));
        if version != 1 {
            return Err(ProtocolError::Version(version));
        }
        match command {
            SYN => session.handle_syn(id),
            FIN => session.end_from_peer(id, false),
            PSH => return Ok(session.payload_for(id, len)),
            NOP => session.handle_nop(number),
            ACK => session.handle_ack(number),
            FUL | EMP => session.handle_pause(id, command == FUL),
            other => return Err(ProtocolError::Command(other)),
        }
        Ok(Payload { id: None, left: len })
    }

    fn may_send(flow: &Flow) -> bool {
        !flow.held
    }

    fn has_control(flow: &Flow) -> bool {
        flow.syn_due || flow.pause != flow.pause_told
    }

    fn put_control(session: &mut Session<Self>, id: StreamId, out: &mut Vec<u8>) {
        let Some(stream) = session.stream(id) else { return };
        let flow = &mut stream.flow;
        if std::mem::take(&mut flow.syn_due) {
            return put(SYN, 0, id.0, out);
        }
        flow.pause_told = flow.pause;
        put(if flow.pause { FUL } else { EMP }, 0, id.0, out);
    }

    fn put_data(_: &mut Flow, id: StreamId, data: &[u8], out: &mut Vec<u8>) {
        put(PSH, data.len() as u16, id.0, out);
        out.extend_from_slice(data);
    }

    fn put_end(_: &mut Flow, id: StreamId, _: bool, out: &mut Vec<u8>) {
        put(FIN, 0, id.0, out);
    }

    fn put_session_frame(session: &mut Session<Self>, frame: Control, out: &mut Vec<u8>) {
        match frame {
            Control::Keepalive => {
                let wire = &mut session.wire;
                // 0 is the number of a NOP of other versions, which is not answered.
                wire.nop = wire.nop.checked_add(1).unwrap_or(1);
                wire.nop_at = session.now;
                put(NOP, 0, wire.nop, out);
            }
            Control::Answer(number) => put(ACK, 0, number, out),
            Control::Refusal(id) => put(FIN, 0, id.0, out),
        }
    }

    fn delivered(session: &mut Session<Self>, id: StreamId, _: usize, complete: bool) {
        let may_pause = session.wire.peer_answers && session.settings.stream_buffers;
        let (now, limit) = (session.now, session.settings.stream_bytes_max as i64);
        let boost = boost(&session.settings);
        let Some(stream) = session.stream(id) else { return };
        if !complete {
            return;
        }
        let unread = stream.unread() as i64;
        let pause = stream.flow.judge_frame(now, boost, unread, limit) && !stream.peer_finished;
        if pause && may_pause {
            stream.flow.pause = true;
        }
    }

    fn consumed(session: &mut Session<Self>, id: StreamId, n: usize) {
        let (now, rtt) = (session.now, session.wire.rtt);
        let Some(stream) = session.stream(id) else { return };
        let unread = stream.unread() as i64;
        let flow = &mut stream.flow;
        flow.since += n as i64;
        let round_trips = rtt.as_nanos() / (now.since(flow.pushed_at).as_nanos() + 1);
        flow.needed = flow.since.saturating_mul(i64::try_from(round_trips).unwrap_or(i64::MAX));
        if unread == 0 || flow.needed >= unread {
            flow.pause = false;
        }
    }

    fn found_empty(session: &mut Session<Self>, id: StreamId) {
        if let Some(stream) = session.stream(id) {
            stream.flow.pause = false;
        }
    }
}

impl Flow {
    /// A frame with data is complete. Whether its sender should pause.
    fn judge_frame(&mut self, now: Instant, boost: Duration, unread: i64, limit: i64) -> bool {
        let since = std::mem::take(&mut self.since);
        if unread > limit {
            return true;
        }
        if since != 0 {
            self.pushed_at = now;
            // A weighted mean; the estimate can be far too high, but never above what the stream may hold.
            self.guess = self.guess.saturating_mul(8).saturating_add(self.needed.saturating_mul(2)) / 10;
            self.guess = self.guess.min(limit);
        }
        if unread <= self.guess {
            self.boost_until = now + boost;
            return false;
        }
        now > self.boost_until
    }
}

impl Session<Smuxb> {
    fn handle_syn(&mut self, id: StreamId) {
        if self.stream(id).is_none() {
            self.open_from_peer(id);
        }
    }

    /// Answers a numbered NOP: the first one always, which shows the peer that this side answers; more only if the peer
    /// answers, too. A kcptunB without stream buffers stops reading at the second answer (SMUXB-4).
    fn handle_nop(&mut self, number: u32) {
        let numbered = number != 0 && number != super::smux::ANNOUNCEMENT.0;
        let answers = self.settings.stream_buffers && numbered;
        if answers && (self.wire.peer_answers || !self.wire.answered) {
            self.wire.answered = true;
            self.queue(Control::Answer(number));
        }
    }

    fn handle_ack(&mut self, number: u32) {
        if !std::mem::replace(&mut self.wire.peer_answers, true)
            && let Some(ticker) = &mut self.keepalive
        {
            // The peer goes by answers from now on, so the full interval is enough.
            *ticker = Ticker::new(self.now, self.settings.keepalive_ms);
        }
        if number == self.wire.nop {
            self.wire.rtt = self.now.since(self.wire.nop_at);
        }
    }

    fn handle_pause(&mut self, id: StreamId, pause: bool) {
        let Some(stream) = self.stream(id) else { return };
        stream.flow.held = pause;
        self.marks.hit(if pause { Mark::Pause } else { Mark::Resume });
        self.refresh(id);
    }
}

fn boost(settings: &Settings) -> Duration {
    Duration::from_millis(u64::from(settings.boost_ms))
}

fn put(command: u8, len: u16, id: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&[1, command]);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&id.to_le_bytes());
}
