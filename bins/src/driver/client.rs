//! karst-client: local connections in, streams out (CLI-20).

use super::census::Census;
use super::detected;
use super::hub::{Hub, Notice, Scratch};
use super::pipe::{Limits, pipe};
use super::stop::{self, Stop};
use super::stream::Stream;
use crate::config::{Config, Given};
use crate::log::log_line;
use crate::net::address::{PortRange, resolve};
use crate::net::network::Network;
use crate::net::udp::SocketOptions;
use crate::net::wire::{Listener, Wire};
use engine::client::{Slot, StreamFormat};
use engine::mux::Dialect::Smux;
use engine::{
    Choice, ClientLimits, CloseReason, Entropy, Mismatch, Retired, SessionId, Tunnel, TunnelConfig,
};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, sleep, sleep_until};

/// Pause after a failed dial, and after a failed accept.
const RETRY: Duration = Duration::from_secs(1);

/// Interval at which a connection that waits for memory checks for it.
const MEMORY_STEP: Duration = Duration::from_millis(20);

/// How long one of several addresses may take to answer.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(3);

/// How long a connection whose application has ended its direction waits for the server.
const LEFT_MAX: Duration = Duration::from_secs(30);

/// Idle timeout of a half-closed connection toward kcptun's server.
const REST: Duration = Duration::from_secs(30);

/// When a server that never answered is reported, and one that acknowledges but never sends stream data. The latter waits
/// for the keepalives of a healthy server, which come every ten seconds.
const SILENCE_REPORT: Duration = Duration::from_secs(5);
const STREAM_REPORT: Duration = Duration::from_secs(25);

/// The sockets of the live sessions.
type Hubs = Rc<RefCell<BTreeMap<SessionId, Rc<Hub>>>>;

pub(crate) struct Client {
    network: Rc<dyn Network>,
    scratch: Rc<Scratch>,
    sessions: Rc<RefCell<engine::Client>>,
    hubs: Hubs,
    /// A session was dialled or ended, or a trial did, which may have changed a deadline.
    changed: Notify,
    /// Held by the stream that chooses its session.
    turn: Mutex<()>,
    /// As `changed`, for that stream.
    choice_changed: Notify,
    remote: PortRange,
    socket_options: SocketOptions,
    own: StreamFormat,
    quiet: bool,
    crypt: &'static str,
    /// The client finds out the server's smux version and compression.
    detects: bool,
    limits: Limits,
    entropy: RefCell<Entropy>,
    /// Dials that got no answer while the server's name had other addresses.
    unanswered: Rc<Cell<usize>>,
    /// It was logged that nothing listens, and no session was accepted since.
    refusal_named: Cell<bool>,
}

impl Client {
    pub(crate) fn new(
        network: Rc<dyn Network>,
        config: &Config,
        given: &Given,
        remote: PortRange,
        tunnel_config: TunnelConfig,
        entropy: Entropy,
    ) -> Rc<Self> {
        let seconds = |value: i64| Duration::from_secs(u64::try_from(value).unwrap_or(0));
        let limits = ClientLimits {
            slots: usize::try_from(config.program.conn).unwrap_or(1),
            lifetime: Some(seconds(config.program.autoexpire)).filter(|lifetime| !lifetime.is_zero()),
            grace: seconds(config.program.scavengettl),
        };
        let own = tunnel_config.stream_format();
        let detects = tunnel_config.probe && tunnel_config.mux.dialect == Smux;
        let mut sessions = engine::Client::new(Arc::new(tunnel_config), limits);
        if detects {
            sessions.detect(detected::given(given));
        }
        Rc::new(Self {
            network,
            scratch: Scratch::new(),
            sessions: Rc::new(RefCell::new(sessions)),
            hubs: Hubs::default(),
            changed: Notify::new(),
            turn: Mutex::new(()),
            choice_changed: Notify::new(),
            remote,
            socket_options: config.socket_options(),
            own,
            quiet: config.program.quiet,
            entropy: RefCell::new(entropy),
            unanswered: Rc::default(),
            refusal_named: Cell::default(),
            crypt: config.settings.crypt.name(),
            detects,
            limits: Limits { hold_end: seconds(config.program.closewait), rest: REST },
        })
    }

