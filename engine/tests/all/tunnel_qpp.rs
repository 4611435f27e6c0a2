//! The permutation pad does not affect backpressure, and karst ends compare it.
use crate::pair::{Pair, both};
use engine::mux::WriteError;
use engine::qpp::{NO_PADS, Pads};
use engine::{CloseReason, Event, Mismatch, Settings};
use std::time::Duration;

#[test]
fn a_full_stream_blocks_its_writer_and_wakes_it() {
    let mut pair = Pair::new(both(|settings| settings.qpp = true));
    let id = pair.client.open_stream(pair.now).unwrap();
    let refused = loop {
        match pair.client.write(pair.now, id, &[1; 4096]) {
            Ok(taken) => assert!(taken > 0, "a write took nothing and did not say why"),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, WriteError::Blocked);
    let woken = |pair: &mut Pair| pair.client_events.contains(&Event::Writable(id));
    pair.run_until(Duration::from_secs(10), woken);
    assert!(pair.client_events.contains(&Event::Writable(id)));
}

// QPP-11
#[test]
fn ends_with_other_pads_part_and_name_what_differs() {
    let with = |mut settings: Settings, pads: i64| {
        (settings.qpp, settings.qpp_count) = (pads > 0, pads.max(1));
        settings
    };
    let ends = |client, server| (with(Settings::client(), client), with(Settings::server(), server));
    for (client, server, at_client, at_server) in [
        (61, 0, Mismatch::PeerHasNoPads, Mismatch::PeerHasPads),
        (0, 61, Mismatch::PeerHasPads, Mismatch::PeerHasNoPads),
        (61, 59, Mismatch::PeerHasOtherPads, Mismatch::PeerHasOtherPads),
    ] {
        let mut pair = Pair::new(ends(client, server));
        pair.client.begin_trial(pair.now);
        let ended = |pair: &mut Pair| pair.client.is_closed() && pair.server_is_closed();
        pair.run_until(Duration::from_secs(2), ended);
        assert_eq!(pair.client.closed(), Some(CloseReason::Pads));
        assert!(!pair.client_events.contains(&Event::Passed));
        assert_eq!(pair.client.mismatch(), Some(at_client));
        assert_eq!(pair.accepted().mismatch(), Some(at_server));
    }
    for pads in [0, 61] {
        let mut pair = Pair::new(ends(pads, pads));
        pair.client.begin_trial(pair.now);
        pair.run_until(Duration::from_secs(2), |pair| pair.client_events.contains(&Event::Passed));
        assert_eq!(pair.client.closed(), None, "{pads} pads on both sides");
    }
}

// QPP-11: 0 and 65535 have other meanings.
#[test]
fn key_and_count_identify_pads() {
    let id = |key: &[u8], count| Pads::new(key, count).unwrap().id();
    assert_eq!(id(b"key", 61), id(b"key", 61));
    assert!(id(b"key", 61) != id(b"key", 59) && id(b"key", 61) != id(b"yek", 61));
    assert!((1..200).map(|count| id(b"key", count)).all(|id| id != 0 && id != NO_PADS));
}
