//! One datagram socket and the sessions behind it.

use super::census::{Census, Opened};
use super::clock::Clock;
use super::diagnose::Diagnose;
use super::stream::{Signals, Stream};
use crate::net::udp::{Datagrams, RecvBatch};
use engine::mux::OpenError;
use engine::tunnel::Burden;
use engine::{
    CloseReason, DropReason, Endpoint, Event, Handled, Incoming, Instant, Mismatch, Route, SessionId, Stats,
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

/// Receive calls in a row before others get their turn.
const RECEIVE_CALLS_MAX: usize = 8;

/// Buffers that every hub and stream of the thread uses in turn, never across an await.
pub(crate) struct Scratch {
    pub(crate) clock: Clock,
    pub(crate) census: Rc<Census>,
    receive: RefCell<RecvBatch>,
    send: RefCell<Vec<u8>>,
    /// For bytes on their way from a connection to a tunnel.
    pub(crate) read: RefCell<Vec<u8>>,
}

impl Scratch {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            clock: Clock::start(),
            census: Rc::default(),
            receive: RefCell::default(),
            send: RefCell::new(vec![0; SEND_BYTES]),
            read: RefCell::new(vec![0; 32_768]),
        })
    }
}

/// What the owner of a hub should know.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Notice {
    /// The server accepted a session.
    Accepted(SocketAddr),
    /// The peer opened a stream.
    Opened(SessionId, StreamId),
    /// A session ended, its streams with it; the option that differs, if one does.
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
    /// The server's session table; a client has one session only.
    endpoint: Option<Endpoint>,
    sessions: BTreeMap<SessionId, Session>,
    /// Sessions that may have something to send or to tell.
    marked: VecDeque<SessionId>,
    timers: BTreeSet<(Instant, SessionId)>,
    unsent: Option<Unsent>,
    notices: Vec<Notice>,
    census: Rc<Census>,
    diagnose: Option<Diagnose>,
}

struct Session {
    tunnel: Tunnel,
    streams: BTreeMap<StreamId, Rc<Signals>>,
    marked: bool,
    /// Waits for memory.
    held: bool,
    /// So do streams that had something to write.
    writers_wait: bool,
    armed_at: Option<Instant>,
}

/// The rest of a sealed run that the socket did not take (CLI-26).
struct Unsent {
    transmit: Transmit,
    bytes: Vec<u8>,
}

impl Hub {
    /// The server's end: sessions come from `endpoint`.
    pub(crate) fn server(
        scratch: &Rc<Scratch>,
        socket: Box<dyn Datagrams>,
        endpoint: Endpoint,
        diagnose: Option<Diagnose>,
    ) -> Rc<Self> {
        let hub = Self::new(scratch, socket, Some(endpoint));
        hub.state.borrow_mut().diagnose = diagnose;
        hub
    }

    /// The client's end of one session.
    pub(crate) fn client(scratch: &Rc<Scratch>, socket: Box<dyn Datagrams>, tunnel: Tunnel) -> Rc<Self> {
        let hub = Self::new(scratch, socket, None);
        hub.state.borrow_mut().insert(CLIENT_SESSION, tunnel);
        hub
    }

