//! A replayed first datagram may make a session, as in kcp-go, but it takes nothing from the one it was recorded from.

use engine::{Endpoint, EndpointLimits, Entropy, Instant, Route, SessionId, Settings, Tunnel};
use std::net::SocketAddr;
use std::sync::Arc;

const NOW: Instant = Instant::from_millis(1000);

fn sent(tunnel: &mut Tunnel) -> Vec<u8> {
    let mut out = [0; 1500];
    let transmit = tunnel.poll_transmit(NOW, &mut out).unwrap();
    out[..transmit.len].to_vec()
}

/// The session a datagram from an unknown address is said to belong to.
fn moved(endpoint: &mut Endpoint, from: &str, datagram: &[u8]) -> SessionId {
    match endpoint.route(NOW, from.parse().unwrap(), &mut datagram.to_vec()) {
        Route::Moved(id, _) => id,
        route => panic!("{route:?}"),
    }
}

// KCP-24
#[test]
fn the_conversation_stays_with_the_session_that_has_it() {
    let config = Arc::new(Settings::client().tunnel_config().unwrap());
    let limits = EndpointLimits { sessions_max: 4 };
    let mut endpoint = Endpoint::new(Arc::clone(&config), limits, Entropy::from_seed([2; 32]));
    let honest: SocketAddr = "198.51.100.7:1".parse().unwrap();
    let mut client = Tunnel::connect(&config, NOW, honest, Entropy::from_seed([1; 32]));
    let stream = client.open_stream(NOW).unwrap();
    let first = sent(&mut client);

    let mut datagram = first.clone();
    let Route::Incoming(incoming) = endpoint.route(NOW, honest, &mut datagram) else { panic!("not taken") };
    let (session, _tunnel) = endpoint.accept(NOW, incoming);

    // Nothing new in it: the session does not move, and the datagram looks like the start of one.
    let mut replay = first.clone();
    let stranger = "203.0.113.66:666".parse().unwrap();
    let Route::Moved(_, incoming) = endpoint.route(NOW, stranger, &mut replay) else { panic!("not moved") };
    let (replayed, _tunnel) = endpoint.accept(NOW, incoming);
    assert_ne!(replayed, session);

    client.write(NOW, stream, b"from a new address").unwrap();
    let second = sent(&mut client);
    assert_eq!(moved(&mut endpoint, "198.51.100.7:2", &second), session);
    endpoint.retire(replayed);
    assert_eq!(moved(&mut endpoint, "198.51.100.7:2", &second), session);
}
