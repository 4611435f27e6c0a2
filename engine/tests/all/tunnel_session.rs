//! Datagrams that start, replace or continue a session (KCP-22).
use crate::pair::{Pair, both, pattern};
use engine::crypt::{Cipher, MasterKey, Suite};
use engine::mux::DialectChoice;
use engine::{CloseReason, DropReason, Entropy, Event, Handled, Received, Settings, Tunnel};
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

fn first_datagram(settings: &Settings, pair: &Pair, seed: u8) -> Vec<u8> {
    let config = Arc::new(settings.tunnel_config().unwrap());
    let mut tunnel = Tunnel::connect(&config, pair.now, pair.client.peer(), Entropy::from_seed([seed; 32]));
    tunnel.open_stream(pair.now).unwrap();
    let mut out = [0; 1500];
    let transmit = tunnel.poll_transmit(pair.now, &mut out).unwrap();
    out[..transmit.len].to_vec()
}

/// A sealed KCP segment without FEC header.
fn segment(suite: &Suite, conv: u32, cmd: u8, sn: u32) -> Vec<u8> {
    let mut payload = Vec::new();
    payload.extend_from_slice(&conv.to_le_bytes());
    payload.extend_from_slice(&[cmd, 0, 32, 0]);
    for word in [0, sn, 0, 0] {
        payload.extend_from_slice(&u32::to_le_bytes(word));
    }
    let mut datagram = vec![0; suite.head_len()];
    datagram.extend_from_slice(&payload);
    suite.seal(&[9; 16], &mut datagram);
    datagram
}

fn default_suite() -> Suite {
    Suite::new(Cipher::Aes, &MasterKey::derive(Settings::client().key.as_bytes()))
}

#[test]
fn a_new_conversation_at_the_same_address_starts_a_session_beside_the_old_one() {
    // KCP-22
    let mut pair = Pair::new(both(|_| {}));
    pair.upload(&pattern(1000), LIMIT);
    let old = pair.session.unwrap();
    let mut datagram = first_datagram(&Settings::client(), &pair, 77);
    pair.deliver_to_server(&mut datagram);
    assert_ne!(pair.session, Some(old));
    assert_eq!(pair.server.session_count(), 2);
    assert!(!pair.server.tunnel(old).unwrap().is_closed());
}

#[test]
fn leftovers_of_another_conversation_do_not_disturb() {
    let mut pair = Pair::new(both(|_| {}));
    pair.upload(&pattern(1000), LIMIT);
    pair.run_until(LIMIT, |pair| pair.accepted().is_validated());
    let (id, conv) = (pair.session.unwrap(), pair.accepted().conv());
    let suite = default_suite();
    for (cmd, sn) in [(81, 5), (82, 0), (83, 0), (84, 0), (0, 0)] {
        let mut datagram = segment(&suite, !conv, cmd, sn);
        let received = pair.server.handle_datagram(pair.now, pair.client_address, &mut datagram);
        let dropped = Received::Session(id, Handled::Dropped(DropReason::ForeignConv));
        assert_eq!(received, dropped, "cmd {cmd} sn {sn}");
    }
}

#[test]
fn only_data_starts_a_session() {
    let mut pair = Pair::new(both(|_| {}));
    let suite = default_suite();
    let stranger = "203.0.113.9:1000".parse().unwrap();
    for cmd in [82, 83, 84, 0, 255] {
        let mut datagram = segment(&suite, 1, cmd, 0);
        let received = pair.server.handle_datagram(pair.now, stranger, &mut datagram);
        assert_eq!(received, Received::Dropped(DropReason::NoSession), "cmd {cmd}");
        assert_eq!(pair.server.session_count(), 0, "a dropped datagram makes no state");
    }
    let mut datagram = segment(&suite, 1, 81, 0);
    let received = pair.server.handle_datagram(pair.now, stranger, &mut datagram);
    assert!(matches!(received, Received::Accepted { .. }), "{received:?}");
}

#[test]
fn sessions_are_bounded() {
    let mut pair = Pair::new(both(|_| {}));
    let suite = default_suite();
    for port in 1..=20_u16 {
        let from = ([203, 0, 113, 9], port).into();
        let mut datagram = segment(&suite, u32::from(port), 81, 0);
        let received = pair.server.handle_datagram(pair.now, from, &mut datagram);
        assert!(matches!(received, Received::Accepted { .. }), "{received:?}");
        // The oldest that was not validated makes room.
        assert_eq!(pair.server.poll_closed().is_some(), port > 4);
    }
    assert_eq!(pair.server.session_count(), 4);
}

#[test]
fn a_wrong_key_is_counted_and_silent() {
    // CLI-7
    let mut settings = both(|_| {});
    settings.0.key = "other".into();
    let mut pair = Pair::new(settings);
    pair.client.open_stream(pair.now).unwrap();
    pair.run_for(Duration::from_secs(10));
    assert!(pair.session.is_none());
    assert!(pair.server.stats().in_csum_errors > 0);
}

#[test]
fn the_keepalive_timeout_detects_a_dead_peer() {
    let mut pair = Pair::new(both(|_| {}));
    pair.upload(&pattern(1000), LIMIT);
    pair.drop = Box::new(|_, _| true);
    pair.run_for(Duration::from_secs(61));
    assert_eq!(pair.client.closed(), Some(CloseReason::PeerTimeout));
    assert_eq!(pair.client_events.back(), Some(&Event::Closed(CloseReason::PeerTimeout)));
    assert!(pair.accepted().is_closed());
}

#[test]
fn mismatched_compression_closes_the_server_session() {
    let mut settings = both(|_| {});
    settings.0.nocomp = true;
    settings.1.mux = DialectChoice::Smux;
    let mut pair = Pair::new(settings);
    let id = pair.client.open_stream(pair.now).unwrap();
    pair.client.write(pair.now, id, b"hello").unwrap();
    pair.run_until(LIMIT, |pair| pair.server_is_closed());
    assert!(matches!(pair.accepted().closed(), Some(CloseReason::Corrupt | CloseReason::Protocol)));
}

#[test]
fn mismatched_smux_versions_close_the_server_session() {
    let mut settings = both(|_| {});
    settings.0.smuxver = 1;
    settings.1.mux = DialectChoice::Smux;
    let mut pair = Pair::new(settings);
    pair.client.open_stream(pair.now).unwrap();
    pair.run_until(LIMIT, |pair| pair.server_is_closed());
    assert_eq!(pair.accepted().closed(), Some(CloseReason::Protocol));
}

#[test]
fn random_bytes_neither_panic_nor_create_state() {
    let mut pair = Pair::new(both(|_| {}));
    let mut entropy = Entropy::from_seed([5; 32]);
    for len in 0..1600 {
        let mut datagram = vec![0; len];
        entropy.fill(&mut datagram);
        pair.deliver_to_server(&mut datagram);
        let _ = pair.client.handle_datagram(pair.now, &mut datagram);
    }
    assert_eq!(pair.server.session_count(), 0);
    assert!(pair.client.stats().in_csum_errors > 1400);
}
