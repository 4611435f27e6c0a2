//! yamux (hashicorp/yamux spec.md), the multiplexer of kcptun in 2016.
//!
//! Every stream has a window of 256 KiB, which its receiver extends at once to `streambuf`: by the frame that opens the
//! stream, and by the one that accepts it. kcptun of 2016 closes a whole stream when one direction ends, so half-close is
//! not used.

use super::session::{Control, Payload, Session, Wire};
use super::{Mux, ProtocolError, Role, Settings};
use crate::event::StreamId;
use crate::time::Instant;
use std::collections::BTreeSet;

/// Window of a new stream in both directions, bytes (YAMUX-3).
const WINDOW_INITIAL: u32 = 262_144;

/// Streams that the peer may not have accepted yet; kcptun resets those that do not fit its queue of this length (YAMUX-6).
const UNACCEPTED_MAX: usize = 256;

const DATA: u8 = 0;
const WINDOW_UPDATE: u8 = 1;
const PING: u8 = 2;
const GO_AWAY: u8 = 3;

const SYN: u16 = 1;
const ACK: u16 = 2;
const FIN: u16 = 4;
const RST: u16 = 8;

/// Frames of yamux.
#[derive(Debug, Default)]
pub(super) struct Yamux {
    /// Number of this side's next ping.
    ping: u32,
    /// Streams opened here that the peer has not accepted.
    unaccepted: BTreeSet<StreamId>,
    /// Streams opened here that the peer does not know yet, as too many are not accepted.
    waiting: BTreeSet<StreamId>,
    /// The peer takes no new streams (YAMUX-8).
    refuses: bool,
    /// The frame whose payload is being received ends its direction.
    ends_behind_payload: bool,
}

/// One end of a session that starts at `now`.
pub(super) fn new(settings: Settings, role: Role, now: Instant) -> Box<dyn Mux> {
    Box::new(Session::new(Yamux::default(), settings, role, now))
}

#[derive(Debug)]
pub(super) struct Flow {
    /// SYN or ACK, which the first frame of the stream carries.
    flags: u16,
    /// The SYN waits until the peer has accepted other streams.
    waits: bool,
    /// Bytes that the peer takes.
    send_window: u32,
    /// Bytes that the peer may send before the next update.
    receive_window: u32,
    /// Bytes by which an update that is due extends the window.
    grant: u32,
}

impl Wire for Yamux {
    type Flow = Flow;

    const HEADER_BYTES: usize = 12;

    fn first_id(role: Role) -> u32 {
        match role {
            Role::Client => 1,
            Role::Server => 2,
        }
    }

    fn may_open(&self) -> bool {
        !self.refuses
    }

    fn periods_ms(settings: &Settings) -> [u32; 2] {
        [settings.keepalive_ms, settings.peer_timeout_ms]
    }

    fn flow(&mut self, settings: &Settings, _: Instant, id: StreamId, opened_here: bool) -> Flow {
        let waits = opened_here && self.unaccepted.len() >= UNACCEPTED_MAX;
        if opened_here {
            let ids = if waits { &mut self.waiting } else { &mut self.unaccepted };
            ids.insert(id);
        }
        Flow {
            flags: if opened_here { SYN } else { ACK },
            waits,
            send_window: WINDOW_INITIAL,
            receive_window: WINDOW_INITIAL,
            grant: (settings.stream_bytes_max as u32).saturating_sub(WINDOW_INITIAL),
        }
    }

    /// YAMUX-1
    fn handle_header(session: &mut Session<Self>, header: &[u8]) -> Result<Payload, ProtocolError> {
        let &[version, kind, flags0, flags1, id0, id1, id2, id3, len0, len1, len2, len3] = header else {
            return Ok(Payload::NONE);
        };
        let flags = u16::from_be_bytes([flags0, flags1]);
        let id = StreamId(u32::from_be_bytes([id0, id1, id2, id3]));
        let len = u32::from_be_bytes([len0, len1, len2, len3]);
        if version != 0 {
            return Err(ProtocolError::Version(version));
        }
        match kind {
            DATA | WINDOW_UPDATE => return session.handle_stream_frame(kind, flags, id, len),
            PING if flags & SYN != 0 => session.queue(Control::Answer(len)),
            PING => {}
            GO_AWAY if len == 0 => session.wire.refuses = true,
            GO_AWAY => return Err(ProtocolError::Violation("the peer ended the session for an error")),
            other => return Err(ProtocolError::Command(other)),
        }
        Ok(Payload::NONE)
    }

    fn window(flow: &Flow) -> usize {
        flow.send_window as usize
    }

    fn wrote(flow: &mut Flow, n: usize) {
        flow.send_window = flow.send_window.saturating_sub(n as u32);
    }

