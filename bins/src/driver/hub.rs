//! One datagram socket and the sessions behind it.

use super::census::{Census, Opened};
use super::clock::Clock;
use super::diagnose::Diagnose;
use super::stop::Stopping;
use super::stream::{Signals, Stream};
use super::tunnels::Tunnels;
use crate::datagrams::Carrier;
use crate::datagrams::{Datagrams, RecvBatch};
use crate::log::{log_event, log_limited};
use engine::mux::{Dialect, OpenError};
use engine::{
    Client, CloseReason, DropReason, Event, Handled, Instant, Mismatch, Received, Server, SessionId, Stats,
    StreamId, Transmit, Tunnel,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Sleep;

/// Bytes one segmented send can carry.
const SEND_BYTES: usize = 65_507;

/// Receive calls in a row before other tasks run.
const RECEIVE_CALLS_MAX: usize = 8;

/// Sizes of datagrams that nearly every path carries (IPv6: 1,280 bytes less headers), and that every host has to accept.
const MTU_SAFE: usize = 1200;
const MTU_SAFEST: usize = 508;

/// The clock, and buffers that all hubs and streams of the thread share; never held across an await.
pub(crate) struct Scratch {
    pub(crate) clock: Clock,
    pub(crate) census: Rc<Census>,
    pub(crate) stopping: Stopping,
    receive: RefCell<RecvBatch>,
    send: RefCell<Vec<u8>>,
    /// For bytes on their way from a connection to a tunnel.
    pub(crate) read: RefCell<Vec<u8>>,
}

impl Scratch {
    /// `read_bytes` are read from a connection at once.
    pub(crate) fn new(read_bytes: usize) -> Rc<Self> {
        Rc::new(Self {
            clock: Clock::start(),
            census: Rc::default(),
            stopping: Stopping::default(),
            receive: RefCell::default(),
            send: RefCell::new(vec![0; SEND_BYTES]),
            read: RefCell::new(vec![0; read_bytes]),
        })
    }
}

/// What a hub reports to the program.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Notice {
    /// The server accepted a session.
    Accepted(SocketAddr),
    /// It is known what the server's client speaks: multiplexer, and version of smux.
    Spoken(SocketAddr, Dialect, u8),
    /// The peer opened a stream.
    Opened(SessionId, StreamId),
    /// The server accepts a session that was on trial.
    Passed(SessionId),
    /// A session with that peer ended, and its streams with it; the option that differs, if one does.
    Ended(SocketAddr, CloseReason, Option<Mismatch>),
}

pub(crate) struct Hub {
    pub(crate) scratch: Rc<Scratch>,
    socket: Box<dyn Datagrams>,
    state: RefCell<State>,
    /// A session was marked by a stream.
    marked: Notify,
}

struct State {
    tunnels: Tunnels,
    sessions: BTreeMap<SessionId, Session>,
    /// Sessions that may have datagrams or events.
    marked: VecDeque<SessionId>,
    timers: BTreeSet<(Instant, SessionId)>,
    unsent: Option<Unsent>,
    notices: Vec<Notice>,
    census: Rc<Census>,
    diagnose: Option<Diagnose>,
}

/// What the driver keeps beside a session's tunnel.
#[derive(Default)]
struct Session {
    streams: BTreeMap<StreamId, Rc<Signals>>,
    marked: bool,
    /// The peer is known to have acknowledged something.
    validated: bool,
    /// The session waits for memory.
    held: bool,
    /// Streams of it wait for memory to write.
    writers_wait: bool,
    armed_at: Option<Instant>,
    /// The size of datagrams that the path loses was logged.
    black_hole_named: bool,
    /// Where the peer was.
    peer: Option<SocketAddr>,
    /// What the client speaks was logged.
    spoken_named: bool,
    /// Of the conversation, when a datagram last came by a carrier that has numbers of its own.
    progress: u32,
}

/// The rest of a sealed run that the socket did not take (CLI-26).
struct Unsent {
    transmit: Transmit,
    bytes: Vec<u8>,
}

