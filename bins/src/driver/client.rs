//! karst-client: local connections in, streams out (CLI-20).

use super::census::Census;
use super::hub::{Hub, Notice, Scratch};
use super::pipe::{Limits, pipe};
use super::sessions::Sessions;
use super::stop::{self, Stop};
use super::stream::Stream;
use crate::config::Config;
use crate::log::log_line;
use crate::net::address::{PortRange, resolve};
use crate::net::network::Network;
use crate::net::udp::SocketOptions;
use crate::net::wire::{Listener, Wire};
use engine::settings::Mode;
use engine::{CloseReason, Entropy, Mismatch, Tunnel, TunnelConfig};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Pause after a failed dial, and after a failed accept.
const RETRY: Duration = Duration::from_secs(1);

/// How often a connection that waits for memory looks for it.
const MEMORY_STEP: Duration = Duration::from_millis(20);

/// How long one of several addresses may take to answer.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(3);

/// How long a connection that ended one way may rest toward kcptun's server.
const REST: Duration = Duration::from_secs(30);

/// When a server that never answered is reported, and one that acknowledges but never sends stream data. The latter waits
/// for the keepalives of a healthy server, which come every ten seconds.
const SILENCE_REPORT: Duration = Duration::from_secs(5);
const STREAM_REPORT: Duration = Duration::from_secs(25);

pub(crate) struct Client {
    network: Rc<dyn Network>,
    scratch: Rc<Scratch>,
    tunnel_config: Arc<TunnelConfig>,
    remote: PortRange,
    socket_options: SocketOptions,
    smuxver: i64,
    quiet: bool,
    /// What both sides must agree on, for the line about a silent server.
    flags: String,
    limits: Limits,
    entropy: RefCell<Entropy>,
    sessions: Sessions,
    /// Dials that were given up for another address of the server's name.
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
        Self {
            network,
            scratch: Scratch::new(),
            tunnel_config: Arc::new(tunnel_config),
            remote,
            socket_options: config.socket_options(),
            smuxver: config.settings.smuxver,
            quiet: config.quiet,
            entropy: RefCell::new(entropy),
            unanswered: Rc::default(),
            sessions: Sessions::new(
                usize::try_from(config.conn).unwrap_or(1),
                config.autoexpire,
                config.scavengettl,
                config.settings.mode == Mode::Auto,
            ),
            flags: format!(
                "--crypt {} --smuxver {}{}{}",
                config.crypt,
                config.settings.smuxver,
                if config.settings.nocomp { " --nocomp" } else { "" },
                if config.settings.qpp { " --QPP" } else { "" },
            ),
            limits: Limits {
                hold_end: Duration::from_secs(u64::try_from(config.closewait).unwrap_or(0)),
                rest: REST,
            },
        }
    }

    /// The sessions, for those who count them.
    pub(crate) fn census(&self) -> &Rc<Census> {
        &self.scratch.census
    }

    /// Forwards until the program is told to stop.
    pub(crate) async fn run(&self, listener: Listener, mut stop: Stop) {
        tokio::select! {
            biased;
            () = stop.requested() => {}
            () = self.accept_all(&listener) => {}
        }
        drop(listener);
        let hubs = self.sessions.all();
        tokio::select! {
            biased;
            () = stop.requested() => {}
            () = stop::drain(&hubs) => {}
        }
    }

    async fn accept_all(&self, listener: &Listener) {
        loop {
            let wire = self.accept(listener).await;
            while self.census().is_short() {
                sleep(MEMORY_STEP).await;
            }
            let hub = self.hub(self.sessions.pick()).await;
            match hub.open_stream() {
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

    /// The live session of a slot; dials until there is one.
    async fn hub(&self, slot: usize) -> Rc<Hub> {
        loop {
            if let Some(hub) = self.sessions.current(slot) {
                return hub;
            }
            match self.dial().await {
                Ok(hub) => {
                    self.sessions.replace(slot, &hub);
                    return hub;
                }
                Err(error) => log_line!("re-connecting: dial(): {}: {error}", self.remote.host),
            }
            sleep(RETRY).await;
        }
    }

    async fn dial(&self) -> io::Result<Rc<Hub>> {
        let mut entropy = self.entropy.borrow_mut().fork();
        let port = self.remote.min + u16::try_from(entropy.next_u64() % self.remote.count()).unwrap_or(0);
        let addresses = resolve(&self.remote.host, port).await?;
        let to = addresses[self.unanswered.get() % addresses.len()];
        let any: SocketAddr = match to {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = self.network.bind_udp(any, self.socket_options)?;
        let tunnel = Tunnel::connect(&self.tunnel_config, self.scratch.clock.now(), to, entropy);
        let hub = Hub::client(&self.scratch, socket, tunnel);
        log_line!("smux version: {} on connection: {} -> {to}", self.smuxver, hub.local_addr());
        tokio::task::spawn_local(Rc::clone(&hub).run(on_notice));
        if addresses.len() > 1 {
            tokio::task::spawn_local(give_up_silent(Rc::downgrade(&hub), to, Rc::clone(&self.unanswered)));
        }
        tokio::task::spawn_local(report_silence(Rc::downgrade(&hub), to, self.flags.clone()));
        Ok(hub)
    }
}

/// CLI-18
fn on_notice(hub: &Rc<Hub>, notice: Notice) {
    match notice {
        // kcptun's servers open no streams.
        Notice::Opened(session, id) => hub.close_stream(session, id),
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

/// Gives a session up whose server does not answer while its name has other addresses: the next dial takes the next one
/// (CLI-53).
async fn give_up_silent(hub: Weak<Hub>, to: SocketAddr, unanswered: Rc<Cell<usize>>) {
    loop {
        sleep(ADDRESS_PATIENCE).await;
        let Some(hub) = hub.upgrade().filter(|hub| !hub.is_over() && !hub.was_heard()) else { return };
        // A session that has sent nothing was not refused an answer.
        if hub.silent_for() >= ADDRESS_PATIENCE / 2 {
            log_line!("no answer from {to} for {} s, trying the next address", ADDRESS_PATIENCE.as_secs());
            unanswered.set(unanswered.get() + 1);
            return hub.close();
        }
    }
}

/// Says what to check when a server does not answer (CLI-50). kcptun's silence is the same for every mistake.
async fn report_silence(hub: Weak<Hub>, to: SocketAddr, flags: String) {
    sleep(SILENCE_REPORT).await;
    match hub.upgrade().filter(|hub| !hub.is_over()) {
        Some(hub) if !hub.was_heard() => log_line!(
            "no answer from {to} for {} s. This side uses {flags}. Check that a server listens there, that UDP gets through, \
             and that --key and --crypt are the same on both sides",
            SILENCE_REPORT.as_secs()
        ),
        Some(_) => {}
        None => return,
    }
    sleep(STREAM_REPORT - SILENCE_REPORT).await;
    let silent = |hub: &Rc<Hub>| !hub.is_over() && hub.was_heard() && !hub.has_stream_bytes();
    if hub.upgrade().as_ref().is_some_and(silent) {
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
