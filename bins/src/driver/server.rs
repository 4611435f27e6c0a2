//! karst-server: sessions in, connections to the target out (CLI-22).

use super::census::Census;
use super::client::{Why, mux_words};
use super::diagnose::Diagnose;
use super::hub::{Hub, Notice, Scratch};
use super::pipe::{Limits, pipe};
use super::proxy;
use super::stop::{self, Stop};
use super::stream::Stream;
use crate::config::Config;
use crate::datagrams::Carrier;
use crate::datagrams::Datagrams;
use crate::log::{log_event, log_limited};
use crate::net::address::Address;
use crate::net::network::Network;
use crate::net::wire::{DialError, Wire};
use crate::platform::limits;
use crate::proxy::Ser;
use crate::proxy::allow::AllowList;
use engine::{Entropy, ServerLimits, TunnelConfig};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long a target may take to accept.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How long a connection that may be opened with data waits for it.
const FIRST_BYTES_LIMIT: Duration = Duration::from_millis(50);

/// Most bytes of it: no more fit into a packet.
const FIRST_BYTES_MAX: usize = 1400;

/// Share of the process's descriptors that clients get which have acknowledged nothing yet.
const EARLY_SHARE: usize = 4;

pub(crate) struct Server {
    scratch: Rc<Scratch>,
    hubs: Vec<Rc<Hub>>,
    census: Rc<Census>,
    streams: Rc<Streams>,
}

/// What all streams share.
struct Streams {
    network: Rc<dyn Network>,
    target: Address,
    /// Where the proxy may connect; `None` without a proxy.
    allow: Option<AllowList>,
    quiet: bool,
    limits: Limits,
    /// Connections that may be opened for clients that have acknowledged nothing yet (KCP-35).
    early: Arc<Semaphore>,
}

impl Server {
    pub(crate) fn new(
        network: Rc<dyn Network>,
        config: &Config,
        target: Address,
        sockets: Vec<Box<dyn Datagrams>>,
        tunnel_config: TunnelConfig,
        mut entropy: Entropy,
    ) -> Self {
        let scratch = Scratch::new(config.pipe_bytes());
        let tunnel_config = Arc::new(tunnel_config);
        let count = |value: i64| usize::try_from(value).unwrap_or(0).max(1);
        let limits = ServerLimits { sessions_max: count(config.program.sessionlimit) };
        let hub = |socket| {
            let server = engine::Server::new(Arc::clone(&tunnel_config), limits, entropy.fork());
            let diagnose = (!config.program.no_diagnose)
                .then(|| Diagnose::new(config.settings.crypt, config.settings.master_key()));
            Hub::server(&scratch, socket, server, diagnose)
        };
        let hubs = sockets.into_iter().map(hub).collect();
        // kcptun's client must get the end of the target's data at once: its application may be waiting for it.
        let rest = Duration::from_secs(u64::try_from(config.program.closewait).unwrap_or(0));
        let limits = Limits { hold_end: Duration::ZERO, rest };
        let allow = (config.program.ser == Ser::Fast)
            .then(|| AllowList::parse(&config.program.ser_allow).unwrap_or_default());
        let early_max = count(config.program.earlylimit).min(descriptors_max() / EARLY_SHARE).max(1);
        let early = Arc::new(Semaphore::new(early_max.min(Semaphore::MAX_PERMITS)));
        let quiet = config.program.quiet;
        let streams = Rc::new(Streams { network, target, allow, quiet, limits, early });
        let census = Rc::clone(&scratch.census);
        Self { scratch, hubs, census, streams }
    }

    /// The sessions' counters.
    pub(crate) fn census(&self) -> &Rc<Census> {
        &self.census
    }

    /// Forwards until the program is stopped.
    pub(crate) async fn run(&self, mut stop: Stop) {
        for hub in &self.hubs {
            let streams = Rc::clone(&self.streams);
            let on_notice = move |hub: &Rc<Hub>, notice| on_notice(hub, &streams, notice);
            tokio::task::spawn_local(Rc::clone(hub).run(on_notice));
        }
        stop.requested().await;
        tokio::select! {
            biased;
            () = stop.requested() => {}
            () = stop::drain(&self.scratch, &self.hubs) => {}
        }
    }
}

