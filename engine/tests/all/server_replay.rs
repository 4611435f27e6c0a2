//! A replayed first datagram may start a session, as in kcp-go, but does not affect the session that it was recorded from.

use crate::pair::listen;
use engine::{Entropy, Handled, Instant, Received, Server, SessionId, Settings, Tunnel};
use std::sync::Arc;

const NOW: Instant = Instant::from_millis(1000);

fn sent(tunnel: &mut Tunnel) -> Vec<u8> {
    let mut out = [0; 1500];
    let transmit = tunnel.poll_transmit(NOW, &mut out).unwrap();
    out[..transmit.len].to_vec()
}

fn receive(server: &mut Server, now: Instant, from: &str, datagram: &[u8]) -> Received {
    server.handle_datagram(now, from.parse().unwrap(), &mut datagram.to_vec())
}

fn accepted(received: Received) -> SessionId {
    let Received::Accepted { id, replaced: None } = received else { panic!("{received:?}") };
    id
}

// KCP-24
#[test]
fn the_conversation_stays_with_the_session_that_has_it() {
    let config = Arc::new(Settings::client().tunnel_config().unwrap());
    let mut server = listen(Arc::clone(&config), [2; 32]);
    let honest = "198.51.100.7:1";
    let mut client = Tunnel::connect(&config, NOW, honest.parse().unwrap(), Entropy::from_seed([1; 32]));
    let stream = client.open_stream(NOW).unwrap();
    let first = sent(&mut client);
    let session = accepted(receive(&mut server, NOW, honest, &first));

    // It has no new segment, so the session does not migrate, and the datagram is taken for the start of a session.
    let replayed = accepted(receive(&mut server, NOW, "203.0.113.66:666", &first));
    assert_ne!(replayed, session);

    let moved = Received::Session(session, Handled::Used);
    client.write(NOW, stream, b"from a new address").unwrap();
    assert_eq!(receive(&mut server, NOW, "198.51.100.7:2", &sent(&mut client)), moved);
    assert!(server.remove(replayed).is_some());
    let later = Instant::from_millis(2000);
    client.write(NOW, stream, b"and from another one").unwrap();
    assert_eq!(receive(&mut server, later, "198.51.100.7:3", &sent(&mut client)), moved);
    assert_eq!(server.session_count(), 1);
}

// KCP-24: a replay in the middle of a conversation neither moves it nor starts another one.
#[test]
fn a_server_that_accepts_no_sessions_still_serves_existing_ones() {
    let config = Arc::new(Settings::client().tunnel_config().unwrap());
    let mut server = listen(Arc::clone(&config), [2; 32]);
    let connect = |seed| {
        let to = "192.0.2.1:29900".parse().unwrap();
        let mut tunnel = Tunnel::connect(&config, NOW, to, Entropy::from_seed([seed; 32]));
        let stream = tunnel.open_stream(NOW).unwrap();
        (sent(&mut tunnel), tunnel, stream)
    };
    let (first, mut client, stream) = connect(1);
    let session = accepted(receive(&mut server, NOW, "198.51.100.7:1", &first));
    server.set_accepting(false);
    let refused = Received::Dropped(engine::DropReason::NotAccepting);
    assert_eq!(receive(&mut server, NOW, "198.51.100.8:1", &connect(2).0), refused);
    client.write(NOW, stream, b"more").unwrap();
    let used = Received::Session(session, Handled::Used);
    assert_eq!(receive(&mut server, NOW, "198.51.100.7:1", &sent(&mut client)), used);
}