impl Hub {
    /// All sessions of a server's socket.
    pub(crate) fn server(
        scratch: &Rc<Scratch>,
        socket: Box<dyn Datagrams>,
        server: Server,
        diagnose: Option<Diagnose>,
    ) -> Rc<Self> {
        let hub = Self::new(scratch, socket, Tunnels::Server(Box::new(server)));
        hub.state.borrow_mut().diagnose = diagnose;
        hub
    }

    /// One session of a client, on its own socket.
    pub(crate) fn client(
        scratch: &Rc<Scratch>,
        socket: Box<dyn Datagrams>,
        client: &Rc<RefCell<Client>>,
        session: SessionId,
    ) -> Rc<Self> {
        let hub = Self::new(scratch, socket, Tunnels::Client(Rc::clone(client), session));
        hub.state.borrow_mut().insert(session);
        hub
    }

    fn new(scratch: &Rc<Scratch>, socket: Box<dyn Datagrams>, tunnels: Tunnels) -> Rc<Self> {
        let state = State {
            tunnels,
            sessions: BTreeMap::new(),
            marked: VecDeque::new(),
            timers: BTreeSet::new(),
            unsent: None,
            notices: Vec::new(),
            census: Rc::clone(&scratch.census),
            diagnose: None,
        };
        let hub = Rc::new(Self {
            scratch: Rc::clone(scratch),
            socket,
            state: RefCell::new(state),
            marked: Notify::new(),
        });
        scratch.census.add_hub(&hub);
        hub
    }

