//! Frequent failures in operation: restarts, changed addresses, half-close, and mismatched flags.
use crate::pair::{Pair, ReadState, both, pattern, read_all};
use engine::fec::Encoder;
use engine::mux::{Dialect, DialectChoice, WriteError};
use engine::{CloseReason, DropReason, Entropy, Handled, Instant, Mark, Mismatch, Settings, Tunnel};
use std::sync::Arc;
use std::time::Duration;

const NOW: Instant = Instant::from_millis(1000);

const LIMIT: Duration = Duration::from_secs(20);

/// The server is killed and started again: all its sessions are forgotten.
fn restart_server(pair: &mut Pair, settings: &Settings) {
    pair.restart_server(Arc::new(settings.tunnel_config().unwrap()));
}

fn close_time(pair: &mut Pair) -> Duration {
    let start = pair.now;
    pair.run_until(LIMIT, |pair| pair.client.is_closed());
    assert_eq!(pair.client.closed(), Some(CloseReason::PeerRestarted));
    pair.now.since(start)
}

#[test]
fn a_restarted_server_shows_with_the_first_answer() {
    // KCP-23
    let settings = both(|_| {});
    let mut pair = Pair::new(settings.clone());
    pair.upload(&pattern(5_000), LIMIT);
    pair.run_for(Duration::from_secs(1));
    restart_server(&mut pair, &settings.1);
    pair.client.open_stream(pair.now).unwrap();
    let took = close_time(&mut pair);
    assert!(took < Duration::from_millis(200), "{took:?}");
}

#[test]
fn a_restarted_server_is_detected_even_without_answers() {
    // After more than a window of segments the new server ignores all data: only the probe is answered.
    let settings = both(|s| s.nocomp = true);
    let mut pair = Pair::new(settings.clone());
    pair.upload(&pattern(3_000_000), LIMIT);
    restart_server(&mut pair, &settings.1);
    pair.client.open_stream(pair.now).unwrap();
    let took = close_time(&mut pair);
    assert!(took < Duration::from_secs(3), "{took:?}");
}