    /// The sessions' counters.
    pub(crate) fn census(&self) -> &Rc<Census> {
        &self.scratch.census
    }

    /// Forwards until the program is stopped.
    pub(crate) async fn run(self: &Rc<Self>, listener: Listener, mut stop: Stop) {
        tokio::select! {
            biased;
            () = stop.requested() => {}
            () = self.accept_all(&listener) => {}
            () = self.scavenge() => {}
        }
        drop(listener);
        let hubs: Vec<Rc<Hub>> = self.hubs.borrow().values().cloned().collect();
        tokio::select! {
            biased;
            () = stop.requested() => {}
            () = stop::drain(&self.scratch, &hubs) => {}
        }
    }

    async fn accept_all(self: &Rc<Self>, listener: &Listener) {
        loop {
            let wire = self.accept(listener).await;
            while self.census().is_short() {
                sleep(MEMORY_STEP).await;
            }
            tokio::task::spawn_local(Rc::clone(self).serve(wire));
        }
    }

    /// Forwards a connection, which waits for the server as long as its application does (CLI-101).
    async fn serve(self: Rc<Self>, wire: Wire) {
        let session = tokio::select! {
            biased;
            session = self.session() => session,
            () = wire.left(LEFT_MAX) => {
                return log_line!("closed before the server answered: {wire}");
            }
            _ = self.scratch.stopping.began() => return,
        };
        let Some((hub, session)) = session else {
            return log_line!("refused: {wire}: the options of the server differ");
        };
        match hub.open_stream(session) {
            Ok(stream) => forward(stream, wire, self.quiet, self.limits).await,
            Err(error) => log_line!("open stream: {error} in: {wire}"),
        }
    }

    async fn accept(&self, listener: &Listener) -> Wire {
        loop {
            match listener.accept().await {
                Ok(wire) => return wire,
                Err(error) => log_line!("accept: {error}"),
            }
            sleep(RETRY).await;
        }
    }

    /// The session for the next stream; dials until there is one. `None` if the stream has to be refused.
    async fn session(self: &Rc<Self>) -> Option<(Rc<Hub>, SessionId)> {
        // One at a time, in the order of arrival.
        let _turn = self.turn.lock().await;
        loop {
            let choice = self.sessions.borrow_mut().choose(self.scratch.clock.now());
            match choice {
                Choice::Session(id) => {
                    let hub = self.hubs.borrow().get(&id).cloned();
                    return Some((hub.expect("a session ends with its socket"), id));
                }
                Choice::Wait => self.choice_changed.notified().await,
                Choice::Refuse => return None,
                Choice::Dial(slot) => {
                    if let Err(error) = self.dial(slot).await {
                        log_line!("re-connecting: dial(): {}: {error}", self.remote.host);
                        sleep(RETRY).await;
                    }
                }
            }
        }
    }