/// CLI-18
fn on_notice(hub: &Rc<Hub>, streams: &Rc<Streams>, notice: Notice) {
    match notice {
        Notice::Accepted(peer) => {
            let (local, carrier) = (hub.local_addr(), hub.carrier(peer));
            let by = if carrier == Carrier::Udp { String::new() } else { format!(" carrier={carrier}") };
            log_limited!(
                peer.ip(),
                Info,
                "session_accepted",
                [peer = peer, local = local, carrier = carrier],
                "remote address: {peer}{by}"
            );
        }
        Notice::Spoken(peer, dialect, version) => {
            let (local, spoken) = (hub.local_addr(), mux_words(dialect, version));
            log_limited!(
                peer.ip(),
                Info,
                "session_smux",
                [peer = peer, smux = version],
                "{spoken} on connection: {local} -> {peer}"
            );
        }
        Notice::Opened(session, id) if hub.scratch.census.is_short() || hub.scratch.stopping.has_begun() => {
            hub.reset_stream(session, id);
        }
        Notice::Opened(session, id) => {
            let stream = hub.stream(session, id);
            tokio::task::spawn_local(forward(stream, Rc::clone(streams)));
        }
        // Only clients put sessions on trial.
        Notice::Passed(_) => {}
        Notice::Ended(peer, reason, mismatch) => {
            let why = Why(reason, mismatch);
            match why.is_failure() {
                true => log_limited!(
                    peer.ip(),
                    Warn,
                    "session_failed",
                    [peer = peer, reason = why],
                    "session {peer} closed: {why}"
                ),
                false => log_limited!(
                    peer.ip(),
                    Info,
                    "session_closed",
                    [peer = peer, reason = why],
                    "session {peer} closed: {why}"
                ),
            }
        }
    }
}

/// Connects to the target, or where the stream's request says.
async fn connect(stream: &Stream, streams: &Streams) -> Result<Wire, String> {
    let Streams { network, target, .. } = streams;
    match &streams.allow {
        Some(allow) => proxy::accept(&**network, allow, stream).await.map_err(|why| format!("proxy: {why}")),
        None => {
            let early = match network.opens_fast() {
                true => first_bytes(stream).await,
                false => Vec::new(),
            };
            let connected = Wire::connect_with(&**network, target, CONNECT_LIMIT, &early).await;
            let (wire, sent) = connected.map_err(|error| DialError(target, &error).to_string())?;
            proxy::write_wire(&wire, &early[sent..]).await.map_err(|error| error.to_string())?;
            Ok(wire)
        }
    }
}

/// What a stream begins with, if that comes soon: a target may speak first, and is connected to without (CLI-119).
async fn first_bytes(stream: &Stream) -> Vec<u8> {
    let first = tokio::time::timeout(FIRST_BYTES_LIMIT, proxy::read(stream, FIRST_BYTES_MAX)).await;
    first.map_or_else(|_| Vec::new(), Result::unwrap_or_default)
}

async fn forward(stream: Stream, streams: Rc<Streams>) {
    let label = stream.label();
    let connected = tokio::select! {
        biased;
        connected = async {
            match stream.admitted(&streams.early).await {
                true => Some(connect(&stream, &streams).await),
                false => None,
            }
        } => connected,
        _ = stream.stopping() => return,
    };
    let Some(connected) = connected else { return };
    let wire = match connected {
        Ok(wire) => wire,
        Err(why) => {
            log_limited!(
                streams.target,
                Warn,
                "target_refused",
                [stream = label, reason = why],
                "{why} in: {label}"
            );
            return;
        }
    };
    if !streams.quiet {
        log_event!(
            Debug,
            "stream_opened",
            [stream = label, target = wire],
            "stream opened in: {label} out: {wire}"
        );
    }
    let result = pipe(&stream, &wire, streams.limits).await;
    if !streams.quiet {
        if let Err(error) = &result {
            log_event!(
                Debug,
                "stream_failed",
                [stream = label, target = wire, reason = error],
                "pipe: {error} in: {label} out: {wire}"
            );
        }
        log_event!(
            Debug,
            "stream_closed",
            [stream = label, target = wire],
            "stream closed in: {label} out: {wire}"
        );
    }
}

/// Descriptors that the process may have open.
fn descriptors_max() -> usize {
    limits::descriptors().and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX)
}
