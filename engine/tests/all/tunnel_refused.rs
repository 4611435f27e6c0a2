//! A server whose host reports that nothing listens on its port (KCP-60).

use crate::pair::{Pair, both};
use engine::{CloseReason, Settings};
use std::sync::Arc;
use std::time::Duration;

fn connected(change: impl Fn(&mut Settings)) -> Pair {
    let mut pair = Pair::new(both(change));
    assert_eq!(pair.upload(b"hello", Duration::from_secs(2)), b"hello");
    pair
}

// KCP-60
#[test]
fn a_session_ends_when_the_host_refuses_and_the_server_is_silent() {
    let mut pair = connected(|_| {});
    pair.drop = Box::new(|_, _| true);
    // What is on its way arrives.
    pair.run_for(Duration::from_millis(100));
    let begun = pair.now;
    pair.client.peer_refused(begun);
    // Further reports defer nothing.
    pair.run_for(Duration::from_millis(1500));
    pair.client.peer_refused(pair.now);
    pair.run_until(Duration::from_secs(5), |pair| pair.client.is_closed());
    assert_eq!(pair.client.closed(), Some(CloseReason::Refused));
    assert_eq!(pair.now.since(begun), Duration::from_secs(2));
}

// KCP-60: a forged report ends nothing.
#[test]
fn a_session_whose_server_answers_the_probe_goes_on() {
    let mut pair = connected(|_| {});
    for _ in 0..5 {
        let (sent, now) = (pair.sent, pair.now);
        pair.client.peer_refused(now);
        pair.run_for(Duration::from_millis(100));
        assert!(pair.sent > sent, "no probe");
        pair.run_for(Duration::from_secs(3));
    }
    assert_eq!(pair.upload(b"again", Duration::from_secs(2)), b"again");
}

// KCP-60: a path that is interrupted without a report.
#[test]
fn silence_alone_ends_nothing() {
    let mut pair = connected(|_| {});
    pair.drop = Box::new(|_, _| true);
    pair.client.open_stream(pair.now).unwrap();
    pair.run_for(Duration::from_secs(12));
    assert!(!pair.client.is_closed());
}

// KCP-60: servers, and clients that do not probe, take no notice.
#[test]
fn only_a_client_that_probes_listens_to_reports() {
    let mut pair = connected(|settings| settings.no_probe = true);
    let now = pair.now;
    pair.client.peer_refused(now);
    pair.accepted().peer_refused(now);
    let config = Arc::new(Settings::server().tunnel_config().unwrap());
    pair.restart_server(config);
    pair.drop = Box::new(|_, _| true);
    pair.run_for(Duration::from_secs(6));
    assert!(!pair.client.is_closed());
}