    /// What to check when nothing comes back.
    pub(crate) fn advice(&self) -> &'static str {
        self.socket.advice()
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.socket.local_addr()
    }

    /// Address of a session's peer, while it lives.
    pub(crate) fn peer(&self, session: SessionId) -> Option<SocketAddr> {
        self.look_at_tunnel(session, |tunnel| tunnel.peer())
    }

    /// Whether the client's session ended.
    pub(crate) fn is_over(&self) -> bool {
        self.state.borrow().is_over()
    }

    /// Adds the counters of the live sessions, and of datagrams that reached none.
    pub(crate) fn add_stats(&self, sum: &mut Stats) {
        let state = self.state.borrow();
        state.tunnels.each(|_, tunnel| *sum += tunnel.stats());
        *sum += state.tunnels.stats();
    }

    /// What carries the datagrams of a peer.
    pub(crate) fn carrier(&self, peer: SocketAddr) -> Carrier {
        self.socket.carrier(peer)
    }

    /// Shows every live session, with the address of its socket.
    pub(crate) fn each_tunnel(&self, mut show: impl FnMut(SocketAddr, Carrier, &Tunnel)) {
        let tunnels = &self.state.borrow().tunnels;
        tunnels.each(|_, tunnel| show(self.local_addr(), self.carrier(tunnel.peer()), tunnel));
    }

    /// Whether no stream is in use, and everything written was acknowledged. Peers that are silent for `silence_max` are left
    /// out.
    pub(crate) fn is_flushed(&self, silence_max: Duration) -> bool {
        let now = self.scratch.clock.now();
        let state = self.state.borrow();
        let mut flushed = state.sessions.values().all(|session| session.streams.is_empty());
        state.tunnels.each(|_, tunnel| {
            flushed &= tunnel.is_closed() || tunnel.is_flushed() || tunnel.silent_for(now) > silence_max;
        });
        flushed
    }

    /// Bytes that wait in the fullest live session, and its id.
    pub(crate) fn fullest(&self) -> Option<(usize, SessionId)> {
        let mut fullest = None;
        self.state.borrow().tunnels.each(|id, tunnel| {
            if tunnel.closed().is_none() {
                fullest = fullest.max(Some((tunnel.queued_bytes(), id)));
            }
        });
        fullest
    }

    /// Holds the sessions in which more than `share_bytes` wait, and resumes the others: nothing is read for held ones
    /// from local connections, and arriving data closes their receive window (CLI-54). Meanwhile a server accepts no
    /// sessions. `None` resumes all.
    pub(crate) fn hold_above(&self, share_bytes: Option<usize>) {
        let now = self.scratch.clock.now();
        let mut state = self.state.borrow_mut();
        let State { tunnels, sessions, .. } = &mut *state;
        let mut changed = Vec::new();
        tunnels.set_accepting(share_bytes.is_none() && !self.scratch.stopping.has_begun());
        for (id, session) in sessions {
            let held = tunnels.with(*id, |tunnel| {
                let held = share_bytes.is_some_and(|share| tunnel.queued_bytes() > share);
                if share_bytes.is_some() {
                    tunnel.release_buffers();
                }
                if held != session.held {
                    tunnel.hold_input(now, held);
                }
                held
            });
            let held = held.unwrap_or(false);
            if std::mem::replace(&mut session.held, held) != held {
                changed.push(*id);
            }
            if !held && std::mem::take(&mut session.writers_wait) {
                session.streams.values().for_each(|signals| signals.writable.notify_one());
            }
        }
        for id in changed {
            state.mark(id);
        }
        self.marked.notify_one();
    }

    /// Whether a session has to wait for memory; if so, [`Hub::hold_above`] wakes its streams later.
    pub(crate) fn waits_for_memory(&self, id: SessionId) -> bool {
        let census = &self.scratch.census;
        if !census.is_short() {
            return false;
        }
        let mut state = self.state.borrow_mut();
        let State { tunnels, sessions, .. } = &mut *state;
        let Some(session) = sessions.get_mut(&id) else { return false };
        let queued_bytes = tunnels.with(id, |tunnel| tunnel.queued_bytes()).unwrap_or(0);
        let waits = session.held || queued_bytes > census.share_bytes();
        session.writers_wait |= waits;
        waits
    }

    /// Ends a session; its streams are reset.
    pub(crate) fn close_session(&self, id: SessionId, reason: CloseReason) {
        let now = self.scratch.clock.now();
        self.with_tunnel(id, |tunnel| tunnel.close(now, reason));
    }

    /// Opens a stream of a session.
    pub(crate) fn open_stream(self: &Rc<Self>, session: SessionId) -> Result<Stream, OpenError> {
        let now = self.scratch.clock.now();
        let opened = self.with_tunnel(session, |tunnel| tunnel.open_stream(now));
        opened.unwrap_or(Err(OpenError::Closed)).map(|id| self.stream(session, id))
    }

    /// The handle of a stream that was opened; dropping it resets the stream, unless this side finished it.
    pub(crate) fn stream(self: &Rc<Self>, session: SessionId, id: StreamId) -> Stream {
        let signals = Rc::new(Signals::default());
        if let Some(session) = self.state.borrow_mut().sessions.get_mut(&session) {
            session.streams.insert(id, Rc::clone(&signals));
        }
        Stream::new(Rc::clone(self), session, id, signals)
    }

    /// Calls `change` on a session's tunnel, if it lives, and has the hub drain it afterwards.
    pub(crate) fn with_tunnel<R>(&self, id: SessionId, change: impl FnOnce(&mut Tunnel) -> R) -> Option<R> {
        let mut state = self.state.borrow_mut();
        let result = state.tunnels.with(id, change)?;
        if state.mark(id) {
            self.marked.notify_one();
        }
        Some(result)
    }

    /// Calls `look` on a session's tunnel, which must not change what it would send.
    pub(crate) fn look_at_tunnel<R>(&self, id: SessionId, look: impl FnOnce(&mut Tunnel) -> R) -> Option<R> {
        self.state.borrow_mut().tunnels.with(id, look)
    }

    /// Ends a stream that is not used any more, as a reset unless this side finished it. While the program stops, a stream of
    /// a peer that knows no resets is left as it is: it would be taken for complete (CLI-25).
    pub(crate) fn reset_stream(&self, session: SessionId, id: StreamId) {
        let now = self.scratch.clock.now();
        let stopping = self.scratch.stopping.has_begun();
        self.with_tunnel(session, |tunnel| {
            (!stopping || tunnel.peer_half_closes()) && tunnel.reset_stream(now, id)
        });
        if let Some(session) = self.state.borrow_mut().sessions.get_mut(&session) {
            session.streams.remove(&id);
        }
    }

    /// Accepts no more sessions.
    pub(crate) fn stop_accepting(&self) {
        self.state.borrow_mut().tunnels.set_accepting(false);
    }

    /// Sends the resets of streams whose readers paused them, instead of the bytes that wait for that.
    pub(crate) fn drop_unsent(&self) {
        let now = self.scratch.clock.now();
        let ids: Vec<SessionId> = self.state.borrow().sessions.keys().copied().collect();
        for id in ids {
            self.with_tunnel(id, |tunnel| tunnel.drop_unsent(now));
        }
    }

    /// Drives the sessions: a client's until it ended, a server's without end.
    pub(crate) async fn run(self: Rc<Self>, mut on_notice: impl FnMut(&Rc<Self>, Notice)) {
        let clock = self.scratch.clock;
        let mut sleep = Box::pin(tokio::time::sleep_until(clock.moment(clock.now())));
        loop {
            let notices = self.turn();
            for notice in notices {
                on_notice(&self, notice);
            }
            if self.is_over() {
                return;
            }
            self.wait(sleep.as_mut()).await;
        }
    }

    /// Receives, runs timers, sends.
    fn turn(&self) -> Vec<Notice> {
        let mut state = self.state.borrow_mut();
        self.receive(&mut state);
        if self.socket.take_refused() {
            state.refused(self.scratch.clock.now());
        }
        if self.send_unsent(&mut state) {
            state.run_timers(self.scratch.clock.now());
            self.send_marked(&mut state);
        }
        std::mem::take(&mut state.notices)
    }

    /// Waits for a datagram, a timer, room in a blocked socket, or a marked session.
    async fn wait(&self, mut sleep: Pin<&mut Sleep>) {
        let (next, blocked, marked) = self.state.borrow().waits();
        if marked && !blocked {
            return tokio::task::yield_now().await;
        }
        let timed = next.filter(|_| !blocked);
        if let Some(at) = timed {
            let moment = self.scratch.clock.moment(at);
            // Each reset to an earlier time costs system calls; waking up once too early costs less.
            if sleep.deadline() > moment || sleep.is_elapsed() {
                sleep.as_mut().reset(moment);
            }
        }
        tokio::select! {
            biased;
            _ = poll_fn(|cx| self.socket.poll_recv_ready(cx)) => {}
            _ = poll_fn(|cx| self.socket.poll_send_ready(cx)), if blocked => {}
            () = self.marked.notified(), if !blocked => {}
            () = sleep, if timed.is_some() => {}
        }
    }

    fn receive(&self, state: &mut State) {
        let batch = &mut *self.scratch.receive.borrow_mut();
        for _ in 0..RECEIVE_CALLS_MAX {
            if self.socket.try_recv(batch).is_err() {
                return;
            }
            let now = self.scratch.clock.now();
            let mut number = 0;
            batch.for_each(|from, datagram| {
                let taken_by = state.handle(now, from, datagram);
                if let Some(id) = taken_by.filter(|_| self.socket.counts_opened()) {
                    self.socket.opened(number, state.note_progress(id));
                }
                number += 1;
            });
            if !batch.is_full() {
                return;
            }
        }
    }

    /// Sends what the socket refused before; `false` while it still does.
    fn send_unsent(&self, state: &mut State) -> bool {
        let Some(Unsent { transmit, bytes }) = state.unsent.take() else {
            return true;
        };
        state.unsent = self.send(&transmit, &bytes);
        state.unsent.is_none()
    }

    fn send_marked(&self, state: &mut State) {
        let now = self.scratch.clock.now();
        while let Some(id) = state.marked.pop_front() {
            let Some(session) = state.sessions.get_mut(&id) else { continue };
            session.marked = false;
            let unsent = state.tunnels.with(id, |tunnel| self.send_all(now, tunnel)).flatten();
            if unsent.is_some() {
                state.unsent = unsent;
                state.mark(id);
                return;
            }
            state.report(now, id);
        }
    }

    /// Sends the tunnel's datagrams; returns the rest when the socket would block.
    fn send_all(&self, now: Instant, tunnel: &mut Tunnel) -> Option<Unsent> {
        let buffer = &mut *self.scratch.send.borrow_mut();
        while let Some(transmit) = tunnel.poll_transmit(now, buffer) {
            let unsent = self.send(&transmit, &buffer[..transmit.len]);
            if unsent.is_some() {
                return unsent;
            }
        }
        None
    }

    fn send(&self, transmit: &Transmit, bytes: &[u8]) -> Option<Unsent> {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.socket.try_send(transmit.to, &bytes[sent..], transmit.segment) {
                Ok(taken) => sent += taken,
                Err(_) => return Some(Unsent { transmit: *transmit, bytes: bytes[sent..].to_vec() }),
            }
        }
        None
    }
}

