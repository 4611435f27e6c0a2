//! The engine as the server of a capture: the client's datagrams, as recorded, through an endpoint and its tunnel.
//!
//! Output of the tunnel is discarded. Settings are those of the recorded server, so a client with other FEC shards must be
//! detected; the clock is that of the capture.

use super::file::Side;
use super::mux::Streams;
use super::pcap::Datagram;
use super::{Checked, broken, differs};
use engine::crypt::Cipher;
use engine::mux::Dialect;
use engine::options::Governor;
use engine::{
    Entropy, Event, Generation, Instant, Received, Server, ServerLimits, SessionId, Settings, Tunnel,
};
use std::sync::Arc;

/// Streams that an engine with the settings of `side` receives in `datagrams` of one client.
pub(super) fn receive(
    dialect: Dialect,
    side: &Side,
    generation: Generation,
    datagrams: &[&Datagram<'_>],
) -> Checked<Streams> {
    let mut config = settings(side)?.tunnel_config().or_else(|error| broken(error.to_string()))?;
    config.generation = generation;
    config.mux.dialect = dialect;
    config.mux.stream_buffers = side.streambuf_en;
    if dialect == Dialect::Yamux {
        // As kcptun of 2016 has it.
        config.mux.receive_bytes_max = 1 << 24;
        config.mux.stream_bytes_max = 1 << 24;
    }
    // The capture has no retransmissions of packets that the peer rebuilt.
    config.prove_groups = false;
    config.distrust_peer = false;
    let limits = ServerLimits { sessions_max: 2 };
    let server = Server::new(Arc::new(config), limits, Entropy::from_seed([0; 32]));
    let start_us = datagrams.first().map_or(0, |datagram| datagram.at_us);
    let mut replay = Replay { server, session: None, streams: Streams::default(), out: vec![0; 65_536] };
    for datagram in datagrams {
        let now = Instant::from_micros(1_000_000 + datagram.at_us.saturating_sub(start_us));
        replay
            .datagram(now, datagram)
            .map_err(|flaw| flaw.at(&format!("engine as server, frame {}", datagram.frame)))?;
    }
    Ok(replay.streams)
}

fn settings(side: &Side) -> Checked<Settings> {
    let Some(crypt) = Cipher::from_name(&side.crypt) else {
        return broken(format!("cipher {:?} is unknown", side.crypt));
    };
    Ok(Settings {
        governor: Governor::Off,
        key: side.key.clone(),
        crypt,
        rcvwnd: side.rcvwnd,
        datashard: side.datashard as i64,
        parityshard: side.parityshard as i64,
        nocomp: side.nocomp,
        smuxver: i64::from(side.smuxver),
        qpp: side.qpp,
        qpp_count: i64::from(side.qpp_count),
        ..Settings::server()
    })
}

struct Replay {
    server: Server,
    session: Option<SessionId>,
    streams: Streams,
    out: Vec<u8>,
}

impl Replay {
    fn datagram(&mut self, now: Instant, datagram: &Datagram<'_>) -> Checked<()> {
        self.timeouts(now)?;
        let mut bytes = datagram.bytes.to_vec();
        match self.server.handle_datagram(now, datagram.from, &mut bytes) {
            Received::Accepted { id, .. } if self.session.is_none() => self.session = Some(id),
            Received::Accepted { .. } => return differs("accepted as a new session"),
            Received::Session(id, _) if Some(id) != self.session => {
                return differs("routed to another session");
            }
            // The check of the crypt layer counts drops.
            Received::Session(..) | Received::Dropped(_) => {}
        }
        self.drain(now)
    }

    /// Handles the timers that expired since the last datagram.
    fn timeouts(&mut self, now: Instant) -> Checked<()> {
        let mut last = None;
        while let Some(at) = self.due(now) {
            if last == Some(at) {
                return differs(format!("timer at {} us does not advance", at.as_micros()));
            }
            last = Some(at);
            if let Some(tunnel) = self.session.and_then(|id| self.server.tunnel_mut(id)) {
                tunnel.handle_timeout(at);
            }
            self.drain(at)?;
        }
        Ok(())
    }

    fn due(&self, now: Instant) -> Option<Instant> {
        let deadline = self.session.and_then(|id| self.server.tunnel(id)).and_then(Tunnel::poll_timeout)?;
        (deadline.at <= now).then_some(deadline.at)
    }

    fn drain(&mut self, now: Instant) -> Checked<()> {
        let Some(tunnel) = self.session.and_then(|id| self.server.tunnel_mut(id)) else { return Ok(()) };
        while tunnel.poll_transmit(now, &mut self.out).is_some() {}
        while let Some(event) = tunnel.poll_event() {
            match event {
                Event::Readable(id) => {
                    let carried = self.streams.0.entry(id.0).or_default();
                    while let Ok(len) = tunnel.read(now, id, &mut self.out) {
                        if len == 0 {
                            break;
                        }
                        carried.bytes.extend_from_slice(&self.out[..len]);
                    }
                }
                Event::Finished(id) => self.streams.0.entry(id.0).or_default().fin = true,
                Event::Closed(reason) => return differs(format!("session closed: {reason}")),
                _ => {}
            }
            while tunnel.poll_transmit(now, &mut self.out).is_some() {}
        }
        Ok(())
    }
}
