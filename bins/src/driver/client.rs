//! karst-client: local connections in, streams out (CLI-20).

use super::census::Census;
use super::hub::{Hub, Notice, Scratch};
use super::pipe::{Limits, pipe};
use super::stop::{self, Stop};
use super::stream::Stream;
use crate::config::Config;
use crate::log::log_line;
use crate::net::address::{PortRange, resolve};
use crate::net::network::Network;
use crate::net::udp::SocketOptions;
use crate::net::wire::{Listener, Wire};
use engine::client::Slot;
use engine::{Choice, ClientLimits, CloseReason, Entropy, Mismatch, Retired, SessionId, TunnelConfig};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, sleep_until};

/// Pause after a failed dial, and after a failed accept.
const RETRY: Duration = Duration::from_secs(1);

/// Interval at which a connection that waits for memory checks for it.
const MEMORY_STEP: Duration = Duration::from_millis(20);

/// How long one of several addresses may take to answer.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(3);

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
    /// A session was dialled, which may have replaced one.
    dialled: Notify,
    remote: PortRange,
    socket_options: SocketOptions,
    smuxver: i64,
    quiet: bool,
    /// The options that must be equal on both sides, for the log line about a silent server.
    flags: String,
    limits: Limits,
    entropy: RefCell<Entropy>,
    /// Dials that got no answer while the server's name had other addresses.
    unanswered: Rc<Cell<usize>>,
}

impl Client {
    pub(crate) fn new(
        network: Rc<dyn Network>,
        config: &Config,
        remote: PortRange,
        tunnel_config: TunnelConfig,
        entropy: Entropy,
    ) -> Self {
        let seconds = |value: i64| Duration::from_secs(u64::try_from(value).unwrap_or(0));
        let limits = ClientLimits {
            slots: usize::try_from(config.program.conn).unwrap_or(1),
            lifetime: Some(seconds(config.program.autoexpire)).filter(|lifetime| !lifetime.is_zero()),
            grace: seconds(config.program.scavengettl),
        };
        Self {
            network,
            scratch: Scratch::new(),
            sessions: Rc::new(RefCell::new(engine::Client::new(Arc::new(tunnel_config), limits))),
            hubs: Hubs::default(),
            dialled: Notify::new(),
            remote,
            socket_options: config.socket_options(),
            smuxver: config.settings.smuxver,
            quiet: config.program.quiet,
            entropy: RefCell::new(entropy),
            unanswered: Rc::default(),
            flags: format!(
                "--crypt {} --smuxver {}{}{}",
                config.settings.crypt.name(),
                config.settings.smuxver,
                if config.settings.nocomp { " --nocomp" } else { "" },
                if config.settings.qpp { " --QPP" } else { "" },
            ),
            limits: Limits { hold_end: seconds(config.program.closewait), rest: REST },
        }
    }

    /// The sessions' counters.
    pub(crate) fn census(&self) -> &Rc<Census> {
        &self.scratch.census
    }

    /// Forwards until the program is stopped.
    pub(crate) async fn run(&self, listener: Listener, mut stop: Stop) {
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

    async fn accept_all(&self, listener: &Listener) {
        loop {
            let wire = self.accept(listener).await;
            while self.census().is_short() {
                sleep(MEMORY_STEP).await;
            }
            let (hub, session) = self.session().await;
            match hub.open_stream(session) {
                Ok(stream) => {
                    tokio::task::spawn_local(forward(stream, wire, self.quiet, self.limits));
                }
                Err(error) => log_line!("open stream: {error} in: {wire}"),
            }
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

    /// The session for the next stream; dials until there is one.
    async fn session(&self) -> (Rc<Hub>, SessionId) {
        let choice = self.sessions.borrow_mut().choose(self.scratch.clock.now());
        let slot = match choice {
            Choice::Dial(slot) => slot,
            Choice::Session(id) => {
                let hub = self.hubs.borrow().get(&id).cloned();
                return (hub.expect("a session ends with its socket"), id);
            }
        };
        loop {
            match self.dial(slot).await {
                Ok(dialled) => return dialled,
                Err(error) => log_line!("re-connecting: dial(): {}: {error}", self.remote.host),
            }
            sleep(RETRY).await;
        }
    }

    async fn dial(&self, slot: Slot) -> io::Result<(Rc<Hub>, SessionId)> {
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
        log_line!("smux version: {} on connection: {} -> {to}", self.smuxver, hub.local_addr());
        self.hubs.borrow_mut().insert(session, Rc::clone(&hub));
        tokio::task::spawn_local(run(Rc::clone(&hub), session, Rc::clone(&self.hubs)));
        self.drain_retired();
        self.dialled.notify_one();
        if addresses.len() > 1 {
            let give_up = give_up_silent(Rc::downgrade(&hub), session, to, Rc::clone(&self.unanswered));
            tokio::task::spawn_local(give_up);
        }
        tokio::task::spawn_local(report_silence(Rc::downgrade(&hub), session, to, self.flags.clone()));
        Ok((hub, session))
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
                    () = self.dialled.notified() => {}
                },
                None => self.dialled.notified().await,
            }
            self.sessions.borrow_mut().handle_timeout(clock.now());
            self.drain_retired();
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
}

/// Drives a session to its end.
async fn run(hub: Rc<Hub>, session: SessionId, hubs: Hubs) {
    hub.run(on_notice).await;
    hubs.borrow_mut().remove(&session);
}

/// CLI-18
fn on_notice(hub: &Rc<Hub>, notice: Notice) {
    match notice {
        // Servers open no streams, kcptun's neither.
        Notice::Opened(session, id) => hub.reset_stream(session, id),
        Notice::Ended(_, CloseReason::Local, _) => {}
        Notice::Ended(peer, reason, mismatch) => {
            let why = Why(reason, mismatch);
            log_line!("session {} -> {peer} closed: {why}", hub.local_addr());
        }
        Notice::Accepted(_) => {}
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

/// Logs what to check when a server does not answer (CLI-50). kcptun's silence is the same for every mistake.
async fn report_silence(hub: Weak<Hub>, session: SessionId, to: SocketAddr, flags: String) {
    // Whether a datagram, and whether stream data arrived.
    let heard = || {
        let hub = hub.upgrade()?;
        hub.look_at_tunnel(session, |tunnel| (tunnel.was_heard(), tunnel.stats().bytes_received > 0))
    };
    sleep(SILENCE_REPORT).await;
    match heard() {
        Some((false, _)) => log_line!(
            "no answer from {to} for {} s. This side uses {flags}. Check that a server listens there, that UDP gets through, \
             and that --key and --crypt are the same on both sides",
            SILENCE_REPORT.as_secs()
        ),
        Some(_) => {}
        None => return,
    }
    sleep(STREAM_REPORT - SILENCE_REPORT).await;
    if heard() == Some((true, false)) {
        log_line!(
            "{to} acknowledges but sends no stream data. This side uses {flags}. Check that --nocomp and --smuxver are the \
             same on both sides"
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
