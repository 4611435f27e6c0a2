//! The dialect of a client by the first bytes of its stream.

use engine::mux::{Dialect, Role, Settings};
use engine::{Instant, StreamId, mux};

fn recognised(first: [u8; 8]) -> (Dialect, u8) {
    let mut settings = Settings { version: 2, ..Settings::default() };
    settings.recognise(first);
    (settings.dialect, settings.version)
}

/// MUX-1
#[test]
fn first_bytes_name_the_dialect() {
    assert_eq!(recognised([1, 0, 0, 0, 3, 0, 0, 0]), (Dialect::Smux, 1));
    assert_eq!(recognised([1, 3, 0, 0, 0, 0, 0, 0]), (Dialect::Smux, 1), "kcptun's keepalive");
    assert_eq!(recognised([1, 3, 0, 0, 0x73, 0x72, 0x61, 0x6b]), (Dialect::Smux, 1), "karst's announcement");
    assert_eq!(recognised([2, 0, 0, 0, 3, 0, 0, 0]), (Dialect::Smux, 2));
    assert_eq!(recognised([1, 3, 0, 0, 1, 0, 0, 0]), (Dialect::Smuxb, 1));
    assert_eq!(recognised([0, 1, 0, 1, 0, 0, 0, 1]).0, Dialect::Yamux);
    assert_eq!(recognised([0, 2, 0, 1, 0, 0, 0, 0]).0, Dialect::Yamux, "a ping");
    for unknown in [[0; 8].map(|_| 0xff), *b"GET / HT", [3, 0, 0, 0, 3, 0, 0, 0], [0, 9, 0, 1, 0, 0, 0, 1]] {
        assert_eq!(recognised(unknown), (Dialect::Smux, 2));
    }
}

/// MUX-1: what a client of each dialect sends first is recognised as that dialect.
#[test]
fn every_dialect_recognises_its_own_beginning() {
    for dialect in Dialect::ALL {
        for version in [1, 2] {
            for announce in [false, true] {
                let settings = Settings {
                    dialect: *dialect,
                    version,
                    announce,
                    half_close: announce,
                    ..Settings::default()
                };
                let mut client = mux::start_session(settings, Role::Client, Instant::ZERO);
                client.open().unwrap();
                let mut first = Vec::new();
                assert!(client.poll_frame(&mut first));
                let (found, found_version) = recognised(first[..8].try_into().unwrap());
                assert_eq!(found, *dialect);
                assert!(found != Dialect::Smux || found_version == version);
            }
        }
    }
}

/// CLI-115: whether the rest of a frame is still to come is known in every dialect.
#[test]
fn a_frame_that_arrived_in_part_is_known() {
    let smux = |version: u8, command: u8| vec![version, command, 0, 0, 3, 0, 0, 0];
    let data = |mut head: Vec<u8>| {
        head[2] = 4;
        [head, b"data".to_vec()].concat()
    };
    let yamux = vec![0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 4, b'd', b'a', b't', b'a'];
    let cases = [
        (Dialect::Smux, 1, [smux(1, 0), data(smux(1, 2))].concat(), 16),
        (Dialect::Smux, 2, [smux(2, 0), data(smux(2, 2))].concat(), 16),
        (Dialect::Smuxb, 1, [smux(1, 0), data(smux(1, 2))].concat(), 16),
        (Dialect::Yamux, 1, yamux, 12),
    ];
    for (dialect, version, bytes, payload_at) in cases {
        let settings = Settings { dialect, version, ..Settings::default() };
        let mut session = mux::start_session(settings, Role::Server, Instant::ZERO);
        for (at, byte) in bytes.iter().enumerate() {
            let inside = payload_at <= at && at < bytes.len();
            assert_eq!(session.is_inside_frame(StreamId(3)), inside, "{dialect:?} {version} {at}");
            assert_eq!(session.input(&[*byte]), Ok(1));
            assert!(!session.is_inside_frame(StreamId(5)));
        }
        assert!(!session.is_inside_frame(StreamId(3)), "{dialect:?} {version}");
        assert_eq!(session.peek(StreamId(3)).unwrap(), b"data");
    }
}
