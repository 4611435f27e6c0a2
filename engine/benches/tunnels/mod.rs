//! Both ends of one association over a path without delay and loss.

use engine::options::Governor;
use engine::{
    Entropy, Handled, Instant, Received, Server, ServerLimits, SessionId, Settings, StreamId, Tunnel,
};
use std::sync::Arc;
use std::time::Duration;

/// Step of the clock whenever both ends have sent everything.
const STEP: Duration = Duration::from_millis(1);

/// A client and a server with one stream open.
pub struct Tunnels {
    now: Instant,
    client: Tunnel,
    server: Server,
    session: Option<SessionId>,
    stream: StreamId,
    run: Vec<u8>,
}

impl Tunnels {
    /// With default settings and windows of 1024.
    pub fn new() -> Self {
        let (mut client, mut server) = (Settings::client(), Settings::server());
        for settings in [&mut client, &mut server] {
            (settings.sndwnd, settings.rcvwnd) = (1024, 1024);
            // Its clock is stepped by hand.
            settings.governor = Governor::Off;
        }
        let now = Instant::from_millis(1000);
        let address = "192.0.2.1:29900".parse().unwrap();
        let config = Arc::new(client.tunnel_config().unwrap());
        let limits = ServerLimits { sessions_max: 4 };
        let mut client = Tunnel::connect(&config, now, address, Entropy::from_seed([1; 32]));
        let stream = client.open_stream(now).unwrap();
        let config = Arc::new(server.tunnel_config().unwrap());
        let server = Server::new(config, limits, Entropy::from_seed([2; 32]));
        Self { now, client, server, session: None, stream, run: vec![0; 1 << 16] }
    }

    /// Carries `data` from the client's application to the server's.
    pub fn upload(&mut self, data: &[u8]) {
        let (mut written, mut arrived) = (0, 0);
        while arrived < data.len() {
            let left = &data[written..];
            written +=
                if left.is_empty() { 0 } else { self.client.write(self.now, self.stream, left).unwrap_or(0) };
            self.there();
            arrived += self.read();
            self.back();
            self.now = self.now + STEP;
            self.client.handle_timeout(self.now);
            if let Some(server) = self.session.and_then(|id| self.server.tunnel_mut(id)) {
                server.handle_timeout(self.now);
            }
        }
    }

    fn there(&mut self) {
        while let Some(transmit) = self.client.poll_transmit(self.now, &mut self.run) {
            let size = transmit.segment.map_or(transmit.len, |size| usize::from(size.get()));
            for datagram in self.run[..transmit.len].chunks_mut(size) {
                let from = "198.51.100.7:4321".parse().unwrap();
                match self.server.handle_datagram(self.now, from, datagram) {
                    Received::Session(_, Handled::Used) => {}
                    Received::Accepted { id, .. } => self.session = Some(id),
                    other => panic!("a clean path gave {other:?}"),
                }
            }
        }
        while self.client.poll_event().is_some() {}
    }

    fn back(&mut self) {
        let Some(server) = self.session.and_then(|id| self.server.tunnel_mut(id)) else { return };
        while let Some(transmit) = server.poll_transmit(self.now, &mut self.run) {
            let size = transmit.segment.map_or(transmit.len, |size| usize::from(size.get()));
            for datagram in self.run[..transmit.len].chunks_mut(size) {
                assert!(matches!(self.client.handle_datagram(self.now, datagram), Handled::Used));
            }
        }
        while server.poll_event().is_some() {}
    }

    fn read(&mut self) -> usize {
        let Some(server) = self.session.and_then(|id| self.server.tunnel_mut(id)) else { return 0 };
        let mut read = 0;
        while let Ok(bytes) = server.peek(self.stream) {
            let len = bytes.len();
            if len == 0 {
                break;
            }
            server.consume(self.now, self.stream, len);
            read += len;
        }
        read
    }
}

/// Bytes that do not compress.
pub fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Entropy::from_seed([3; 32]).fill(&mut bytes);
    bytes
}
