//! What `--metrics` shows: Prometheus text about the process, JSON that also lists sessions, and whether it is healthy (CLI-36).

mod prometheus;

use crate::datagrams::Carrier;
use crate::net::http::Page;
use crate::platform::process::Process;
use crate::snmp::Totals;
use engine::congestion::ControlState;
use engine::{Stats, Tunnel};
use serde::Serialize;
use std::net::SocketAddr;

/// Sessions that the JSON lists at most.
pub const SESSIONS_LISTED_MAX: usize = 256;

/// The state of the program at a moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Snapshot {
    /// karst-client or karst-server.
    pub program: &'static str,
    /// Of the program.
    pub version: &'static str,
    /// Since it started.
    pub uptime_s: u64,
    /// Resident memory; 0 where the system does not tell.
    pub memory_bytes: u64,
    /// Memory in use by the program's own data.
    pub heap_bytes: u64,
    /// Bytes that wait in all sessions: to be framed, sent, acknowledged or read.
    pub queued_bytes: u64,
    /// Memory is short, so that no session or stream is started.
    pub short: bool,
    /// Streams alive.
    pub streams: usize,
    /// Live sessions by what carries their datagrams, as in [`Carrier::ALL`].
    #[serde(skip)]
    pub carriers: [usize; 3],
    /// Longest of all sessions.
    #[serde(flatten)]
    pub worst: Worst,
    /// Ratios over the process.
    #[serde(flatten)]
    pub ratios: Ratios,
    /// kcp-go's counters under their names.
    #[serde(serialize_with = "by_name")]
    pub counters: Totals,
    /// Up to [`SESSIONS_LISTED_MAX`] live sessions.
    pub sessions: Vec<Session>,
    /// Live sessions that are not listed.
    pub sessions_left_out: usize,
}

/// The longest times of all sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Worst {
    /// Smoothed round trip.
    pub rtt_max_ms: i32,
    /// Retransmission timeout.
    pub rto_max_ms: u32,
    /// How long bytes wait for the send window, smoothed.
    pub queue_delay_max_ms: f64,
}

impl Worst {
    /// Takes another session in.
    pub fn add(&mut self, tunnel: &Tunnel) {
        let arq = tunnel.arq().state();
        self.rtt_max_ms = self.rtt_max_ms.max(arq.srtt_ms);
        self.rto_max_ms = self.rto_max_ms.max(arq.rto_ms);
        self.queue_delay_max_ms = self.queue_delay_max_ms.max(tunnel.stats().queue_delay_us as f64 / 1e3);
    }
}

/// What counters mean when seen together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Ratios {
    /// Retransmitted segments among all sent: what the path loses, as the sender sees it.
    pub retransmission_ratio: f64,
    /// Bytes of datagrams sent per byte that was to be sent (after compression): the price of FEC, headers and repetition.
    pub amplification: f64,
    /// Parity packets received that rebuilt nothing, among all packets received: the price of FEC where nothing is lost.
    pub fec_wasted_ratio: f64,
}

impl Ratios {
    /// Of counters of one or all sessions; 0 before anything was sent.
    pub fn of(stats: &Stats) -> Self {
        let ratio = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        Self {
            retransmission_ratio: ratio(stats.retrans_segs, stats.out_segs),
            amplification: ratio(stats.out_bytes, stats.bytes_sent),
            fec_wasted_ratio: ratio(fec_wasted(stats), stats.in_pkts),
        }
    }
}

/// Parity packets received that rebuilt nothing; each rebuilt datagram took one.
fn fec_wasted(stats: &Stats) -> u64 {
    stats.fec_parity_shards.saturating_sub(stats.fec_recovered)
}

/// One session of the JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Session {
    /// Address of this end's socket.
    pub local: SocketAddr,
    /// Address of the other end.
    pub peer: SocketAddr,
    /// What carries the datagrams.
    pub carrier: Carrier,
    /// KCP's conversation number.
    pub conv: u32,
    /// Streams alive.
    pub streams: usize,
    /// Smoothed round trip.
    pub rtt_ms: i32,
    /// Its variation.
    pub rtt_variation_ms: i32,
    /// Retransmission timeout.
    pub rto_ms: u32,
    /// Congestion window; without effect when `nc` is 1.
    pub congestion_window_packets: u32,
    /// Send window of this end.
    pub send_window_packets: u32,
    /// What the peer says it can take.
    pub peer_window_packets: u32,
    /// How long bytes wait for the send window, smoothed.
    pub queue_delay_ms: f64,
    /// Bytes that wait: to be framed, sent, acknowledged or read.
    pub queued_bytes: usize,
    /// Segments waiting to be sent for the first time.
    pub queued_packets: usize,
    /// Segments sent and not acknowledged.
    pub in_flight_packets: usize,
    /// Ratios of this session.
    #[serde(flatten)]
    pub ratios: Ratios,
    /// Datagrams rebuilt by FEC.
    pub fec_recovered: u64,
    /// Parity packets received that rebuilt nothing.
    pub fec_wasted: u64,
    /// Groups that FEC could not rebuild.
    pub fec_errors: u64,
    /// Bytes that were to be sent, after compression.
    pub bytes_sent: u64,
    /// Bytes received in order, before decompression.
    pub bytes_received: u64,
    /// Bytes of datagrams sent.
    pub wire_bytes_sent: u64,
    /// Times the peer changed its address.
    pub migrations: u64,
    /// What the controller of the mode `auto` believes and does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<Controller>,
}

