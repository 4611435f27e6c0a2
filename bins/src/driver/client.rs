//! karst-client: local connections in, streams out (CLI-20).

use super::census::Census;
use super::detected;
use super::hub::{Hub, Notice, Scratch};
use super::pipe::{Limits, PipeError, pipe};
use super::proxy::{self, Opener, Proxy};
use super::stop::{self, Stop};
use super::stream::Stream;
use crate::config::{Config, Given};
use crate::datagrams::Carrier;
use crate::datagrams::SocketOptions;
use crate::log::{log_event, log_limited};
use crate::net::address::{PortRange, resolve};
use crate::net::network::Network;
use crate::net::wire::{Listener, Wire};
use crate::platform::forged;
use crate::proxy::Ser;
use engine::Verdict;
use engine::client::{Slot, StreamFormat};
use engine::forged::Variant;
use engine::mux::{Dialect, ReadError};
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
    /// Of forged TCP, instead of UDP.
    forged: Option<(Variant, forged::Settings)>,
    dialect: Dialect,
    quiet: bool,
    crypt: &'static str,
    qpp: bool,
    /// The client finds out the server's smux version and compression.
    detects: bool,
    limits: Limits,
    entropy: RefCell<Entropy>,
    proxy: Proxy,
    /// Dials that got no answer while the server's name had other addresses.
    unanswered: Rc<Cell<usize>>,
    /// It was logged that nothing listens, and no session was accepted since.
    refusal_named: Cell<bool>,
    /// What was logged as detected.
    detected: Cell<Option<StreamFormat>>,
}

