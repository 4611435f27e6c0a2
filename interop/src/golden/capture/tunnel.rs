//! The engine as the server of a capture: the client's datagrams, as recorded, through an endpoint and its tunnel.
//!
//! What the tunnel sends is thrown away. Its settings are those of the recorded server, so that a client with other FEC
//! shards must be detected, and its clock is that of the capture.

use super::file::Side;
use super::mux::Streams;
use super::pcap::Datagram;
use super::{Checked, broken, differs};
use engine::crypt::Cipher;
use engine::{
    Endpoint, EndpointLimits, Entropy, Event, Generation, Handled, Instant, Route, Settings, Tunnel,
};
use std::sync::Arc;

/// Streams that an engine with the settings of `side` takes out of `datagrams` of one client.
pub(super) fn receive(side: &Side, generation: Generation, datagrams: &[&Datagram<'_>]) -> Checked<Streams> {
    let mut config = settings(side)?.tunnel_config().or_else(|error| broken(error.to_string()))?;
    config.generation = generation;
    // What was recorded is not sent again: the peer used at once what it rebuilt.
    config.prove_groups = false;
    let limits = EndpointLimits { sessions_max: 2 };
    let endpoint = Endpoint::new(Arc::new(config), limits, Entropy::from_seed([0; 32]));
    let start_us = datagrams.first().map_or(0, |datagram| datagram.at_us);
    let mut server = Server { endpoint, tunnel: None, streams: Streams::default(), out: vec![0; 65_536] };
    for datagram in datagrams {
        let now = Instant::from_micros(1_000_000 + datagram.at_us.saturating_sub(start_us));
        server
            .datagram(now, datagram)
            .map_err(|flaw| flaw.at(&format!("engine as server, frame {}", datagram.frame)))?;
    }
    Ok(server.streams)
}

fn settings(side: &Side) -> Checked<Settings> {
    let Some(crypt) = Cipher::from_name(&side.crypt) else {
        return broken(format!("cipher {:?} is unknown", side.crypt));
    };
    Ok(Settings {
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

struct Server {
    endpoint: Endpoint,
    tunnel: Option<Tunnel>,
    streams: Streams,
    out: Vec<u8>,
}

impl Server {
    fn datagram(&mut self, now: Instant, datagram: &Datagram<'_>) -> Checked<()> {
        self.timeouts(now)?;
        let mut bytes = datagram.bytes.to_vec();
        match self.endpoint.route(now, datagram.from, &mut bytes) {
            Route::Incoming(incoming) => self.tunnel = Some(self.endpoint.accept(now, incoming).1),
            Route::Session(_, bytes) => {
                let Some(tunnel) = &mut self.tunnel else {
                    return differs("routed to a session that was never accepted");
                };
                if let Handled::Reopen(_) = tunnel.handle_datagram(now, bytes) {
                    return differs("taken for the start of another session");
                }
            }
            Route::Moved(..) => return differs("taken for a session that changed its address"),
            // Counted by the crypt layer's check already.
            Route::Dropped(_) => {}
        }
        self.drain(now)
    }

    /// Timers that fell due since the last datagram.
    fn timeouts(&mut self, now: Instant) -> Checked<()> {
        let mut last = None;
        while let Some(at) = self.due(now) {
            if last == Some(at) {
                return differs(format!("timer at {} us is due again at once", at.as_micros()));
            }
            last = Some(at);
            if let Some(tunnel) = &mut self.tunnel {
                tunnel.handle_timeout(at);
            }
            self.drain(at)?;
        }
        Ok(())
    }

    fn due(&self, now: Instant) -> Option<Instant> {
        let deadline = self.tunnel.as_ref()?.poll_timeout()?;
        (deadline.at <= now).then_some(deadline.at)
    }

    fn drain(&mut self, now: Instant) -> Checked<()> {
        let Some(tunnel) = &mut self.tunnel else { return Ok(()) };
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