/// A controller's view of the path.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Controller {
    /// What it is doing, in one word.
    pub phase: &'static str,
    /// Rate of the bottleneck, bytes of segments per second.
    pub bandwidth_bytes_s: u64,
    /// Round trip without queues.
    pub min_rtt_ms: f64,
    /// Rate at which segments may leave, bytes per second.
    pub pacing_bytes_s: u64,
    /// Bytes that may be in flight.
    pub window_bytes: u64,
    /// Bytes that are in flight.
    pub in_flight_bytes: u64,
    /// Share of segments that are lost.
    pub loss_ratio: f64,
}

impl From<ControlState> for Controller {
    fn from(state: ControlState) -> Self {
        Self {
            phase: state.phase,
            bandwidth_bytes_s: state.bandwidth_bytes_s,
            min_rtt_ms: state.min_rtt_us as f64 / 1e3,
            pacing_bytes_s: state.pacing_bytes_s,
            window_bytes: state.window_bytes,
            in_flight_bytes: state.in_flight_bytes,
            loss_ratio: f64::from(state.loss_ppm) / 1e6,
        }
    }
}

impl Session {
    /// The state of a tunnel behind the socket `local`.
    pub fn of(local: SocketAddr, carrier: Carrier, tunnel: &Tunnel) -> Self {
        let (stats, arq) = (tunnel.stats(), tunnel.arq().state());
        Self {
            local,
            peer: tunnel.peer(),
            carrier,
            conv: tunnel.conv(),
            streams: tunnel.stream_count(),
            rtt_ms: arq.srtt_ms,
            rtt_variation_ms: arq.rttvar_ms,
            rto_ms: arq.rto_ms,
            congestion_window_packets: arq.cwnd,
            send_window_packets: tunnel.arq().snd_wnd(),
            peer_window_packets: arq.rmt_wnd,
            queue_delay_ms: stats.queue_delay_us as f64 / 1e3,
            queued_bytes: tunnel.queued_bytes(),
            queued_packets: arq.snd_queue,
            in_flight_packets: arq.snd_buf,
            ratios: Ratios::of(&stats),
            fec_recovered: stats.fec_recovered,
            fec_wasted: fec_wasted(&stats),
            fec_errors: stats.fec_errs,
            bytes_sent: stats.bytes_sent,
            bytes_received: stats.bytes_received,
            wire_bytes_sent: stats.out_bytes,
            migrations: stats.migrations,
            controller: tunnel.arq().control_state().map(Controller::from),
        }
    }
}

fn by_name<S: serde::Serializer>(totals: &Totals, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(totals.fields().iter().map(|field| (field.name, field.value)))
}

impl Snapshot {
    /// The page of a path: `/metrics`, `/status` or `/healthz`.
    pub fn page(&self, target: &str) -> Page {
        let path = target.split('?').next().unwrap_or_default();
        match path {
            "/metrics" => Page {
                status: "200 OK",
                kind: "text/plain; version=0.0.4; charset=utf-8",
                body: prometheus::text(self, &Process::read()).into_bytes(),
            },
            "/status" => match serde_json::to_vec_pretty(self) {
                Ok(body) => Page { status: "200 OK", kind: "application/json", body },
                Err(error) => Page::text("500 Internal Server Error", &error.to_string()),
            },
            "/healthz" if self.short => {
                Page::text("503 Service Unavailable", "memory is short: no session or stream is started")
            }
            "/healthz" => Page::text("200 OK", "ok"),
            _ => Page::text("404 Not Found", "only /metrics, /status and /healthz"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::options::{Governor, Mode, Side};
    use engine::{Entropy, Instant, Settings};
    use std::sync::Arc;

    // CLI-94
    #[test]
    fn health_depends_on_memory() {
        let status = |short| Snapshot { short, ..Snapshot::default() }.page("/healthz?probe=1").status;
        assert_eq!((status(false), status(true)), ("200 OK", "503 Service Unavailable"));
    }

    #[test]
    fn only_a_session_with_a_controller_shows_one() {
        let address: SocketAddr = ([192, 0, 2, 1], 29_900).into();
        let shown = |settings: Settings| {
            let config = Arc::new(settings.tunnel_config().expect("settings that work"));
            let tunnel = Tunnel::connect(&config, Instant::ZERO, address, Entropy::from_seed([1; 32]));
            serde_json::to_value(Session::of(address, Carrier::Udp, &tunnel)).expect("JSON")
        };
        let auto = shown(Settings::new(Side::Client, Mode::Auto));
        assert_eq!(auto["controller"]["phase"], "startup");
        assert!(auto["controller"]["pacing_bytes_s"].as_u64().is_some_and(|rate| rate > 0), "{auto}");
        assert_eq!(shown(Settings::client())["controller"]["phase"], "startup");
        let kcptun = Settings { governor: Governor::Off, ..Settings::client() };
        assert!(shown(kcptun).get("controller").is_none());
    }
}