impl State {
    fn insert(&mut self, id: SessionId) {
        self.census.opened(if self.tunnels.is_server() { Opened::Passive } else { Opened::Active });
        self.sessions.insert(id, Session::default());
        self.mark(id);
    }

    fn is_over(&self) -> bool {
        !self.tunnels.is_server() && self.sessions.is_empty()
    }

    /// Next deadline, whether the socket blocks, whether sessions are marked.
    fn waits(&self) -> (Option<Instant>, bool, bool) {
        let next = self.timers.first().map(|(at, _)| *at);
        (next, self.unsent.is_some(), !self.marked.is_empty())
    }

    /// Whether the session was not marked yet.
    fn mark(&mut self, id: SessionId) -> bool {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| !session.marked) else {
            return false;
        };
        session.marked = true;
        self.marked.push_back(id);
        true
    }

    /// The session that took the datagram, which is genuine then, or a replay.
    fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) -> Option<SessionId> {
        // A datagram is opened in place, so what may have to be explained is copied first: a few datagrams of strangers.
        let puzzling = self
            .diagnose
            .as_mut()
            .is_some_and(|diagnose| !self.tunnels.knows(from) && diagnose.wants(now, from, datagram.len()));
        let copy = puzzling.then(|| datagram.to_vec());
        let received = self.tunnels.handle_datagram(now, from, datagram);
        let taken_by = match received {
            Received::Session(id, Handled::Used) | Received::Accepted { id, .. } => Some(id),
            _ => None,
        };
        match received {
            // CLI-21: not from the peer.
            Received::Session(_, Handled::Dropped(DropReason::NoSession))
            | Received::Dropped(DropReason::NotAccepting) => self.census.refused(),
            Received::Session(id, _) => {
                self.mark(id);
            }
            Received::Accepted { id } => {
                let peer = self.tunnels.with(id, |tunnel| tunnel.peer()).unwrap_or(from);
                self.notices.push(Notice::Accepted(peer));
                self.insert(id);
            }
            // The server and its tunnels count all drops.
            Received::Dropped(
                DropReason::TooManySessions
                | DropReason::OutOfBand
                | DropReason::MoveRefused
                | DropReason::NoSource
                | DropReason::Oversize
                | DropReason::Reflected
                | DropReason::Replayed,
            ) => {}
            Received::Dropped(_) => {
                if let (Some(diagnose), Some(copy)) = (&mut self.diagnose, copy) {
                    diagnose.judge(now, from, &copy);
                }
            }
        }
        while let Some(closed) = self.tunnels.poll_closed() {
            self.mark(closed);
        }
        taken_by
    }

    /// Whether the session's conversation advanced since the last call.
    fn note_progress(&mut self, id: SessionId) -> bool {
        let progress = self.tunnels.with(id, |tunnel| tunnel.arq().progress());
        let Some((session, progress)) = self.sessions.get_mut(&id).zip(progress) else { return false };
        std::mem::replace(&mut session.progress, progress) != progress
    }

    /// KCP-60. Only a client's socket reports it, and that has one session.
    fn refused(&mut self, now: Instant) {
        let ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        for id in ids {
            self.tunnels.with(id, |tunnel| tunnel.peer_refused(now));
            self.mark(id);
        }
    }

    fn run_timers(&mut self, now: Instant) {
        while let Some(&(at, id)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            if let Some(session) = self.sessions.get_mut(&id) {
                session.armed_at = None;
                self.tunnels.with(id, |tunnel| tunnel.handle_timeout(now));
                self.mark(id);
            }
        }
    }

    /// Passes a session's events on and re-arms its timer, which ends the contract's round.
    fn report(&mut self, now: Instant, id: SessionId) {
        let Self { tunnels, sessions, notices, timers, .. } = self;
        let Some(session) = sessions.get_mut(&id) else { return };
        let is_server = tunnels.is_server();
        let drained = tunnels.with(id, |tunnel| {
            let mut ended = None;
            if let Some((dialect, version)) = tunnel.spoken().filter(|_| is_server)
                && !std::mem::replace(&mut session.spoken_named, true)
            {
                notices.push(Notice::Spoken(tunnel.peer(), dialect, version));
            }
            while let Some(event) = tunnel.poll_event() {
                match event {
                    Event::Opened(stream) => notices.push(Notice::Opened(id, stream)),
                    Event::Passed => notices.push(Notice::Passed(id)),
                    Event::Closed(reason) => ended = Some(reason),
                    event => session.signal(event),
                }
            }
            if tunnel.is_validated() && !std::mem::replace(&mut session.validated, true) {
                session.streams.values().for_each(|signals| signals.note_validation());
            }
            session.name_black_hole(tunnel);
            session.name_move(tunnel);
            (ended, tunnel.poll_timeout())
        });
        let Some((None, next)) = drained else { return self.end(now, id) };
        let next = next.map(|deadline| deadline.at);
        if next != session.armed_at {
            let before = std::mem::replace(&mut session.armed_at, next);
            timers.extend(next.map(|at| (at, id)));
            before.map(|at| timers.remove(&(at, id)));
        }
    }

    /// CLI-24
    fn end(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else { return };
        session.streams.values().for_each(|signals| signals.wake_all());
        session.armed_at.map(|at| self.timers.remove(&(at, id)));
        let Some(tunnel) = self.tunnels.remove(now, id) else { return };
        self.census.ended(tunnel.stats());
        let reason = tunnel.closed().unwrap_or(CloseReason::Local);
        self.notices.push(Notice::Ended(tunnel.peer(), reason, tunnel.mismatch()));
    }
}

