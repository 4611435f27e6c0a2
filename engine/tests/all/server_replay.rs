//! Replayed datagrams of clients, from the attacker's address or from the client's: what they may start, and for how long.

use engine::congestion::{Path, Tally};
use engine::{
    CloseReason, DropReason, Entropy, Handled, Instant, Received, Server, ServerLimits, SessionId, Settings,
    StreamId, Tunnel, TunnelConfig,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const NOW: Instant = Instant::from_millis(1000);
const CLIENT: &str = "198.51.100.7:1";
const ATTACKER: &str = "203.0.113.66:666";
const STRANGER: Received = Received::Dropped(DropReason::Replayed);

fn config() -> Arc<TunnelConfig> {
    Arc::new(Settings::client().tunnel_config().unwrap())
}

fn listen(sessions_max: usize, seed: u8) -> Server {
    Server::new(config(), ServerLimits { sessions_max }, Entropy::from_seed([seed; 32]))
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A client with a stream, and its first datagram.
fn client(seed: u16) -> (Tunnel, StreamId, Vec<u8>) {
    let mut key = [3; 32];
    key[..2].copy_from_slice(&seed.to_le_bytes());
    let to = "192.0.2.1:29900".parse().unwrap();
    let mut tunnel = Tunnel::connect(&config(), NOW, to, Entropy::from_seed(key));
    let stream = tunnel.open_stream(NOW).unwrap();
    let first = datagrams(&mut tunnel, NOW).remove(0).1;
    (tunnel, stream, first)
}

/// What a tunnel sends now, and where to.
fn datagrams(tunnel: &mut Tunnel, now: Instant) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut out = vec![0; 65_536];
    let mut sent = Vec::new();
    while let Some(transmit) = tunnel.poll_transmit(now, &mut out) {
        let size = transmit.segment.map_or(transmit.len, |size| usize::from(size.get()));
        sent.extend(out[..transmit.len].chunks(size).map(|datagram| (transmit.to, datagram.to_vec())));
    }
    sent
}

fn receive(server: &mut Server, now: Instant, from: &str, datagram: &[u8]) -> Received {
    server.handle_datagram(now, address(from), &mut datagram.to_vec())
}

fn accepted(received: Received) -> SessionId {
    let Received::Accepted { id } = received else { panic!("{received:?}") };
    id
}

/// Passes what client and session send back and forth until both are silent; all of the client's datagrams.
fn converse(
    server: &mut Server,
    now: Instant,
    id: SessionId,
    from: &str,
    client: &mut Tunnel,
) -> Vec<Vec<u8>> {
    let mut recorded = Vec::new();
    for _ in 0..20 {
        let tunnel = server.tunnel_mut(id).unwrap();
        for (to, mut datagram) in datagrams(tunnel, now) {
            if to == address(from) {
                let _ = client.handle_datagram(now, &mut datagram);
            }
        }
        for (_, datagram) in datagrams(client, now) {
            let _ = receive(server, now, from, &datagram);
            recorded.push(datagram);
        }
    }
    recorded
}

/// Runs a tunnel's timers up to `until`; the bytes that it sends meanwhile.
fn run(server: &mut Server, id: SessionId, until: Instant) -> u64 {
    let mut sent = 0;
    let tunnel = server.tunnel_mut(id).unwrap();
    sent += datagrams(tunnel, NOW).iter().map(|(_, datagram)| datagram.len() as u64).sum::<u64>();
    while let Some(deadline) = tunnel.poll_timeout().filter(|deadline| deadline.at <= until) {
        tunnel.handle_timeout(deadline.at);
        sent += datagrams(tunnel, deadline.at).iter().map(|(_, datagram)| datagram.len() as u64).sum::<u64>();
    }
    sent
}

fn after(ms: u64) -> Instant {
    NOW + Duration::from_millis(ms)
}

// KCP-33
#[test]
fn a_replay_of_a_live_conversation_starts_nothing() {
    let mut server = listen(8, 2);
    let (mut tunnel, stream, first) = client(1);
    let session = accepted(receive(&mut server, NOW, CLIENT, &first));
    converse(&mut server, NOW, session, CLIENT, &mut tunnel);
    assert!(server.tunnel(session).unwrap().is_validated());
    for port in 1..4_200 {
        let from = format!("203.0.113.66:{port}");
        let refused = Received::Dropped(DropReason::MoveRefused);
        assert_eq!(receive(&mut server, after(10), &from, &first), refused);
    }
    tunnel.write(after(10), stream, b"more").unwrap();
    let sent = datagrams(&mut tunnel, after(10)).remove(0).1;
    let used = Received::Session(session, Handled::Used);
    assert_eq!(receive(&mut server, after(10), CLIENT, &sent), used);
    assert_eq!((server.session_count(), server.tunnel(session).unwrap().peer()), (1, address(CLIENT)));
}

// KCP-33
#[test]
fn an_ended_conversation_does_not_start_again() {
    let mut server = listen(8, 2);
    let (mut tunnel, _, first) = client(1);
    let session = accepted(receive(&mut server, NOW, CLIENT, &first));
    let recorded = converse(&mut server, NOW, session, CLIENT, &mut tunnel);
    server.tunnel_mut(session).unwrap().close(NOW, CloseReason::Local);
    server.remove(NOW, session);
    for datagram in std::iter::once(&first).chain(&recorded) {
        let received = receive(&mut server, after(60_000), ATTACKER, datagram);
        assert!(matches!(received, STRANGER | Received::Dropped(DropReason::NoSession)), "{received:?}");
    }
    // What the client itself sends later is no replay: it learns that its session is gone.
    let mut sent = Vec::new();
    let mut now = after(2_000);
    tunnel.open_stream(now).unwrap();
    while sent.is_empty() {
        now = now + Duration::from_millis(10);
        tunnel.handle_timeout(now);
        sent = datagrams(&mut tunnel, now);
    }
    let received = receive(&mut server, now, CLIENT, &sent[0].1);
    assert!(matches!(received, Received::Accepted { .. }), "{received:?}");
    assert_eq!(
        receive(&mut server, after(3_700_000), ATTACKER, &client(9).2),
        Received::Accepted { id: SessionId(2) }
    );
}

// KCP-34
#[test]
fn a_session_without_an_answer_sends_three_times_what_it_received_and_ends() {
    for auto in [false, true] {
        let mut settings = Settings::server();
        if auto {
            settings = Settings::new(engine::options::Side::Server, engine::options::Mode::Auto);
        }
        let config = Arc::new(settings.tunnel_config().unwrap());
        let mut server = Server::new(config, ServerLimits { sessions_max: 8 }, Entropy::from_seed([5; 32]));
        let (_, stream, first) = client(1);
        let id = accepted(receive(&mut server, NOW, ATTACKER, &first));
        let tunnel = server.tunnel_mut(id).unwrap();
        let data = vec![7; 1 << 20];
        let mut written = 0;
        while let Ok(n @ 1..) = tunnel.write(NOW, stream, &data[written..]) {
            written += n;
        }
        assert!(written > 100_000, "{written}");
        let sent = run(&mut server, id, after(29_000));
        let max = 3 * first.len() as u64;
        assert!(sent > 0 && sent <= max, "{sent} bytes to a source that sent {}", first.len());
        assert!(server.tunnel(id).unwrap().closed().is_none());
        assert!(sent + run(&mut server, id, after(30_100)) <= max);
        assert_eq!(server.tunnel(id).unwrap().closed(), Some(CloseReason::Unvalidated));
    }
}

// KCP-34: the replayed acknowledgements echo a clock that this session does not have.
#[test]
fn a_replayed_session_is_not_validated_by_its_recorded_acknowledgements() {
    let mut server = listen(8, 2);
    let (mut tunnel, stream, first) = client(1);
    let id = accepted(receive(&mut server, NOW, CLIENT, &first));
    let mut recorded = vec![first.clone()];
    recorded.extend(converse(&mut server, NOW, id, CLIENT, &mut tunnel));
    server.tunnel_mut(id).unwrap().write(NOW, stream, &[1; 5_000]).unwrap();
    recorded.extend(converse(&mut server, NOW, id, CLIENT, &mut tunnel));
    assert!(server.tunnel(id).unwrap().is_validated() && recorded.len() > 1);

    let mut restarted = listen(8, 3);
    let id = accepted(receive(&mut restarted, NOW, ATTACKER, &first));
    let mut bytes = first.len() as u64;
    let mut sent = 0;
    restarted.tunnel_mut(id).unwrap().write(NOW, stream, &[1; 60_000]).unwrap();
    for (n, datagram) in recorded[1..].iter().enumerate() {
        sent += run(&mut restarted, id, after(20 * n as u64));
        bytes += datagram.len() as u64;
        let _ = receive(&mut restarted, after(20 * n as u64), ATTACKER, datagram);
    }
    sent += run(&mut restarted, id, after(5_000));
    assert!(!restarted.tunnel(id).unwrap().is_validated());
    assert!(sent <= 3 * bytes, "{sent} for {bytes}");
}

// KCP-22
#[test]
fn a_spoofed_first_datagram_does_not_end_the_session_at_its_address() {
    let mut server = listen(8, 2);
    let (mut tunnel, stream, first) = client(1);
    let session = accepted(receive(&mut server, NOW, CLIENT, &first));
    converse(&mut server, NOW, session, CLIENT, &mut tunnel);
    for seed in 2..20 {
        // Each of those that share the address is safe from the next ones for a second.
        let now = after(1_100 * u64::from(seed));
        let spoofed = accepted(receive(&mut server, now, CLIENT, &client(seed).2));
        assert_ne!(spoofed, session);
        tunnel.write(now, stream, b"more").unwrap();
        for (_, datagram) in datagrams(&mut tunnel, now) {
            let received = receive(&mut server, now, CLIENT, &datagram);
            assert!(matches!(received, Received::Session(id, _) if id == session), "{received:?}");
        }
    }
    assert!(server.tunnel(session).unwrap().closed().is_none() && server.session_count() <= 4);
    while let Some(evicted) = server.poll_closed() {
        assert_eq!(server.remove(after(10), evicted).unwrap().closed(), Some(CloseReason::Unvalidated));
    }
}

// KCP-22
#[test]
fn a_restarted_client_replaces_its_session_with_its_first_acknowledgement() {
    let mut server = listen(8, 2);
    let (mut old, _, first) = client(1);
    let before = accepted(receive(&mut server, NOW, CLIENT, &first));
    converse(&mut server, NOW, before, CLIENT, &mut old);
    let (mut new, _, first) = client(2);
    let after = accepted(receive(&mut server, after(10), CLIENT, &first));
    assert_eq!(server.session_count(), 2);
    converse(&mut server, self::after(10), after, CLIENT, &mut new);
    assert_eq!(server.poll_closed(), Some(before));
    assert_eq!(server.tunnel(before).unwrap().closed(), Some(CloseReason::Replaced));
    assert_eq!(server.session_count(), 1);
}

// KCP-35
#[test]
fn new_clients_take_the_place_of_replays() {
    let mut server = listen(16, 2);
    let (mut tunnel, _, first) = client(1);
    let session = accepted(receive(&mut server, NOW, CLIENT, &first));
    converse(&mut server, NOW, session, CLIENT, &mut tunnel);
    for seed in 2..1_000 {
        let from = format!("203.0.113.66:{seed}");
        let _ = accepted(receive(&mut server, NOW, &from, &client(seed).2));
        assert!(server.session_count() <= 16);
        while let Some(evicted) = server.poll_closed() {
            assert_ne!(evicted, session);
            server.remove(NOW, evicted);
        }
    }
    let (mut new, _, first) = client(1_001);
    let id = accepted(receive(&mut server, NOW, "198.51.100.8:1", &first));
    converse(&mut server, NOW, id, "198.51.100.8:1", &mut new);
    assert!(server.tunnel(id).unwrap().is_validated() && server.tunnel(session).unwrap().closed().is_none());
}

// KCP-35
#[test]
fn a_table_full_of_validated_sessions_takes_no_more() {
    let mut server = listen(2, 2);
    for seed in 1..3 {
        let (mut tunnel, _, first) = client(seed);
        let from = format!("198.51.100.7:{seed}");
        let id = accepted(receive(&mut server, NOW, &from, &first));
        converse(&mut server, NOW, id, &from, &mut tunnel);
    }
    let refused = Received::Dropped(DropReason::TooManySessions);
    assert_eq!(receive(&mut server, NOW, ATTACKER, &client(5).2), refused);
}

#[test]
fn a_server_that_accepts_nothing_still_serves_its_sessions() {
    let mut server = listen(4, 2);
    let (mut tunnel, stream, first) = client(1);
    let session = accepted(receive(&mut server, NOW, CLIENT, &first));
    server.set_accepting(false);
    let refused = Received::Dropped(DropReason::NotAccepting);
    assert_eq!(receive(&mut server, NOW, "198.51.100.8:1", &client(2).2), refused);
    tunnel.write(NOW, stream, b"more").unwrap();
    let used = Received::Session(session, Handled::Used);
    assert_eq!(receive(&mut server, NOW, CLIENT, &datagrams(&mut tunnel, NOW).remove(0).1), used);
}

/// The path that a session shares.
fn path_of(server: &Server, id: SessionId) -> &Path {
    server.tunnel(id).unwrap().arq().path().unwrap()
}

// CC-20
#[test]
fn validated_sessions_of_one_host_share_their_path_until_they_are_gone() {
    let mut server = listen(8, 2);
    let mut sessions = Vec::new();
    for (seed, from) in [(1, CLIENT), (2, "198.51.100.7:2"), (3, "203.0.113.9:1")] {
        let (mut tunnel, _, first) = client(seed);
        let id = accepted(receive(&mut server, NOW, from, &first));
        converse(&mut server, NOW, id, from, &mut tunnel);
        sessions.push(id);
    }
    let [first, second, other] = sessions[..] else { panic!("three sessions") };
    let path = path_of(&server, first).clone();
    path.add(Tally { delivered: 300, lost: 100, runs: 100 });
    assert!(path.is(path_of(&server, second)) && path_of(&server, second).tally().loss_ppm() > 240_000);
    assert!(!path.is(path_of(&server, other)) && path_of(&server, other).tally().lost == 0);
    server.remove(NOW, first);
    assert!(path.is(path_of(&server, second)));
    server.remove(NOW, second);
    drop(path);
    let (mut tunnel, _, first) = client(4);
    let id = accepted(receive(&mut server, NOW, CLIENT, &first));
    converse(&mut server, NOW, id, CLIENT, &mut tunnel);
    assert_eq!(path_of(&server, id).tally().lost, 0, "nothing is kept of a host without sessions");
}

/// Replayed datagrams from the client's host start a session whose transmissions are never acknowledged.
// CC-20
#[test]
fn replays_do_not_change_what_is_known_of_a_path() {
    let mut server = listen(8, 2);
    let (mut recorded, _, first_recorded) = client(1);
    let id = accepted(receive(&mut server, NOW, CLIENT, &first_recorded));
    let replays = converse(&mut server, NOW, id, CLIENT, &mut recorded);

    let mut server = listen(8, 3);
    let (mut tunnel, _, first) = client(2);
    let genuine = accepted(receive(&mut server, NOW, CLIENT, &first));
    converse(&mut server, NOW, genuine, CLIENT, &mut tunnel);
    let before = path_of(&server, genuine).tally();
    let spoofed = "198.51.100.7:666";
    let replayed = accepted(receive(&mut server, after(10), spoofed, &first_recorded));
    for datagram in &replays {
        let _ = receive(&mut server, after(20), spoofed, datagram);
    }
    run(&mut server, replayed, after(5_000));
    assert!(!path_of(&server, replayed).is(path_of(&server, genuine)));
    assert_eq!(path_of(&server, genuine).tally(), before);
}
