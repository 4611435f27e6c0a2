//! karst-client: local connections in, streams out (CLI-20).

use super::census::Census;
use super::hub::{Hub, Notice, Scratch};
use super::pipe::pipe;
use super::stop::{self, Stop};
use super::stream::Stream;
use crate::config::Config;
use crate::log::log_line;
use crate::net::address::{PortRange, resolve};
use crate::net::udp::{SocketOptions, UdpSocket};
use crate::net::wire::{Listener, Wire};
use engine::{CloseReason, Entropy, Mismatch, Tunnel, TunnelConfig};
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Pause after a failed dial, and after a failed accept.
const RETRY: Duration = Duration::from_secs(1);

pub(crate) struct Client {
    scratch: Rc<Scratch>,
    tunnel_config: Arc<TunnelConfig>,
    remote: PortRange,
    socket_options: SocketOptions,
    smuxver: i64,
    quiet: bool,
    entropy: RefCell<Entropy>,
    slots: RefCell<Vec<Option<Rc<Hub>>>>,
}

impl Client {
    pub(crate) fn new(
        config: &Config,
        remote: PortRange,
        tunnel_config: TunnelConfig,
        entropy: Entropy,
    ) -> Self {
        Self {
            scratch: Scratch::new(),
            tunnel_config: Arc::new(tunnel_config),
            remote,
            socket_options: config.socket_options(),
            smuxver: config.settings.smuxver,
            quiet: config.quiet,
            entropy: RefCell::new(entropy),
            slots: RefCell::new(vec![None; usize::try_from(config.conn).unwrap_or(1).max(1)]),
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
        let hubs: Vec<Rc<Hub>> = self.slots.borrow().iter().flatten().map(Rc::clone).collect();
        tokio::select! {
            biased;
            () = stop.requested() => {}
            () = stop::drain(&hubs) => {}
        }
    }

    async fn accept_all(&self, listener: &Listener) {
        let count = self.slots.borrow().len();
        for slot in (0..count).cycle() {
            let wire = self.accept(listener).await;
            let hub = self.hub(slot).await;
            match hub.open_stream() {
                Ok(stream) => {
                    tokio::task::spawn_local(forward(stream, wire, self.quiet));
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
            tokio::time::sleep(RETRY).await;
        }
    }

    /// The live session of a slot; dials until there is one.
    async fn hub(&self, slot: usize) -> Rc<Hub> {
        loop {
            let current = self.slots.borrow().get(slot).cloned().flatten();
            if let Some(hub) = current.filter(|hub| !hub.is_over()) {
                return hub;
            }
            match self.dial().await {
                Ok(hub) => {
                    if let Some(slot) = self.slots.borrow_mut().get_mut(slot) {
                        *slot = Some(Rc::clone(&hub));
                    }
                    return hub;
                }
                Err(error) => log_line!("re-connecting: dial(): {}: {error}", self.remote.host),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn dial(&self) -> io::Result<Rc<Hub>> {
        let mut entropy = self.entropy.borrow_mut().fork();
        let port = self.remote.min + u16::try_from(entropy.next_u64() % self.remote.count()).unwrap_or(0);
        let to = resolve(&self.remote.host, port).await?;
        let any: SocketAddr = match to {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any, self.socket_options)?;
        let tunnel = Tunnel::connect(&self.tunnel_config, self.scratch.clock.now(), to, entropy);
        let hub = Hub::client(&self.scratch, Box::new(socket), tunnel);
        log_line!("smux version: {} on connection: {} -> {to}", self.smuxver, hub.local_addr());
        tokio::task::spawn_local(Rc::clone(&hub).run(on_notice));
        Ok(hub)
    }
}

/// CLI-18
fn on_notice(hub: &Rc<Hub>, notice: Notice) {
    match notice {
        // kcptun's servers open no streams.
        Notice::Opened(session, id) => hub.close_stream(session, id),
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

async fn forward(stream: Stream, wire: Wire, quiet: bool) {
    let label = stream.label();
    if !quiet {
        log_line!("stream opened in: {wire} out: {label}");
    }
    let result = pipe(&stream, &wire).await;
    if !quiet {
        if let Err(error) = &result {
            log_line!("pipe: {error} in: {wire} out: {label}");
        }
        log_line!("stream closed in: {wire} out: {label}");
    }
}
