//! How a client finds out the server's smux version and compression (SMUX-40, SMUX-41).

use crate::pair::listen;
use engine::client::{Given, StreamFormat};
use engine::mux::DialectChoice;
use engine::{
    Choice, Client, ClientLimits, CloseReason, Deadline, Entropy, Event, Instant, Received, Retired, Server,
    SessionId, Settings, TunnelConfig, Verdict,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const OWN: StreamFormat = StreamFormat { smux_version: 2, compress: true };

/// A client and a server without delay between them, on a hand-stepped clock.
struct Contact {
    now: Instant,
    client: Client,
    server: Server,
    /// Sessions of the client that ended, and why.
    ended: Vec<(SessionId, CloseReason)>,
    dials: u8,
    /// The server ends every session at its first datagram.
    rejects_all: bool,
}

fn server_config(format: StreamFormat, like_kcptun: bool) -> Arc<TunnelConfig> {
    let mut settings = Settings::server();
    (settings.smuxver, settings.nocomp) = (format.smux_version.into(), !format.compress);
    settings.mux = DialectChoice::Smux;
    let mut config = settings.tunnel_config().unwrap();
    if like_kcptun {
        (config.mux.half_close, config.mux.announce) = (false, false);
        (config.probe, config.migrate, config.distrust_peer) = (false, false, false);
    }
    Arc::new(config)
}

/// The socket of a session.
fn address(id: SessionId) -> SocketAddr {
    ([198, 51, 100, 7], 1000 + id.0 as u16).into()
}

impl Contact {
    fn new(given: Given, config: &Arc<TunnelConfig>) -> Self {
        let limits = ClientLimits { slots: 1, lifetime: None, grace: 30 * SECOND };
        let mut client = Client::new(Arc::new(Settings::client().tunnel_config().unwrap()), limits);
        client.detect(given);
        Self {
            now: Instant::from_millis(1000),
            client,
            server: listen(Arc::clone(config), [201; 32]),
            ended: Vec::new(),
            dials: 0,
            rejects_all: false,
        }
    }

    /// As a driver whose stream waits: dials when required.
    fn choose(&mut self) -> Choice {
        let choice = self.client.choose(self.now);
        let Choice::Dial(slot) = choice else { return choice };
        self.dials += 1;
        let entropy = Entropy::from_seed([self.dials; 32]);
        let _ = self.client.dial(self.now, slot, "192.0.2.1:29900".parse().unwrap(), entropy);
        choice
    }

    /// Passes every datagram; if there is none, the time passes to the next timer.
    fn step(&mut self) {
        if self.carry() {
            return;
        }
        let clients = self.client.tunnels().map(|(_, tunnel)| tunnel.poll_timeout());
        let servers = self.server.tunnels().map(|(_, tunnel)| tunnel.poll_timeout());
        let next = clients.chain(servers).fold(self.client.poll_timeout(), Deadline::earliest);
        self.now = next.map_or(self.now + SECOND, |next| next.at).max(self.now);
        let now = self.now;
        self.client.tunnels_mut().for_each(|(_, tunnel)| tunnel.handle_timeout(now));
        self.server.tunnels_mut().for_each(|(_, tunnel)| tunnel.handle_timeout(now));
        self.client.handle_timeout(now);
    }

    /// Whether anything moved.
    fn carry(&mut self) -> bool {
        let (now, mut out) = (self.now, [0; 1500]);
        let mut sent = Vec::new();
        for (id, tunnel) in self.client.tunnels_mut() {
            while let Some(transmit) = tunnel.poll_transmit(now, &mut out) {
                sent.push((id, out[..transmit.len].to_vec()));
            }
            if let Some(Event::Closed(reason)) = std::iter::from_fn(|| tunnel.poll_event()).last() {
                self.ended.push((id, reason));
            }
        }
        self.ended.iter().for_each(|(id, _)| drop(self.client.remove(*id)));
        let moved = !sent.is_empty();
        for (id, mut datagram) in sent {
            let received = self.server.handle_datagram(now, address(id), &mut datagram);
            if let (Received::Accepted { id, .. }, true) = (received, self.rejects_all) {
                self.server.tunnel_mut(id).unwrap().close(now, CloseReason::Protocol);
            }
        }
        let mut answers: Vec<(SocketAddr, Vec<u8>)> = Vec::new();
        let mut closed = Vec::new();
        for (id, tunnel) in self.server.tunnels_mut() {
            while let Some(transmit) = tunnel.poll_transmit(now, &mut out) {
                answers.push((transmit.to, out[..transmit.len].to_vec()));
            }
            while let Some(event) = tunnel.poll_event() {
                closed.extend(matches!(event, Event::Closed(_)).then_some(id));
            }
        }
        closed.into_iter().for_each(|id| drop(self.server.remove(now, id)));
        let moved = moved || !answers.is_empty();
        for (to, mut datagram) in answers {
            let id = SessionId(u64::from(to.port()) - 1000);
            let _ = self.client.handle_datagram(now, id, "192.0.2.1:29900".parse().unwrap(), &mut datagram);
        }
        moved
    }

    /// Runs with a stream that waits until there is a verdict.
    fn verdict(&mut self) -> Verdict {
        for _ in 0..10_000 {
            let _ = self.choose();
            self.step();
            if let Some(verdict) = self.client.poll_verdict() {
                return verdict;
            }
        }
        panic!("no verdict: {:?}", self.client);
    }
}

const FORMATS: [StreamFormat; 4] = [
    OWN,
    StreamFormat { smux_version: 1, compress: true },
    StreamFormat { smux_version: 2, compress: false },
    StreamFormat { smux_version: 1, compress: false },
];

// SMUX-41
#[test]
fn the_dialect_of_any_server_is_found() {
    for (tried, format) in FORMATS.into_iter().enumerate() {
        for like_kcptun in [false, true] {
            let mut contact = Contact::new(Given::default(), &server_config(format, like_kcptun));
            assert_eq!(contact.verdict(), Verdict::Accepted(format), "like kcptun: {like_kcptun}");
            assert_eq!(contact.ended.len(), tried, "{format:?}");
            assert!(contact.ended.iter().all(|(_, reason)| *reason == CloseReason::Rejected));
            let Choice::Session(id) = contact.client.choose(contact.now) else { panic!("no session") };
            let (client, now) = (&mut contact.client, contact.now);
            client.tunnel_mut(id).unwrap().open_stream(now).unwrap();
            contact.step();
            let streams: usize = contact.server.tunnels().map(|(_, tunnel)| tunnel.stream_count()).sum();
            assert_eq!((streams, contact.client.stream_format()), (1, format));
        }
    }
}

// SMUX-40: a karst server's first bytes decide at once; kcptun's silence takes two acknowledgements, 50 ms apart.
#[test]
fn a_server_that_is_as_expected_costs_little_time() {
    for (like_kcptun, ms_max) in [(false, 45), (true, 150)] {
        let mut contact = Contact::new(Given::default(), &server_config(OWN, like_kcptun));
        let begun = contact.now;
        assert_eq!(contact.verdict(), Verdict::Accepted(OWN));
        let took = contact.now.since(begun);
        assert!(took <= Duration::from_millis(ms_max), "like kcptun: {like_kcptun}: {took:?}");
        assert_eq!(like_kcptun, took >= Duration::from_millis(50), "{took:?}");
        assert_eq!(contact.dials, 1);
    }
}

// SMUX-41: a value that the user gave is not replaced, but named; new streams are refused meanwhile.
#[test]
fn a_given_value_that_differs_is_a_conflict() {
    let given = [
        (Given { smux_version: true, compress: false }, FORMATS[1], FORMATS[2]),
        (Given { smux_version: false, compress: true }, FORMATS[2], FORMATS[1]),
    ];
    for (given, conflicting, fitting) in given {
        let mut contact = Contact::new(given, &server_config(fitting, true));
        assert_eq!(contact.verdict(), Verdict::Accepted(fitting), "{given:?}");
        let mut contact = Contact::new(given, &server_config(conflicting, true));
        assert_eq!(contact.verdict(), Verdict::Conflict(conflicting), "{given:?}");
        assert_eq!(contact.client.choose(contact.now), Choice::Refuse);
        contact.now = contact.now + 5 * SECOND;
        assert!(matches!(contact.client.choose(contact.now), Choice::Dial(_)), "tried again later");
    }
}

// SMUX-41
#[test]
fn a_server_that_rejects_everything_is_tried_again_after_a_pause() {
    let mut contact = Contact::new(Given::default(), &server_config(OWN, true));
    contact.rejects_all = true;
    assert_eq!(contact.verdict(), Verdict::Rejected);
    assert_eq!((contact.dials, contact.client.choose(contact.now)), (4, Choice::Wait));
    contact.rejects_all = false;
    assert_eq!(contact.verdict(), Verdict::Accepted(OWN));
}

// SMUX-41: a server that was replaced by one with another format.
#[test]
fn a_session_that_the_server_ended_puts_the_next_one_on_trial() {
    let mut contact = Contact::new(Given::default(), &server_config(OWN, true));
    assert_eq!(contact.verdict(), Verdict::Accepted(OWN));
    let Choice::Session(id) = contact.choose() else { panic!("no session") };
    let other = FORMATS[3];
    contact.server = listen(server_config(other, true), [202; 32]);
    contact.client.tunnel_mut(id).unwrap().open_stream(contact.now).unwrap();
    while contact.ended.is_empty() {
        contact.step();
    }
    assert_eq!(contact.ended[0], (id, CloseReason::PeerRestarted));
    assert_eq!(contact.verdict(), Verdict::Accepted(other));
}

// SMUX-41
#[test]
fn a_trial_without_an_answer_ends_after_ten_seconds() {
    let mut contact = Contact::new(Given::default(), &server_config(OWN, true));
    contact.server.set_accepting(false);
    let begun = contact.now;
    while contact.client.poll_retired() != Some((SessionId(0), Retired::Unanswered)) {
        assert!(matches!(contact.choose(), Choice::Dial(_) | Choice::Wait));
        contact.step();
    }
    assert_eq!((contact.now.since(begun), contact.dials), (10 * SECOND, 1));
    contact.server.set_accepting(true);
    assert_eq!(contact.verdict(), Verdict::Accepted(OWN));
}