    fn may_announce(flow: &Flow) -> bool {
        !flow.waits
    }

    fn has_control(flow: &Flow) -> bool {
        flow.flags != 0 || flow.grant > 0
    }

    fn put_control(session: &mut Session<Self>, id: StreamId, out: &mut Vec<u8>) {
        let Some(stream) = session.stream(id) else { return };
        let flow = &mut stream.flow;
        let (flags, grant) = (std::mem::take(&mut flow.flags), std::mem::take(&mut flow.grant));
        flow.receive_window = flow.receive_window.saturating_add(grant);
        put(WINDOW_UPDATE, flags, id.0, grant, out);
    }

    fn put_data(_: &mut Flow, id: StreamId, data: &[u8], out: &mut Vec<u8>) {
        put(DATA, 0, id.0, data.len() as u32, out);
        out.extend_from_slice(data);
    }

    fn put_end(_: &mut Flow, id: StreamId, reset: bool, out: &mut Vec<u8>) {
        put(WINDOW_UPDATE, if reset { RST } else { FIN }, id.0, 0, out);
    }

    fn put_session_frame(session: &mut Session<Self>, frame: Control, out: &mut Vec<u8>) {
        match frame {
            Control::Keepalive => {
                let number = session.wire.ping;
                session.wire.ping = number.wrapping_add(1);
                put(PING, SYN, 0, number, out);
            }
            Control::Answer(number) => put(PING, ACK, 0, number, out),
            Control::Refusal(id) => put(WINDOW_UPDATE, RST, id.0, 0, out),
        }
    }

    /// The flag FIN of a frame with data applies behind the data.
    fn delivered(session: &mut Session<Self>, id: StreamId, _: usize, complete: bool) {
        if complete && std::mem::take(&mut session.wire.ends_behind_payload) {
            session.end_from_peer(id, false);
        }
    }

    /// Extends the window once that doubles it at least (YAMUX-4). All streams share the receive buffer: when it fills,
    /// windows shrink to their first size, which is a promise.
    fn consumed(session: &mut Session<Self>, id: StreamId, _: usize) {
        let share = u32::try_from(session.free_bytes() / 4).unwrap_or(u32::MAX);
        let target = (session.settings.stream_bytes_max as u32).min(share).max(WINDOW_INITIAL);
        let Some(stream) = session.stream(id).filter(|stream| !stream.peer_finished) else { return };
        let unread = stream.unread() as u32;
        let grant = target.saturating_sub(unread.saturating_add(stream.flow.receive_window));
        if grant >= target / 2 {
            stream.flow.grant = grant;
        }
    }

    fn forgotten(session: &mut Session<Self>, id: StreamId, _: &Flow) {
        session.wire.waiting.remove(&id);
        session.accepted(id);
    }
}

impl Session<Yamux> {
    fn handle_stream_frame(
        &mut self,
        kind: u8,
        flags: u16,
        id: StreamId,
        len: u32,
    ) -> Result<Payload, ProtocolError> {
        if flags & SYN != 0 {
            if self.stream(id).is_some() || id.0 == 0 {
                return Err(ProtocolError::Violation("a stream was opened twice"));
            }
            self.open_from_peer(id);
        }
        self.accepted(id);
        if flags & RST != 0 {
            self.end_from_peer(id, true);
        }
        if kind == WINDOW_UPDATE {
            if let Some(stream) = self.stream(id) {
                stream.flow.send_window = stream.flow.send_window.saturating_add(len);
            }
            self.refresh(id);
        } else if let Some(stream) = self.stream(id) {
            let window = stream.flow.receive_window.checked_sub(len); // YAMUX-5
            stream.flow.receive_window =
                window.ok_or(ProtocolError::Violation("more data than the window allows"))?;
        }
        let payload = match kind {
            DATA => self.payload_for(id, len as usize),
            _ => Payload::NONE,
        };
        let ends = flags & FIN != 0;
        self.wire.ends_behind_payload = ends && payload.id.is_some() && payload.left > 0;
        if ends && !self.wire.ends_behind_payload {
            self.end_from_peer(id, false);
        }
        Ok(payload)
    }

    /// The peer knows the stream now, or it is gone: another one may be opened (YAMUX-6).
    fn accepted(&mut self, id: StreamId) {
        if !self.wire.unaccepted.remove(&id) {
            return;
        }
        if let Some(next) = self.wire.waiting.pop_first() {
            self.wire.unaccepted.insert(next);
            if let Some(stream) = self.stream(next) {
                stream.flow.waits = false;
            }
            self.refresh(next);
        }
    }
}

fn put(kind: u8, flags: u16, id: u32, len: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, kind]);
    out.extend_from_slice(&flags.to_be_bytes());
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&len.to_be_bytes());
}