    fn new(scratch: &Rc<Scratch>, socket: Box<dyn Datagrams>, endpoint: Option<Endpoint>) -> Rc<Self> {
        let state = State {
            endpoint,
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

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.socket.local_addr()
    }

    /// Address of a session's peer, while it lives.
    pub(crate) fn peer(&self, session: SessionId) -> Option<SocketAddr> {
        self.state.borrow().sessions.get(&session).map(|session| session.tunnel.peer())
    }

    /// Whether the client's session ended.
    pub(crate) fn is_over(&self) -> bool {
        self.state.borrow().is_over()
    }

    /// Adds the counters of the live sessions, and of datagrams that reached none.
    pub(crate) fn add_stats(&self, sum: &mut Stats) {
        let state = self.state.borrow();
        state.sessions.values().for_each(|session| *sum += session.tunnel.stats());
        state.endpoint.iter().for_each(|endpoint| *sum += endpoint.stats());
    }

    /// Shows every live session, with the address of its socket.
    pub(crate) fn each_tunnel(&self, mut show: impl FnMut(SocketAddr, &Tunnel)) {
        let state = self.state.borrow();
        state.sessions.values().for_each(|session| show(self.local_addr(), &session.tunnel));
    }

    /// Whether everything written was acknowledged.
    pub(crate) fn is_drained(&self) -> bool {
        self.state.borrow().sessions.values().all(|session| session.tunnel.drained())
    }

    /// Streams of all sessions.
    pub(crate) fn stream_count(&self) -> usize {
        self.state.borrow().sessions.values().map(|session| session.tunnel.stream_count()).sum()
    }

    /// How long the client's server has left something unanswered.
    pub(crate) fn silent_for(&self) -> Duration {
        let now = self.scratch.clock.now();
        self.client_tunnel(|tunnel| tunnel.silent_for(now))
    }

    /// How long the client's session has stood still in one direction because somebody does not read.
    pub(crate) fn blocked_for(&self) -> Duration {
        let now = self.scratch.clock.now();
        self.client_tunnel(|tunnel| tunnel.blocked_for(now))
    }

    /// Bytes that wait in the fullest session, and its id.
    pub(crate) fn fullest(&self) -> Option<(usize, SessionId)> {
        let state = self.state.borrow();
        state.sessions.iter().map(|(id, session)| (session.tunnel.queued_bytes(), *id)).max()
    }

    /// Holds the sessions in which more than `share_bytes` wait, and lets the others go on: nothing is read for them from
    /// local connections, and what arrives closes their receive window (CLI-54). `None` lets all go on.
    pub(crate) fn hold_above(&self, share_bytes: Option<usize>) {
        let now = self.scratch.clock.now();
        let mut state = self.state.borrow_mut();
        let mut changed = Vec::new();
        for (id, session) in &mut state.sessions {
            let held = share_bytes.is_some_and(|share| session.tunnel.queued_bytes() > share);
            if share_bytes.is_some() {
                session.tunnel.release_buffers();
            }
            if held != session.held {
                session.held = held;
                session.tunnel.hold_input(now, held);
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
        let Some(session) = state.sessions.get_mut(&id) else { return false };
        let waits = session.held || session.tunnel.queued_bytes() > census.share_bytes();
        session.writers_wait |= waits;
        waits
    }

    /// Ends a session; its streams are reset.
    pub(crate) fn close_session(&self, id: SessionId, reason: CloseReason) {
        let now = self.scratch.clock.now();
        self.with_tunnel(id, |tunnel| tunnel.close(now, reason));
    }

    /// What the client's session carries.
    pub(crate) fn burden(&self) -> Burden {
        let now = self.scratch.clock.now();
        self.client_tunnel(|tunnel| tunnel.burden(now))
    }

    /// Whether the client's server ever answered.
    pub(crate) fn was_heard(&self) -> bool {
        self.client_tunnel(|tunnel| tunnel.stats().in_pkts > 0)
    }

    /// Whether the client's server ever sent a byte of its stream.
    pub(crate) fn has_stream_bytes(&self) -> bool {
        self.client_tunnel(|tunnel| tunnel.stats().bytes_received > 0)
    }

    /// Bytes of streams, with their framing, both ways.
    pub(crate) fn traffic_bytes(&self) -> u64 {
        self.client_tunnel(|tunnel| tunnel.stats().bytes_sent + tunnel.stats().bytes_received)
    }

    /// Closes the client's session; what is queued is sent once more.
    pub(crate) fn close(&self) {
        let now = self.scratch.clock.now();
        self.with_tunnel(CLIENT_SESSION, |tunnel| tunnel.close(now, CloseReason::Local));
    }

    fn client_tunnel<R: Default>(&self, look: impl FnOnce(&Tunnel) -> R) -> R {
        let state = self.state.borrow();
        state.sessions.get(&CLIENT_SESSION).map(|session| look(&session.tunnel)).unwrap_or_default()
    }

    /// Opens a stream of the client's session.
    pub(crate) fn open_stream(self: &Rc<Self>) -> Result<Stream, OpenError> {
        let now = self.scratch.clock.now();
        let opened = self.with_tunnel(CLIENT_SESSION, |tunnel| tunnel.open_stream(now));
        opened.unwrap_or(Err(OpenError::Closed)).map(|id| self.stream(CLIENT_SESSION, id))
    }

    /// The handle of a stream that was opened; dropping it closes the stream.
    pub(crate) fn stream(self: &Rc<Self>, session: SessionId, id: StreamId) -> Stream {
        let signals = Rc::new(Signals::default());
        if let Some(session) = self.state.borrow_mut().sessions.get_mut(&session) {
            session.streams.insert(id, Rc::clone(&signals));
        }
        Stream::new(Rc::clone(self), session, id, signals)
    }

    /// Calls `change` on a session's tunnel, if it lives, and has the hub look at it afterwards.
    pub(crate) fn with_tunnel<R>(&self, id: SessionId, change: impl FnOnce(&mut Tunnel) -> R) -> Option<R> {
        let mut state = self.state.borrow_mut();
        let session = state.sessions.get_mut(&id)?;
        let result = change(&mut session.tunnel);
        if state.mark(id) {
            self.marked.notify_one();
        }
        Some(result)
    }

    /// Calls `look` on a session's tunnel, which must not change what it would send.
    pub(crate) fn look_at_tunnel<R>(&self, id: SessionId, look: impl FnOnce(&mut Tunnel) -> R) -> Option<R> {
        self.state.borrow_mut().sessions.get_mut(&id).map(|session| look(&mut session.tunnel))
    }

    pub(crate) fn close_stream(&self, session: SessionId, id: StreamId) {
        let now = self.scratch.clock.now();
        self.with_tunnel(session, |tunnel| tunnel.close_stream(now, id));
        if let Some(session) = self.state.borrow_mut().sessions.get_mut(&session) {
            session.streams.remove(&id);
        }
    }

    /// Ends all streams; what they had taken is still sent.
    pub(crate) fn close_all_streams(&self) {
        let now = self.scratch.clock.now();
        let mut state = self.state.borrow_mut();
        let ids: Vec<SessionId> = state.sessions.keys().copied().collect();
        for id in ids {
            if let Some(session) = state.sessions.get_mut(&id) {
                for (stream, signals) in &session.streams {
                    session.tunnel.close_stream(now, *stream);
                    signals.wake_all();
                }
            }
            state.mark(id);
        }
        self.marked.notify_one();
    }

    /// Drives the sessions until the client's one is over; for ever on a server.
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
        if self.send_unsent(&mut state) {
            state.run_timers(self.scratch.clock.now());
            self.send_marked(&mut state);
        }
        std::mem::take(&mut state.notices)
    }

    /// Until there is something to do.
    async fn wait(&self, mut sleep: Pin<&mut Sleep>) {
        let (next, blocked, marked) = self.state.borrow().waits();
        if marked && !blocked {
            return tokio::task::yield_now().await;
        }
        let timed = next.filter(|_| !blocked);
        if let Some(at) = timed {
            let moment = self.scratch.clock.moment(at);
            // Setting it to an earlier time costs calls of the system, waking once too early less than doing so each time.
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
            batch.for_each(|from, datagram| state.handle(now, from, datagram));
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
            if let Some(unsent) = self.send_all(now, &mut session.tunnel) {
                state.unsent = Some(unsent);
                state.mark(id);
                return;
            }
            state.tell(id);
        }
    }

    /// Everything the tunnel has to send; what is left over when the socket would block.
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

/// The only session of a client's hub.
const CLIENT_SESSION: SessionId = SessionId(0);

impl State {
    fn insert(&mut self, id: SessionId, tunnel: Tunnel) {
        self.census.opened(if self.endpoint.is_some() { Opened::Passive } else { Opened::Active });
        self.sessions.insert(
            id,
            Session {
                tunnel,
                streams: BTreeMap::new(),
                marked: false,
                held: false,
                writers_wait: false,
                armed_at: None,
            },
        );
        self.mark(id);
    }

    fn is_over(&self) -> bool {
        self.endpoint.is_none() && self.sessions.is_empty()
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

    fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        let Some(endpoint) = &mut self.endpoint else {
            return self.handle_as_client(now, from, datagram);
        };
        // Opening happens in place, so what may have to be explained is copied first: a few datagrams of strangers.
        let puzzling =
            self.diagnose.as_ref().is_some_and(|diagnose| !endpoint.knows(from) && diagnose.wants(from));
        let copy = puzzling.then(|| datagram.to_vec());
        // Drops are counted by the endpoint and the tunnel.
        match endpoint.route(now, from, datagram) {
            Route::Session(id, datagram) => self.feed(now, id, datagram),
            Route::Incoming(_) if self.census.is_short() => self.census.refused(),
            Route::Incoming(incoming) => {
                let (id, tunnel) = endpoint.accept(now, incoming);
                self.accepted(id, tunnel);
            }
            Route::Moved(id, incoming) => self.migrate(now, id, incoming),
            Route::Dropped(DropReason::TooManySessions | DropReason::OutOfBand) => {}
            Route::Dropped(_) => {
                if let (Some(diagnose), Some(copy)) = (&mut self.diagnose, copy) {
                    diagnose.judge(from, &copy);
                }
            }
        }
    }

    /// A known conversation from an unknown address: follows it, or takes it for a new one.
    fn migrate(&mut self, now: Instant, id: SessionId, incoming: Incoming<'_>) {
        let from = incoming.from;
        let Some(endpoint) = &mut self.endpoint else { return };
        let result = match self.sessions.get_mut(&id) {
            Some(session) => session.tunnel.migrate(now, incoming),
            None => Err(incoming),
        };
        match result {
            Ok(()) => {
                endpoint.moved(id, from);
                self.mark(id);
            }
            Err(incoming) if incoming.starts_session() && !endpoint.is_full() && !self.census.is_short() => {
                let (id, tunnel) = endpoint.accept(now, incoming);
                self.accepted(id, tunnel);
            }
            Err(_) => {}
        }
    }

    /// CLI-21
    fn handle_as_client(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        if self.sessions.get(&CLIENT_SESSION).is_some_and(|session| session.tunnel.peer() == from) {
            self.feed(now, CLIENT_SESSION, datagram);
        } else {
            self.census.refused();
        }
    }

    fn feed(&mut self, now: Instant, id: SessionId, datagram: &mut [u8]) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let handled = session.tunnel.handle_datagram(now, datagram);
        if let Handled::Reopen(incoming) = handled {
            session.tunnel.close(now, CloseReason::Replaced);
            if let Some(endpoint) = &mut self.endpoint {
                let (id, tunnel) = endpoint.accept(now, incoming);
                self.accepted(id, tunnel);
            }
        }
        self.mark(id);
    }

    fn accepted(&mut self, id: SessionId, tunnel: Tunnel) {
        self.notices.push(Notice::Accepted(tunnel.peer()));
        self.insert(id, tunnel);
    }

    fn run_timers(&mut self, now: Instant) {
        while let Some(&(at, id)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            if let Some(session) = self.sessions.get_mut(&id) {
                session.armed_at = None;
                session.tunnel.handle_timeout(now);
                self.mark(id);
            }
        }
    }

    /// Passes a session's events on and re-arms its timer; the end of the contract's round.
    fn tell(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let mut ended = None;
        while let Some(event) = session.tunnel.poll_event() {
            match event {
                Event::Opened(stream) => self.notices.push(Notice::Opened(id, stream)),
                Event::Closed(reason) => ended = Some(reason),
                event => session.signal(event),
            }
        }
        if let Some(reason) = ended {
            return self.end(id, reason);
        }
        let next = session.tunnel.poll_timeout().map(|deadline| deadline.at);
        if next != session.armed_at {
            let before = std::mem::replace(&mut session.armed_at, next);
            self.timers.extend(next.map(|at| (at, id)));
            before.map(|at| self.timers.remove(&(at, id)));
        }
    }

    /// CLI-24
    fn end(&mut self, id: SessionId, reason: CloseReason) {
        let Some(session) = self.sessions.remove(&id) else { return };
        session.streams.values().for_each(|signals| signals.wake_all());
        session.armed_at.map(|at| self.timers.remove(&(at, id)));
        self.census.ended(session.tunnel.stats());
        if let Some(endpoint) = &mut self.endpoint {
            endpoint.retire(id);
        }
        self.notices.push(Notice::Ended(session.tunnel.peer(), reason, session.tunnel.mismatch()));
    }
}

impl Session {
    fn signal(&self, event: Event) {
        let signals = |id| self.streams.get(id);
        match &event {
            Event::Readable(id) | Event::Finished(id) => {
                signals(id).inspect(|signals| signals.readable.notify_one());
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