impl Client {
    pub(crate) fn new(
        network: Rc<dyn Network>,
        config: &Config,
        given: &Given,
        remote: PortRange,
        forged: Option<forged::Settings>,
        tunnel_config: TunnelConfig,
        entropy: Entropy,
    ) -> Rc<Self> {
        let seconds = |value: i64| Duration::from_secs(u64::try_from(value).unwrap_or(0));
        let dialect = tunnel_config.mux.dialect;
        let pipe_limits = Limits { hold_end: seconds(config.program.closewait), rest: REST };
        let limits = ClientLimits {
            slots: usize::try_from(config.program.conn).unwrap_or(1),
            lifetime: Some(seconds(config.program.autoexpire)).filter(|lifetime| !lifetime.is_zero()),
            grace: seconds(config.program.scavengettl),
        };
        let own = tunnel_config.stream_format();
        let detects = tunnel_config.probe && dialect == Dialect::Smux;
        let mut sessions = engine::Client::new(Arc::new(tunnel_config), limits);
        if detects {
            sessions.detect(detected::given(given));
        }
        Rc::new(Self {
            network,
            scratch: Scratch::new(config.pipe_bytes()),
            sessions: Rc::new(RefCell::new(sessions)),
            hubs: Hubs::default(),
            changed: Notify::new(),
            turn: Mutex::new(()),
            choice_changed: Notify::new(),
            remote,
            socket_options: config.socket_options(),
            own,
            forged: config.program.tcp.variant().zip(forged),
            dialect,
            quiet: config.program.quiet,
            entropy: RefCell::new(entropy),
            unanswered: Rc::default(),
            refusal_named: Cell::default(),
            detected: Cell::default(),
            crypt: config.settings.crypt.name(),
            qpp: config.settings.qpp,
            detects,
            limits: pipe_limits,
            proxy: Proxy {
                ser: config.program.ser,
                auth: Some(config.program.ser_auth.clone()).filter(|auth| !auth.is_empty()),
                limits: pipe_limits,
            },
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
        if self.proxy.ser != Ser::Raw {
            return serve_proxy(self, wire).await;
        }
        let session = tokio::select! {
            biased;
            session = self.session() => session,
            () = wire.left(LEFT_MAX) => {
                return log_event!(Debug, "connection_left", [local = wire], "closed before the server answered: {wire}");
            }
            _ = self.scratch.stopping.began() => return,
        };
        let Some((hub, session)) = session else {
            log_limited!(
                self.remote.host,
                Warn,
                "connection_refused",
                [local = wire],
                "refused: {wire}: the options of the server differ"
            );
            return;
        };
        match hub.open_stream(session) {
            Ok(stream) => forward(stream, wire, self.quiet, self.limits).await,
            Err(error) => {
                log_event!(
                    Warn,
                    "stream_failed",
                    [local = wire, reason = error],
                    "open stream: {error} in: {wire}"
                );
            }
        }
    }

    async fn accept(&self, listener: &Listener) -> Wire {
        loop {
            match listener.accept().await {
                Ok(wire) => return wire,
                Err(error) => {
                    log_limited!(listener, Error, "accept_failed", [reason = error], "accept: {error}")
                }
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
                        let host = &self.remote.host;
                        log_limited!(
                            host,
                            Warn,
                            "dial_failed",
                            [host = host, reason = error],
                            "re-connecting: dial(): {host}: {error}"
                        );
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
        let socket = match &self.forged {
            Some((variant, settings)) => self.network.forge(to, *variant, settings, entropy.fork())?,
            None => self.network.bind_udp(any, self.socket_options)?,
        };
        let session = self.sessions.borrow_mut().dial(self.scratch.clock.now(), slot, to, entropy);
        let hub = Hub::client(&self.scratch, socket, &self.sessions, session);
        self.log_dialled(&hub, session, to);
        self.hubs.borrow_mut().insert(session, Rc::clone(&hub));
        tokio::task::spawn_local(Rc::clone(self).drive(Rc::clone(&hub), session));
        self.drain_retired();
        self.changed.notify_one();
        if addresses.len() > 1 {
            let give_up = give_up_silent(Rc::downgrade(&hub), session, to, Rc::clone(&self.unanswered));
            tokio::task::spawn_local(give_up);
        }
        tokio::task::spawn_local(report_silence(Rc::downgrade(&hub), session, to, self.crypt, self.qpp));
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
                Retired::Unused => log_event!(
                    Info,
                    "session_closed",
                    [session = id.0, reason = "unused"],
                    "scavenger: session normally closed: {}",
                    hub.local_addr()
                ),
                Retired::Expired => log_event!(
                    Info,
                    "session_closed",
                    [session = id.0, reason = "expired"],
                    "scavenger: session closed due to ttl: {}",
                    hub.local_addr()
                ),
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
                    let (local, why) = (hub.local_addr(), CloseReason::Refused);
                    let hint = match hub.carrier(peer) {
                        Carrier::Udp => "",
                        _ => " (does it run with --tcp?)",
                    };
                    log_event!(
                        Warn,
                        "session_failed",
                        [peer = peer, local = local, reason = why],
                        "session {local} -> {peer} closed: {why}{hint}: new connections wait"
                    );
                }
            }
            Notice::Ended(peer, reason @ CloseReason::Pads, mismatch) => {
                let why = Why(reason, mismatch);
                log_limited!(
                    peer.ip(),
                    Error,
                    "mismatch",
                    [peer = peer, reason = why],
                    "mismatch: {peer}: {why}"
                );
                self.report_verdicts(peer);
            }
            Notice::Ended(peer, reason, mismatch) => {
                // What a rejection means is known once the server accepted another format.
                if !matches!(reason, CloseReason::Local | CloseReason::Rejected) {
                    let why = Why(reason, mismatch);
                    let local = hub.local_addr();
                    let hint = self.mux_hint(reason, mismatch);
                    log_limited!(
                        peer.ip(),
                        Warn,
                        "session_failed",
                        [peer = peer, local = local, reason = why],
                        "session {local} -> {peer} closed: {why}{hint}"
                    );
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
            Notice::Accepted(_) | Notice::Spoken(..) => {}
        }
    }

    /// A server ends a session whose multiplexer is not its own as if it had forgotten it (MUX-1). A client finds out versions of
    /// smux only.
    fn mux_hint(&self, reason: CloseReason, mismatch: Option<Mismatch>) -> String {
        match (reason, mismatch, self.dialect) {
            (CloseReason::PeerRestarted, None, dialect) if dialect != Dialect::Smux => {
                format!(", or it does not have --mux {}", dialect.name())
            }
            _ => String::new(),
        }
    }

    fn trial_ended(&self) {
        self.changed.notify_one();
        self.choice_changed.notify_one();
    }

    /// CLI-18; a server that is down is dialled every few seconds.
    fn log_dialled(&self, hub: &Hub, session: SessionId, to: SocketAddr) {
        let smux_version = self.sessions.borrow().stream_format().smux_version;
        let local = hub.local_addr();
        let text = format!("{} on connection: {local} -> {to}", mux_words(self.dialect, smux_version));
        let on_trial = hub.look_at_tunnel(session, |tunnel| tunnel.on_trial());
        match on_trial {
            Some(true) => log_limited!(
                to,
                Debug,
                "trial_dialled",
                [peer = to, local = local, session = session.0, smux = smux_version],
                "{text}"
            ),
            _ => log_event!(
                Info,
                "session_dialled",
                [peer = to, local = local, session = session.0, smux = smux_version],
                "{text}"
            ),
        }
    }

    fn report_verdicts(&self, peer: SocketAddr) {
        while let Some(verdict) = { self.sessions.borrow_mut().poll_verdict() } {
            if let Some(line) = detected::line(peer, self.own, verdict) {
                match verdict {
                    // After each outage the server is tried again.
                    Verdict::Accepted(format) if self.detected.replace(Some(format)) == Some(format) => {}
                    Verdict::Accepted(_) => log_event!(Warn, "detected", [peer = peer], "{line}"),
                    _ => log_limited!(peer.ip(), Error, "mismatch", [peer = peer], "{line}"),
                }
            }
        }
    }
}

/// Multiplexer and version as start-up and sessions log it.
pub(super) fn mux_words(dialect: Dialect, version: u8) -> String {
    match dialect {
        Dialect::Smux => format!("smux version: {version}"),
        other => format!("mux: {}", other.name()),
    }
}

/// Why a session ended, for the log.
pub(super) struct Why(pub(super) CloseReason, pub(super) Option<Mismatch>);

impl Why {
    /// Whether the options of both sides differ, or the peer broke the protocol.
    pub(super) const fn is_failure(&self) -> bool {
        self.1.is_some() || matches!(self.0, CloseReason::Protocol | CloseReason::Corrupt)
    }
}

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
                log_limited!(
                    to,
                    Warn,
                    "no_answer",
                    [peer = to],
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
async fn report_silence(hub: Weak<Hub>, session: SessionId, to: SocketAddr, crypt: &str, qpp: bool) {
    let (mut reported, mut heard_steps) = (None, 0);
    loop {
        let slept_from = Instant::now();
        sleep(SILENCE_STEP).await;
        let Some(hub) = hub.upgrade() else { return };
        let now = hub.scratch.clock.now();
        let Some(seen) = hub.look_at_tunnel(session, |tunnel| Seen::of(tunnel, now)) else { return };
        heard_steps += u32::from(seen.heard && !seen.on_trial);
        if heard_steps == 1 && !seen.is_identified() {
            // Its first stream data may be on its way.
        } else if (1..=2).contains(&heard_steps) {
            heard_steps = 3;
            seen.log_connected(to, session, hub.carrier(to));
            if qpp && !seen.is_karst {
                log_limited!(
                    to.ip(),
                    Warn,
                    "qpp_unknown",
                    [peer = to],
                    "{to} does not state its --QPP: unless it has the same --QPPCount, its target receives scrambled bytes"
                );
            }
        }
        // After a pause of this process, answers may wait to be read.
        if slept_from.elapsed() > 2 * SILENCE_STEP {
            continue;
        }
        let silent_for = seen.silent_for;
        match reported {
            None if silent_for >= SILENCE_REPORT => {
                reported = Some(slept_from - silent_for);
                log_silence(to, seen.heard, crypt, hub.advice());
            }
            Some(since) if silent_for < SILENCE_STEP => {
                let silence = since.elapsed();
                log_event!(
                    Info,
                    "answers_again",
                    [peer = to, session = session.0, silent_s = silence.as_secs()],
                    "{to} answers again after {} s",
                    silence.as_secs()
                );
                reported = None;
            }
            _ => {}
        }
    }
}

fn log_silence(to: SocketAddr, heard: bool, crypt: &str, advice: &str) {
    let seconds = SILENCE_REPORT.as_secs();
    match heard {
        true => log_limited!(
            to,
            Warn,
            "silence",
            [peer = to],
            "no answer from {to} for {seconds} s: new connections wait for it"
        ),
        false => log_limited!(
            to,
            Warn,
            "no_answer",
            [peer = to, crypt = crypt],
            "no answer from {to} for {seconds} s. This side uses --crypt {crypt}. Check that a server listens there, {advice}, \
             and that --key and --crypt are the same on both sides"
        ),
    }
}

/// What a session's tunnel shows of the server.
struct Seen {
    heard: bool,
    on_trial: bool,
    stream_bytes: bool,
    is_karst: bool,
    /// Dialect, and version if it is smux.
    spoken: Option<(Dialect, u8)>,
    rtt_ms: i32,
    silent_for: Duration,
}

impl Seen {
    fn of(tunnel: &Tunnel, now: engine::Instant) -> Self {
        Self {
            heard: tunnel.was_heard(),
            on_trial: tunnel.on_trial(),
            stream_bytes: tunnel.stats().bytes_received > 0,
            is_karst: tunnel.peer_half_closes(),
            spoken: tunnel.spoken(),
            rtt_ms: tunnel.arq().state().srtt_ms,
            silent_for: tunnel.silent_for(now),
        }
    }

    /// karst announces itself with its first stream data.
    const fn is_identified(&self) -> bool {
        self.stream_bytes || self.is_karst
    }

    /// CLI-105
    fn log_connected(&self, to: SocketAddr, session: SessionId, carrier: Carrier) {
        let server = if self.is_karst { "karst" } else { "kcptun" };
        let rtt_ms = self.rtt_ms;
        let (dialect, version) = self.spoken.unwrap_or_default();
        let mux = match dialect {
            Dialect::Smux => format!("smux={version}"),
            other => format!("mux={}", other.name()),
        };
        log_event!(
            Info,
            "connected",
            [
                peer = to,
                session = session.0,
                server = server,
                rtt_ms = rtt_ms,
                mux = dialect.name(),
                smux = version,
                carrier = carrier
            ],
            "connected to {to}: rtt={rtt_ms} ms server={server} {mux} carrier={carrier}"
        );
    }
}

/// The same for a server that acknowledges but never sends stream data, where the client does not find out more.
async fn report_no_stream_data(hub: Weak<Hub>, session: SessionId, to: SocketAddr, own: StreamFormat) {
    sleep(STREAM_REPORT).await;
    let seen = |tunnel: &mut Tunnel| (tunnel.was_heard(), tunnel.stats().bytes_received > 0);
    if hub.upgrade().and_then(|hub| hub.look_at_tunnel(session, seen)) == Some((true, false)) {
        log_event!(
            Warn,
            "no_stream_data",
            [peer = to],
            "{to} acknowledges but sends no stream data. This side uses {}. Check that --nocomp and --smuxver are the same on \
             both sides",
            detected::options(own)
        );
    }
}

impl Opener for Rc<Client> {
    async fn open(&self) -> Option<Stream> {
        let (hub, session) = self.session().await?;
        let opened = hub.open_stream(session);
        opened
            .inspect_err(|error| log_event!(Warn, "stream_failed", [reason = error], "open stream: {error}"))
            .ok()
    }
}

/// Serves an application of the proxy.
async fn serve_proxy(client: Rc<Client>, wire: Wire) {
    if !client.quiet {
        log_event!(Info, "proxy_opened", [local = wire], "proxy opened in: {wire}");
    }
    let result = proxy::serve(&client.proxy, &client, &wire).await;
    if !client.quiet {
        if let Err(error) = &result {
            log_event!(Warn, "proxy_failed", [local = wire, reason = error], "proxy: {error} in: {wire}");
        }
        log_event!(Info, "proxy_closed", [local = wire], "proxy closed in: {wire}");
    }
}

async fn forward(stream: Stream, wire: Wire, quiet: bool, limits: Limits) {
    let label = stream.label();
    if !quiet {
        log_event!(
            Debug,
            "stream_opened",
            [local = wire, stream = label],
            "stream opened in: {wire} out: {label}"
        );
    }
    let result = pipe(&stream, &wire, limits).await;
    if matches!(result, Err(PipeError::Read(ReadError::Reset))) && !stream.has_received() {
        let server = label.split('(').next().unwrap_or_default();
        log_limited!(
            server,
            Warn,
            "target_refused",
            [local = wire, stream = label, peer = server],
            "{server} could not connect to its target, or that closed at once: its log has the reason; in: {wire} out: {label}"
        );
    }
    if !quiet {
        if let Err(error) = &result {
            log_event!(
                Debug,
                "stream_failed",
                [local = wire, stream = label, reason = error],
                "pipe: {error} in: {wire} out: {label}"
            );
        }
        log_event!(
            Debug,
            "stream_closed",
            [local = wire, stream = label],
            "stream closed in: {wire} out: {label}"
        );
    }
}