    async fn dial(self: &Rc<Self>, slot: Slot) -> io::Result<()> {
        let mut entropy = self.entropy.borrow_mut().fork();
        let port = self.remote.min + u16::try_from(entropy.next_u64() % self.remote.count()).unwrap_or(0);
        let addresses = resolve(&self.remote.host, port).await?;
        let to = addresses[self.unanswered.get() % addresses.len()];
        let any: SocketAddr = match to {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = self.network.bind_udp(any, self.socket_options)?;
        let session = self.sessions.borrow_mut().dial(self.scratch.clock.now(), slot, to, entropy);
        let hub = Hub::client(&self.scratch, socket, &self.sessions, session);
        let smux_version = self.sessions.borrow().stream_format().smux_version;
        log_line!("smux version: {smux_version} on connection: {} -> {to}", hub.local_addr());
        self.hubs.borrow_mut().insert(session, Rc::clone(&hub));
        tokio::task::spawn_local(Rc::clone(self).drive(Rc::clone(&hub), session));
        self.drain_retired();
        self.changed.notify_one();
        if addresses.len() > 1 {
            let give_up = give_up_silent(Rc::downgrade(&hub), session, to, Rc::clone(&self.unanswered));
            tokio::task::spawn_local(give_up);
        }
        tokio::task::spawn_local(report_silence(Rc::downgrade(&hub), session, to, self.crypt));
        if !self.detects {
            tokio::task::spawn_local(report_no_stream_data(Rc::downgrade(&hub), session, to, self.own));
        }
        Ok(())
    }

    /// Checks replaced sessions while there are any.
    async fn scavenge(&self) {
        let clock = self.scratch.clock;
        loop {
            let next = self.sessions.borrow().poll_timeout();
            match next {
                // A session that is dialled meanwhile may have an earlier deadline.
                Some(deadline) => tokio::select! {
                    () = sleep_until(clock.moment(deadline.at)) => {}
                    () = self.changed.notified() => {}
                },
                None => self.changed.notified().await,
            }
            self.sessions.borrow_mut().handle_timeout(clock.now());
            self.drain_retired();
            self.choice_changed.notify_one();
        }
    }

    /// Drains the sessions that the engine's client closed.
    fn drain_retired(&self) {
        while let Some((id, why)) = { self.sessions.borrow_mut().poll_retired() } {
            let Some(hub) = self.hubs.borrow().get(&id).cloned() else { continue };
            match why {
                Retired::Unused => log_line!("scavenger: session normally closed: {}", hub.local_addr()),
                Retired::Expired => log_line!("scavenger: session closed due to ttl: {}", hub.local_addr()),
                _ => {}
            }
            hub.with_tunnel(id, |_| ());
        }
    }

    /// Drives a session to its end.
    async fn drive(self: Rc<Self>, hub: Rc<Hub>, session: SessionId) {
        hub.run(|hub, notice| self.on_notice(hub, notice)).await;
        self.hubs.borrow_mut().remove(&session);
        self.trial_ended();
    }

    /// CLI-18
    fn on_notice(&self, hub: &Rc<Hub>, notice: Notice) {
        match notice {
            // Servers open no streams, kcptun's neither.
            Notice::Opened(session, id) => hub.reset_stream(session, id),
            Notice::Ended(peer, CloseReason::Refused, _) => {
                self.unanswered.set(self.unanswered.get() + 1);
                if !self.refusal_named.replace(true) {
                    log_line!(
                        "session {} -> {peer} closed: {}: new connections wait",
                        hub.local_addr(),
                        CloseReason::Refused
                    );
                }
            }
            Notice::Ended(peer, reason, mismatch) => {
                // What a rejection means is known once the server accepted another format.
                if !matches!(reason, CloseReason::Local | CloseReason::Rejected) {
                    let why = Why(reason, mismatch);
                    log_line!("session {} -> {peer} closed: {why}", hub.local_addr());
                }
                self.report_verdicts(peer);
            }
            Notice::Passed(session) => {
                self.refusal_named.set(false);
                if let Some(peer) = hub.peer(session) {
                    self.report_verdicts(peer);
                }
                self.trial_ended();
            }
            Notice::Accepted(_) => {}
        }
    }

    fn trial_ended(&self) {
        self.changed.notify_one();
        self.choice_changed.notify_one();
    }

    fn report_verdicts(&self, peer: SocketAddr) {
        while let Some(verdict) = { self.sessions.borrow_mut().poll_verdict() } {
            if let Some(line) = detected::line(peer, self.own, verdict) {
                log_line!("{line}");
            }
        }
    }
}

/// Why a session ended, for the log.
pub(super) struct Why(pub(super) CloseReason, pub(super) Option<Mismatch>);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(mismatch) => write!(f, "{} ({mismatch})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Closes a session whose server does not answer while its name has other addresses: the next dial takes the next one
/// (CLI-53).
async fn give_up_silent(hub: Weak<Hub>, session: SessionId, to: SocketAddr, unanswered: Rc<Cell<usize>>) {
    loop {
        sleep(ADDRESS_PATIENCE).await;
        let Some(hub) = hub.upgrade() else { return };
        let now = hub.scratch.clock.now();
        let silence = hub.look_at_tunnel(session, |tunnel| (tunnel.was_heard(), tunnel.silent_for(now)));
        match silence {
            // A session that has sent nothing was not refused an answer.
            Some((false, silent_for)) if silent_for < ADDRESS_PATIENCE / 2 => {}
            Some((false, _)) => {
                log_line!(
                    "no answer from {to} for {} s, trying the next address",
                    ADDRESS_PATIENCE.as_secs()
                );
                unanswered.set(unanswered.get() + 1);
                return hub.close_session(session, CloseReason::Local);
            }
            Some((true, _)) | None => return,
        }
    }
}

/// Interval at which a session is checked for silence.
const SILENCE_STEP: Duration = Duration::from_millis(500);

/// Logs that a server is silent, with what to check if it never answered (CLI-50), and that it answers again. kcptun's silence is the same for every mistake.
async fn report_silence(hub: Weak<Hub>, session: SessionId, to: SocketAddr, crypt: &str) {
    let mut reported = None;
    loop {
        let slept_from = Instant::now();
        sleep(SILENCE_STEP).await;
        let Some(hub) = hub.upgrade() else { return };
        let now = hub.scratch.clock.now();
        let seen = hub.look_at_tunnel(session, |tunnel| (tunnel.was_heard(), tunnel.silent_for(now)));
        let Some((heard, silent_for)) = seen else { return };
        // After a pause of this process, answers may wait to be read.
        if slept_from.elapsed() > 2 * SILENCE_STEP {
            continue;
        }
        match reported {
            None if silent_for >= SILENCE_REPORT => {
                reported = Some(slept_from - silent_for);
                let seconds = SILENCE_REPORT.as_secs();
                match heard {
                    true => log_line!("no answer from {to} for {seconds} s: new connections wait for it"),
                    false => log_line!(
                        "no answer from {to} for {seconds} s. This side uses --crypt {crypt}. Check that a server listens there, \
                         that UDP gets through, and that --key and --crypt are the same on both sides"
                    ),
                }
            }
            Some(since) if silent_for < SILENCE_STEP => {
                log_line!("{to} answers again after {} s", since.elapsed().as_secs());
                reported = None;
            }
            _ => {}
        }
    }
}

/// The same for a server that acknowledges but never sends stream data, where the client does not find out more.
async fn report_no_stream_data(hub: Weak<Hub>, session: SessionId, to: SocketAddr, own: StreamFormat) {
    sleep(STREAM_REPORT).await;
    let seen = |tunnel: &mut Tunnel| (tunnel.was_heard(), tunnel.stats().bytes_received > 0);
    if hub.upgrade().and_then(|hub| hub.look_at_tunnel(session, seen)) == Some((true, false)) {
        log_line!(
            "{to} acknowledges but sends no stream data. This side uses {}. Check that --nocomp and --smuxver are the same on \
             both sides",
            detected::options(own)
        );
    }
}

async fn forward(stream: Stream, wire: Wire, quiet: bool, limits: Limits) {
    let label = stream.label();
    if !quiet {
        log_line!("stream opened in: {wire} out: {label}");
    }
    let result = pipe(&stream, &wire, limits).await;
    if !quiet {
        if let Err(error) = &result {
            log_line!("pipe: {error} in: {wire} out: {label}");
        }
        log_line!("stream closed in: {wire} out: {label}");
    }
}
