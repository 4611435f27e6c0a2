//! The programs against peers built from the engine: peers that close as kcptun does, and peers that restart.
use crate::common::{PATIENCE, connect, echo, free_udp, start_client, start_server, target};
use engine::{
    Entropy, Event, Instant, Received, Server, ServerLimits, Settings, StreamId, Tunnel, TunnelConfig,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// A tunnel behind a plain socket.
struct Peer {
    socket: UdpSocket,
    tunnel: Tunnel,
    started: std::time::Instant,
}

impl Peer {
    fn connect(socket: &UdpSocket, to: SocketAddr, seed: u8) -> Self {
        let config = like_kcptun(&Settings::client());
        let tunnel = Tunnel::connect(&config, Instant::ZERO, to, Entropy::from_seed([seed; 32]));
        Self { socket: socket.try_clone().unwrap(), tunnel, started: std::time::Instant::now() }
    }

    /// Waits for a client's first datagram.
    fn accept(socket: UdpSocket) -> Self {
        let limits = ServerLimits { sessions_max: 1 };
        let config = like_kcptun(&Settings::server());
        let mut server = Server::new(config, limits, Entropy::from_seed([9; 32]));
        let mut buffer = [0; 2048];
        let (count, from) = socket.recv_from(&mut buffer).unwrap();
        let received = server.handle_datagram(Instant::ZERO, from, &mut buffer[..count]);
        let Received::Accepted { id, .. } = received else { panic!("not a first datagram") };
        let tunnel = server.remove(Instant::ZERO, id).unwrap();
        Self { socket, tunnel, started: std::time::Instant::now() }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.started.elapsed().as_micros()).unwrap())
    }

    /// Waits for a stream of the other side.
    fn opened(&mut self) -> StreamId {
        let mut id = None;
        self.run_until("a stream", |_, event| {
            if let Some(Event::Opened(opened)) = event {
                id = Some(opened);
            }
            id.is_some()
        });
        id.unwrap()
    }

    /// Runs until `done`, which sees every event.
    fn run_until(&mut self, what: &str, mut done: impl FnMut(&mut Tunnel, Option<Event>) -> bool) {
        let mut buffer = [0; 2048];
        self.socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        let until = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < until {
            let now = self.now();
            while let Some(transmit) = self.tunnel.poll_transmit(now, &mut buffer[..1500]) {
                self.socket.send_to(&buffer[..transmit.len], transmit.to).unwrap();
            }
            let event = self.tunnel.poll_event();
            if done(&mut self.tunnel, event) {
                return;
            }
            if self.tunnel.poll_timeout().is_some_and(|deadline| deadline.at <= now) {
                self.tunnel.handle_timeout(now);
            }
            if let Ok((count, _)) = self.socket.recv_from(&mut buffer) {
                let _ = self.tunnel.handle_datagram(self.now(), &mut buffer[..count]);
            }
        }
        panic!("waited in vain for {what}");
    }

    fn read(&mut self, id: StreamId, len: usize) -> Vec<u8> {
        let mut got = Vec::new();
        let now = self.now();
        self.run_until("bytes", |tunnel, _| {
            let mut buffer = [0; 1024];
            let count = tunnel.read(now, id, &mut buffer).unwrap_or(0);
            got.extend_from_slice(&buffer[..count]);
            got.len() >= len
        });
        got
    }
}

/// Neither announces nor honours half-closed streams.
fn like_kcptun(settings: &Settings) -> Arc<TunnelConfig> {
    let mut config = settings.tunnel_config().unwrap();
    config.mux.half_close = false;
    config.mux.announce = false;
    config.probe = false;
    config.migrate = false;
    Arc::new(config)
}

// CLI-23: the end of a stream from kcptun ends both directions; data sent before still arrives.
#[test]
fn a_peer_that_closes_as_kcptun_does_receives_the_end_of_the_stream_at_once() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (_client, local) = start_client(socket.local_addr().unwrap(), &[]);
    let mut app = connect(local);
    app.write_all(b"request").unwrap();
    let mut peer = Peer::accept(socket);
    let id = peer.opened();
    assert_eq!(peer.read(id, 7), b"request");
    let now = peer.now();
    assert_eq!(peer.tunnel.write(now, id, b"reply").unwrap(), 5);
    peer.tunnel.finish(now, id).unwrap();
    peer.run_until("the end from the client", |_, event| event == Some(Event::Finished(id)));
    let mut reply = Vec::new();
    app.read_to_end(&mut reply).unwrap();
    assert_eq!(reply, b"reply");
}

// CLI-52: the end of the connection is not passed to a server that would close both directions on it.
#[test]
fn a_late_reply_of_kcptuns_server_is_not_lost_to_a_half_close() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (_client, local) = start_client(socket.local_addr().unwrap(), &[]);
    let mut app = connect(local);
    app.write_all(b"request").unwrap();
    app.shutdown(std::net::Shutdown::Write).unwrap();
    let mut peer = Peer::accept(socket);
    let id = peer.opened();
    assert_eq!(peer.read(id, 7), b"request");
    let replies_at = peer.now() + Duration::from_secs(1);
    let mut ended = false;
    while peer.now() < replies_at {
        let until = peer.now() + Duration::from_millis(20);
        let started = peer.started;
        peer.run_until("a little later", |_, event| {
            ended |= event == Some(Event::Finished(id));
            started.elapsed().as_micros() as u64 >= until.as_micros()
        });
    }
    assert!(!ended, "the stream was ended before the reply");
    let now = peer.now();
    assert_eq!(peer.tunnel.write(now, id, b"reply").unwrap(), 5);
    peer.tunnel.finish(now, id).unwrap();
    peer.run_until("the end from the client", |_, event| event == Some(Event::Finished(id)));
    let mut reply = Vec::new();
    app.read_to_end(&mut reply).unwrap();
    assert_eq!(reply, b"reply");
}

/// Another conversation from the same address replaces it (overview section 6).
#[test]
fn a_client_that_starts_over_replaces_its_session() {
    let udp = free_udp();
    let server = start_server(target(echo), udp, &[]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for seed in [1, 2] {
        let mut peer = Peer::connect(&socket, udp, seed);
        let now = peer.now();
        let id = peer.tunnel.open_stream(now).unwrap();
        assert_eq!(peer.tunnel.write(now, id, b"hello").unwrap(), 5);
        assert_eq!(peer.read(id, 5), b"hello", "conversation {seed}");
    }
    let log = server.wait_for("closed: replaced by a new session of the same peer");
    assert_eq!(log.matches("remote address: ").count(), 2);
    server.wait_for("stream closed");
}