/// The old server had the segments after a lost one; the new server receives only that one, and the others are not retransmitted.
#[test]
fn a_restart_behind_a_gap_shows() {
    // KCP-28
    let settings = both(|s| {
        (s.datashard, s.parityshard) = (0, 0);
        s.acknodelay = true;
    });
    let mut pair = Pair::new(settings.clone());
    let mut first = true;
    pair.drop = Box::new(move |to_server, _| to_server && std::mem::take(&mut first));
    let stream = pair.client.open_stream(pair.now).unwrap();
    for _ in 0..4 {
        pair.client.write(pair.now, stream, &pattern(500)).unwrap();
        pair.run_for(Duration::from_millis(2));
    }
    pair.run_for(Duration::from_millis(17));
    assert_eq!(pair.client.arq().state().snd_una, 0);
    restart_server(&mut pair, &settings.1);
    let took = close_time(&mut pair);
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_client_that_only_reads_detects_a_restart() {
    // KCP-27
    let settings = both(|_| {});
    let mut pair = Pair::new(settings.clone());
    pair.upload(&pattern(5_000), LIMIT);
    pair.run_for(Duration::from_millis(500));
    restart_server(&mut pair, &settings.1);
    let took = close_time(&mut pair);
    assert!(took < Duration::from_millis(2_200), "{took:?}");
}

#[test]
fn idle_streams_are_probed_once_and_an_idle_session_is_not() {
    let datagrams = |probe: bool, closed| {
        let mut settings = both(|_| {});
        settings.0.no_probe = !probe;
        let mut pair = Pair::new(settings);
        let stream = pair.client.open_stream(pair.now).unwrap();
        pair.client.write(pair.now, stream, b"once").unwrap();
        pair.run_for(Duration::from_secs(1));
        if closed {
            pair.client.close_stream(pair.now, stream);
            pair.run_for(Duration::from_millis(500));
        }
        let before = pair.client.stats().out_pkts;
        pair.run_for(Duration::from_secs(8));
        assert!(!pair.client.is_closed());
        pair.client.stats().out_pkts - before
    };
    let asked = datagrams(true, false);
    assert!((1..=3).contains(&asked), "{asked}");
    assert_eq!((datagrams(false, false), datagrams(true, true)), (0, 0));
}

#[test]
fn without_probes_a_restart_is_not_detected() {
    let mut settings = both(|s| s.nocomp = true);
    settings.0.no_probe = true;
    let mut pair = Pair::new(settings.clone());
    pair.upload(&pattern(3_000_000), LIMIT);
    restart_server(&mut pair, &settings.1);
    pair.client.open_stream(pair.now).unwrap();
    pair.run_for(Duration::from_secs(20));
    assert!(!pair.client.is_closed());
}

#[test]
fn reordering_and_loss_are_not_a_restart() {
    let mut pair = Pair::new(both(|_| {}));
    pair.drop = Box::new(|_, n| n % 3 == 0);
    let data = pattern(300_000);
    assert!(pair.upload(&data, Duration::from_secs(200)) == data);
    assert!(!pair.client.is_closed() && !pair.accepted().is_closed());
}

#[test]
fn a_stream_survives_a_change_of_address() {
    // KCP-24
    let mut pair = Pair::new(both(|s| s.nocomp = true));
    let id = pair.client.open_stream(pair.now).unwrap();
    let data = pattern(1_000_000);
    let (mut written, mut got) = (0, Vec::new());
    let mut port = 5000;
    pair.run_until(Duration::from_secs(60), |pair| {
        if written < data.len() {
            written += pair.client.write(pair.now, id, &data[written..]).unwrap_or(0);
        }
        let now = pair.now;
        if pair.session.is_some() {
            read_all(pair.accepted(), now, id, &mut got);
        }
        if got.len() > (port - 4999) * 250_000 {
            pair.client_address.set_port(port as u16);
            port += 1;
        }
        got.len() == data.len()
    });
    assert!(got == data);
    assert_eq!(pair.accepted().stats().migrations, port as u64 - 5000);
    assert!(pair.accepted().stats().migrations >= 2);
    assert_eq!(pair.accepted().peer(), pair.client_address);
    assert_eq!(pair.server.session_count(), 1);
}

/// The client's window is full of data that has arrived when its address changes, so that everything it sends to prove
/// itself was seen before, if not in this datagram.
#[test]
fn a_full_window_that_was_not_confirmed_moves_the_session() {
    // KCP-24
    let mut pair = Pair::new(both(|s| (s.sndwnd, s.datashard, s.nocomp) = (8, 0, true)));
    let id = pair.client.open_stream(pair.now).unwrap();
    pair.run_for(Duration::from_millis(500));
    let client = pair.client_address;
    pair.drop = Box::new(|to_server, _| !to_server);
    let data = pattern(100_000);
    let mut written = pair.client.write(pair.now, id, &data).unwrap();
    pair.run_for(Duration::from_secs(3));
    pair.client_address.set_port(client.port() + 1);
    pair.drop = Box::new(|_, _| false);
    let mut got = Vec::new();
    pair.run_until(Duration::from_secs(20), |pair| {
        written += pair.client.write(pair.now, id, &data[written..]).unwrap_or(0);
        let now = pair.now;
        read_all(pair.accepted(), now, id, &mut got);
        got.len() == data.len()
    });
    assert!(got == data && !pair.client.is_closed());
    assert_eq!((pair.accepted().stats().migrations, pair.server.session_count()), (1, 1));
}

/// What a server still sends to a client that was restarted at the same address: its parity does not say that it is of
/// another conversation, and would spoil the bytes rebuilt with it much later.
#[test]
fn a_session_without_data_accepts_no_parity() {
    // FEC-21
    let config = Arc::new(both(|s| s.nocomp = true).0.tunnel_config().unwrap());
    let connect = |seed| {
        Tunnel::connect(&config, NOW, "198.51.100.7:1".parse().unwrap(), Entropy::from_seed([seed; 32]))
    };
    let (mut earlier, mut fresh) = (connect(1), connect(2));
    let id = earlier.open_stream(NOW).unwrap();
    earlier.write(NOW, id, &pattern(40_000)).unwrap();
    let (mut out, mut dropped) = ([0; 1500], 0);
    while let Some(transmit) = earlier.poll_transmit(NOW, &mut out) {
        let handled = fresh.handle_datagram(NOW, &mut out[..transmit.len]);
        assert!(matches!(handled, Handled::Dropped(DropReason::ForeignConv)), "{handled:?}");
        dropped += 1;
    }
    assert!(dropped > 13, "{dropped}");
    assert_eq!(fresh.stats().fec_parity_shards, 0);
}

/// The same after data of the new session: the earlier session was far ahead.
#[test]
fn parity_far_from_the_data_is_an_earlier_sessions() {
    // FEC-21
    let mut pair = Pair::new(both(|s| s.nocomp = true));
    let data = pattern(20_000);
    assert!(pair.upload(&data, LIMIT) == data);
    let before = pair.accepted().stats();
    assert!(before.fec_parity_shards > 0, "its own parity is taken");
    let config = both(|_| {}).0.tunnel_config().unwrap();
    let mut encoder = Encoder::with_next_seqid(config.fec.unwrap(), 13 * 4000);
    for _ in 0..10 {
        encoder.encode(0, &mut [7; 500]);
    }
    let head = config.suite.head_len();
    let mut datagram = vec![0; head + 500];
    let mut dropped = 0;
    while encoder.poll_parity(&mut datagram[head..]).is_some() {
        config.suite.seal(&[1; 16], &mut datagram);
        let now = pair.now;
        let handled = pair.accepted().handle_datagram(now, &mut datagram);
        assert!(matches!(handled, Handled::Dropped(DropReason::ForeignConv)), "{handled:?}");
        dropped += 1;
    }
    assert_eq!((dropped, pair.accepted().stats().fec_parity_shards), (3, before.fec_parity_shards));
}

#[test]
fn a_replay_does_not_migrate_the_session() {
    let mut pair = Pair::new(both(|s| s.datashard = 0));
    let id = pair.client.open_stream(pair.now).unwrap();
    pair.client.write(pair.now, id, &pattern(5_000)).unwrap();
    let mut out = [0; 1500];
    let mut recorded = Vec::new();
    while let Some(transmit) = pair.client.poll_transmit(pair.now, &mut out) {
        recorded.push(out[..transmit.len].to_vec());
    }
    for datagram in &recorded {
        pair.deliver_to_server(&mut datagram.clone());
    }
    let honest = pair.client_address;
    pair.client_address = "203.0.113.66:666".parse().unwrap();
    for datagram in &recorded[1..] {
        pair.deliver_to_server(&mut datagram.clone());
    }
    assert_eq!(pair.accepted().peer(), honest);
    assert_eq!(pair.server.session_count(), 1);
}

#[test]
fn sessions_stay_where_they_are_when_moving_is_off() {
    let mut settings = both(|_| {});
    settings.1.no_migrate = true;
    let mut pair = Pair::new(settings);
    pair.upload(&pattern(5_000), LIMIT);
    pair.run_for(Duration::from_secs(1));
    pair.client_address.set_port(999);
    pair.client.open_stream(pair.now).unwrap();
    // The server starts a new session, as kcp-go does; the client detects that and abandons the old one.
    assert!(close_time(&mut pair) < Duration::from_secs(1));
}

#[test]
fn half_close_passes_the_late_reply() {
    // SMUX-26
    for smuxver in [1, 2] {
        let mut pair = Pair::new(both(|s| s.smuxver = smuxver));
        let id = pair.client.open_stream(pair.now).unwrap();
        pair.client.write(pair.now, id, b"question").unwrap();
        pair.client.finish(pair.now, id).unwrap();
        let mut question = Vec::new();
        pair.run_until(LIMIT, |pair| {
            let now = pair.now;
            pair.session.is_some() && read_all(pair.accepted(), now, id, &mut question) == ReadState::Ended
        });
        let reply = pattern(500_000);
        let (mut written, mut got) = (0, Vec::new());
        pair.run_until(LIMIT, |pair| {
            let now = pair.now;
            if written < reply.len() {
                written += pair.accepted().write(now, id, &reply[written..]).unwrap_or(0);
                if written == reply.len() {
                    pair.accepted().finish(now, id).unwrap();
                }
            }
            read_all(&mut pair.client, now, id, &mut got) == ReadState::Ended
        });
        assert!(got == reply && question == b"question");
        assert!(pair.client.peer_half_closes() && pair.accepted().peer_half_closes());
        pair.run_for(Duration::from_secs(1));
        assert_eq!((pair.client.stream_count(), pair.accepted().stream_count()), (0, 0));
    }
}

#[test]
fn half_close_is_not_used_toward_a_peer_that_does_not_announce_it() {
    let (client, server) = both(|_| {});
    let mut client = client.tunnel_config().unwrap();
    client.mux.announce = false;
    client.mux.half_close = false;
    let mut pair = Pair::with_configs(client, server.tunnel_config().unwrap());
    let id = pair.client.open_stream(pair.now).unwrap();
    pair.client.finish(pair.now, id).unwrap();
    pair.run_until(LIMIT, |pair| {
        let now = pair.now;
        pair.session.is_some() && read_all(pair.accepted(), now, id, &mut Vec::new()) == ReadState::Ended
    });
    let now = pair.now;
    assert_eq!(pair.accepted().write(now, id, b"late"), Err(WriteError::PeerFinished));
    assert!(!pair.accepted().peer_half_closes());
}

#[test]
fn the_side_that_cannot_parse_names_the_mismatched_flag() {
    type Change = fn(&mut Settings);
    let cases: [(Change, Mismatch); 6] = [
        (|client| client.nocomp = true, Mismatch::PeerDoesNotCompress),
        (|client| client.smuxver = 1, Mismatch::PeerSmuxVersion(1)),
        (|client| (client.nocomp, client.smuxver) = (true, 1), Mismatch::PeerDoesNotCompress),
        (|_| {}, Mismatch::PeerCompresses),
        (|client| client.mux = DialectChoice::Smuxb, Mismatch::PeerMux(Dialect::Smuxb)),
        (|client| client.mux = DialectChoice::Yamux, Mismatch::PeerMux(Dialect::Yamux)),
    ];
    for (change, expected) in cases {
        let mut settings = both(|_| {});
        change(&mut settings.0);
        settings.1.nocomp = expected == Mismatch::PeerCompresses;
        settings.1.mux = DialectChoice::Smux;
        let mut pair = Pair::new(settings);
        pair.client.open_stream(pair.now).unwrap();
        pair.run_until(LIMIT, |pair| pair.server_is_closed());
        assert_eq!(pair.accepted().mismatch(), Some(expected));
    }
}

#[test]
fn the_rate_limit_holds_and_does_not_spin() {
    let mut settings = both(|s| s.nocomp = true);
    settings.0.ratelimit = 200_000;
    let mut pair = Pair::new(settings);
    let start = pair.now;
    let data = pattern(1_000_000);
    assert!(pair.upload(&data, Duration::from_secs(60)) == data);
    let seconds = pair.now.since(start).as_secs_f64();
    let rate = pair.client.stats().out_bytes as f64 / seconds;
    assert!((150_000.0..230_000.0).contains(&rate), "{rate} bytes per second");
    assert!(pair.timeouts < 20_000, "{} timeouts in {seconds} s", pair.timeouts);
}

#[test]
fn a_client_whose_port_changes_with_every_datagram_has_one_session() {
    // KCP-26
    let mut pair = Pair::new(both(|_| {}));
    pair.drop = Box::new(|to_server, _| !to_server);
    let id = pair.client.open_stream(pair.now).unwrap();
    pair.client.write(pair.now, id, b"asked once").unwrap();
    // Nothing is acknowledged, so that every datagram carries the first data again, from another port each time.
    for port in 5000..5008 {
        pair.client_address.set_port(port);
        let sent = pair.sent;
        pair.run_until(LIMIT, |pair| pair.sent > sent + 1);
        assert_eq!(pair.server.session_count(), usize::from(pair.session.is_some()));
    }
    let marks = pair.accepted().stats().marks;
    assert!(marks.has(Mark::MigrationWaits) && !marks.has(Mark::Migration), "{marks:?}");
    pair.drop = Box::new(|_, _| false);
    pair.run_for(Duration::from_secs(3));
    assert_eq!(pair.server.session_count(), 1);
    assert!(pair.client.drained());
}