impl Session {
    /// CLI-105
    fn name_move(&mut self, tunnel: &Tunnel) {
        let peer = tunnel.peer();
        let Some(before) = self.peer.replace(peer).filter(|before| *before != peer) else { return };
        log_limited!(
            peer.ip(),
            Info,
            "session_moved",
            [peer = peer, before = before],
            "session {before} moved to {peer}"
        );
    }

    /// KCP-40
    fn name_black_hole(&mut self, tunnel: &Tunnel) {
        let Some(bytes) = tunnel.black_hole().filter(|_| !self.black_hole_named) else { return };
        self.black_hole_named = true;
        let mtu = if bytes > MTU_SAFE { MTU_SAFE } else { MTU_SAFEST };
        let peer = tunnel.peer();
        log_event!(
            Warn,
            "mtu_too_large",
            [peer = peer, bytes = bytes, mtu = mtu],
            "path to {peer}: datagrams of {bytes} bytes do not arrive, smaller ones do: try --mtu {mtu} here"
        );
    }

    fn signal(&self, event: Event) {
        let signals = |id| self.streams.get(id);
        match &event {
            Event::Readable(id) => {
                signals(id).inspect(|signals| signals.readable.notify_one());
            }
            Event::Finished(id) => {
                signals(id).inspect(|signals| {
                    signals.is_finished.set(true);
                    signals.readable.notify_one();
                });
            }
            Event::Reset(id) => {
                signals(id).inspect(|signals| {
                    signals.readable.notify_one();
                    signals.reset.notify_one();
                });
            }
            Event::Writable(id) => {
                signals(id).inspect(|signals| signals.writable.notify_one());
            }
            Event::Stopped(id) => {
                signals(id).inspect(|signals| {
                    signals.is_stopped.set(true);
                    signals.stopped.notify_one();
                });
            }
            Event::Cut(id) => {
                signals(id).inspect(|signals| signals.cut.notify_one());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
