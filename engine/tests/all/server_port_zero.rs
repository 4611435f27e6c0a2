//! Port 0 cannot be sent to, so what comes from it is a mistake or an attack (KCP-41).

use crate::pair::listen;
use engine::tunnel::DropReason;
use engine::{Entropy, Instant, Received, Settings, Tunnel};
use std::sync::Arc;

// KCP-41
#[test]
fn datagrams_from_port_zero_start_no_session() {
    let now = Instant::from_millis(1000);
    let config = Arc::new(Settings::client().tunnel_config().unwrap());
    let mut server = listen(Arc::clone(&config), [2; 32]);
    let to = "192.0.2.1:29900".parse().unwrap();
    let mut client = Tunnel::connect(&config, now, to, Entropy::from_seed([1; 32]));
    client.open_stream(now).unwrap();
    let mut first = [0; 1500];
    let len = client.poll_transmit(now, &mut first).unwrap().len;
    let mut receive =
        |from: &str| server.handle_datagram(now, from.parse().unwrap(), &mut first[..len].to_vec());
    assert_eq!(receive("198.51.100.7:0"), Received::Dropped(DropReason::NoSource));
    assert!(matches!(receive("198.51.100.7:1"), Received::Accepted { .. }));
    assert_eq!((server.session_count(), server.stats().in_errs), (1, 1));
}
