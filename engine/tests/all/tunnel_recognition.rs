//! A server adopts what each of its clients speaks.

use crate::pair::{Pair, ReadState, both, pattern, read_all};
use engine::mux::{Dialect, DialectChoice};
use engine::{CloseReason, Settings};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

fn clients() -> Vec<(Settings, (Dialect, u8))> {
    let mut found = Vec::new();
    for nocomp in [false, true] {
        for (mux, smuxver, spoken) in [
            (DialectChoice::Auto, 1, (Dialect::Smux, 1)),
            (DialectChoice::Auto, 2, (Dialect::Smux, 2)),
            (DialectChoice::Smuxb, 2, (Dialect::Smuxb, 1)),
            (DialectChoice::Yamux, 2, (Dialect::Yamux, 2)),
        ] {
            found.push((Settings { mux, smuxver, nocomp, ..both(|_| {}).0 }, spoken));
        }
    }
    found
}

/// Sends `data` from the server on a stream that the client opens; what the client read until the end.
fn download(pair: &mut Pair, data: &[u8]) -> Vec<u8> {
    let id = pair.client.open_stream(pair.now).unwrap();
    pair.client.write(pair.now, id, b"get").unwrap();
    let (mut written, mut got) = (0, Vec::new());
    pair.run_until(LIMIT, |pair| {
        let now = pair.now;
        if written < data.len() {
            written += pair.accepted().write(now, id, &data[written..]).unwrap_or(0);
            if written == data.len() {
                pair.accepted().finish(now, id).unwrap();
            }
        }
        read_all(&mut pair.client, now, id, &mut got) == ReadState::Ended
    });
    got
}

/// MUX-2
#[test]
fn one_server_serves_every_dialect_with_and_without_compression() {
    for (client, spoken) in clients() {
        for server_nocomp in [false, true] {
            let mut settings = both(|settings| settings.nocomp = server_nocomp);
            settings.0 = client.clone();
            let mut pair = Pair::new(settings);
            let data = pattern(300_000);
            assert!(pair.upload(&data, LIMIT) == data, "{spoken:?}");
            assert!(download(&mut pair, &data) == data, "{spoken:?}");
            assert_eq!(pair.accepted().spoken(), Some(spoken));
        }
    }
}

/// MUX-2: nothing is sent in a dialect that the client may not understand.
#[test]
fn an_unrecognised_client_gets_no_stream_data() {
    let mut settings = both(|settings| settings.nocomp = true);
    settings.0.mux = DialectChoice::Yamux;
    let mut pair = Pair::new(settings);
    pair.client.open_stream(pair.now).unwrap();
    pair.run_until(LIMIT, |pair| pair.session.is_some());
    let sent = pair.accepted().stats().bytes_sent;
    assert!(pair.accepted().spoken().is_some() || sent == 0, "{sent} bytes");
}

/// MUX-2: a client whose first segment holds less than a frame is greeted with what every multiplexer accepts.
#[test]
fn a_client_that_waits_for_an_acknowledgement_is_recognised() {
    for (client, spoken) in clients().into_iter().filter(|(client, _)| !client.nocomp) {
        let mut settings = both(|settings| settings.nocomp = true);
        settings.0 = Settings {
            mtu: 70,
            mode: engine::options::Mode::Manual,
            nc: 0,
            datashard: 0,
            parityshard: 0,
            ..client
        };
        settings.1 = Settings { datashard: 0, parityshard: 0, ..settings.1 };
        let mut pair = Pair::new(settings);
        let data = pattern(300);
        assert!(pair.upload(&data, LIMIT) == data, "{spoken:?}");
        assert_eq!(pair.accepted().spoken(), Some(spoken));
    }
}

/// MUX-1: with one dialect given, any other ends the session.
#[test]
fn a_server_with_a_given_dialect_does_not_adopt() {
    for mux in [DialectChoice::Smux, DialectChoice::Smuxb, DialectChoice::Yamux] {
        let mut settings = both(|_| {});
        settings.0.mux = if mux == DialectChoice::Yamux { DialectChoice::Smux } else { DialectChoice::Yamux };
        settings.1.mux = mux;
        let mut pair = Pair::new(settings);
        pair.client.open_stream(pair.now).unwrap();
        pair.run_until(LIMIT, |pair| pair.server_is_closed());
        assert_eq!(pair.accepted().closed(), Some(CloseReason::Protocol));
    }
}
