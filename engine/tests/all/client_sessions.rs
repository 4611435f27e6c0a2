//! Which session of a client the next stream uses, and when replaced sessions end (CLI-51, CLI-56).

use crate::pair::{listen, reference};
use engine::congestion::Tally;
use engine::{
    Choice, Client, ClientLimits, CloseReason, Entropy, Instant, Retired, Server, SessionId, Settings,
    StreamId, Timer,
};
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const START: Instant = Instant::from_millis(1000);

fn client(slots: usize, lifetime: Option<Duration>) -> Client {
    let config = Arc::new(reference().0.tunnel_config().unwrap());
    Client::new(config, ClientLimits { slots, lifetime, grace: 30 * SECOND })
}

/// Chooses a session as a driver does, and dials if required.
fn next(client: &mut Client, now: Instant) -> SessionId {
    match client.choose(now) {
        Choice::Session(id) => id,
        Choice::Dial(slot) => {
            let entropy = Entropy::from_seed([now.as_millis() as u8; 32]);
            client.dial(now, slot, "192.0.2.1:29900".parse().unwrap(), entropy)
        }
        Choice::Wait | Choice::Refuse => panic!("a client that does not detect waits"),
    }
}

fn open(client: &mut Client, now: Instant) -> SessionId {
    let id = next(client, now);
    client.tunnel_mut(id).unwrap().open_stream(now).unwrap();
    id
}

fn send_all(client: &mut Client, now: Instant) {
    let mut out = [0; 1500];
    for (_, tunnel) in client.tunnels_mut() {
        while tunnel.poll_transmit(now, &mut out).is_some() {}
    }
}

/// Exchanges datagrams with a server until neither has any to send.
fn exchange(client: &mut Client, server: &mut Server, now: Instant) {
    let (from, to) = ("198.51.100.7:1".parse().unwrap(), "192.0.2.1:29900".parse().unwrap());
    let mut out = [0; 1500];
    for _ in 0..4 {
        for (_, tunnel) in client.tunnels_mut() {
            while let Some(transmit) = tunnel.poll_transmit(now, &mut out) {
                let _ = server.handle_datagram(now, from, &mut out[..transmit.len]);
            }
        }
        for (_, tunnel) in server.tunnels_mut() {
            tunnel.handle_timeout(now + Duration::from_millis(100));
            while let Some(transmit) = tunnel.poll_transmit(now, &mut out) {
                let _ = client.handle_datagram(now, SessionId(0), to, &mut out[..transmit.len]);
            }
        }
    }
}

#[test]
fn streams_are_spread_over_the_slots() {
    let mut client = client(3, None);
    let ids: Vec<u64> = (0..6).map(|_| open(&mut client, START).0).collect();
    assert_eq!(ids, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn a_session_that_leaves_data_unanswered_is_replaced() {
    let mut client = client(1, None);
    let first = open(&mut client, START);
    send_all(&mut client, START);
    assert_eq!(open(&mut client, START + 9 * SECOND), first, "a first answer may take ten seconds");
    let second = open(&mut client, START + 10 * SECOND);
    assert_ne!(second, first);
    assert!(!client.tunnel(first).unwrap().is_closed(), "its streams continue");
    assert_eq!(open(&mut client, START + 10 * SECOND), second);
}

// CC-20
#[test]
fn sessions_to_one_server_share_their_path() {
    let config = Arc::new(Settings::client().tunnel_config().unwrap());
    let mut client = Client::new(config, ClientLimits { slots: 3, lifetime: None, grace: SECOND });
    let mut dial = |to: &str| {
        let Choice::Dial(slot) = client.choose(START) else { panic!("a slot without a session") };
        let id = client.dial(START, slot, to.parse().unwrap(), Entropy::from_seed([1; 32]));
        client.tunnel(id).unwrap().arq().path().unwrap().clone()
    };
    let first = dial("192.0.2.1:29900");
    first.add(Tally { delivered: 90, lost: 10, runs: 10 });
    assert!(dial("192.0.2.1:29901").is(&first), "another port of the same host");
    let elsewhere = dial("192.0.2.2:29900");
    assert!(!elsewhere.is(&first) && elsewhere.tally().total() == 0);
}

// CLI-77
#[test]
fn an_expired_session_without_streams_ends_without_a_new_stream() {
    let mut client = client(1, Some(5 * SECOND));
    let mut server = listen(Arc::new(reference().1.tunnel_config().unwrap()), [2; 32]);
    let first = open(&mut client, START);
    client.tunnel_mut(first).unwrap().close_stream(START, StreamId(3));
    exchange(&mut client, &mut server, START);
    let mut now = START;
    while client.poll_retired() != Some((first, Retired::Unused)) {
        now = client.poll_timeout().expect("an expired session is still open").at;
        assert!(now <= START + 7 * SECOND, "{now:?}");
        client.handle_timeout(now);
    }
    assert!(now >= START + 5 * SECOND);
    assert_eq!(client.poll_timeout(), None);
}

#[test]
fn an_expired_session_accepts_no_streams_and_ends_with_its_last_one() {
    let mut client = client(1, Some(5 * SECOND));
    let mut server = listen(Arc::new(reference().1.tunnel_config().unwrap()), [2; 32]);
    let first = open(&mut client, START);
    client.tunnel_mut(first).unwrap().close_stream(START, StreamId(3));
    exchange(&mut client, &mut server, START);
    assert_eq!(client.poll_timeout().map(|deadline| deadline.at), Some(START + 5 * SECOND));
    let replaced_at = START + 5 * SECOND;
    assert_ne!(open(&mut client, replaced_at), first);
    let deadline = client.poll_timeout().unwrap();
    assert_eq!((deadline.at, deadline.why), (replaced_at + SECOND, Timer::Scavenge));
    client.handle_timeout(deadline.at);
    assert_eq!(client.poll_retired(), Some((first, Retired::Unused)));
    assert_eq!(client.remove(first).unwrap().closed(), Some(CloseReason::Local));
    assert_eq!(client.poll_retired(), None);
    assert_eq!(
        client.poll_timeout().map(|deadline| deadline.at),
        Some(replaced_at + 5 * SECOND),
        "the newer one's"
    );
}

#[test]
fn idle_streams_of_an_old_session_are_cut_after_the_grace_period() {
    let mut client = client(1, Some(SECOND));
    let first = open(&mut client, START);
    open(&mut client, START + SECOND);
    let mut checks = 0;
    let retired = loop {
        let now = client.poll_timeout().unwrap().at;
        client.handle_timeout(now);
        checks += 1;
        if let Some(retired) = client.poll_retired() {
            break retired;
        }
    };
    assert_eq!((retired, checks), ((first, Retired::Expired), 30));
}

#[test]
fn old_sessions_are_bounded() {
    let mut client = client(1, Some(SECOND));
    let mut now = START;
    for _ in 0..17 {
        open(&mut client, now);
        now = now + SECOND;
    }
    assert_eq!(client.poll_retired(), None);
    open(&mut client, now);
    assert_eq!(client.poll_retired(), Some((SessionId(0), Retired::Crowded)));
}
