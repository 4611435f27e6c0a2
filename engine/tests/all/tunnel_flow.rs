//! Backpressure, runs for segmentation offload, and timers of idle tunnels.

use crate::pair::{Pair, both, pattern, read_all};
use engine::arq::Header;
use engine::crypt::{Cipher, MasterKey, Suite};
use engine::{Event, Settings};
use std::time::Duration;

#[test]
fn a_blocked_socket_causes_backpressure_without_loss() {
    let mut pair = Pair::new(both(|_| {}));
    let id = pair.client.open_stream(pair.now).unwrap();
    let data = pattern(5_000_000);
    let mut written = 0;
    while let Ok(n) = pair.client.write(pair.now, id, &data[written..]) {
        written += n;
    }
    assert!(written < 1_000_000, "{written} bytes accepted though nothing was sent");
    let mut got = Vec::new();
    pair.run_until(Duration::from_secs(60), |pair| {
        if written < data.len() {
            written += pair.client.write(pair.now, id, &data[written..]).unwrap_or(0);
        }
        let now = pair.now;
        pair.session.is_some() && {
            read_all(pair.accepted(), now, id, &mut got);
            got.len() == data.len()
        }
    });
    assert!(got == data);
}

#[test]
fn a_stalled_reader_blocks_the_writer_without_loss() {
    for smuxver in [1, 2] {
        let mut pair = Pair::new(both(|s| {
            (s.smuxver, s.smuxbuf, s.streambuf, s.nocomp) = (smuxver, 65_536, 65_536, true);
        }));
        let id = pair.client.open_stream(pair.now).unwrap();
        let data = pattern(4_000_000);
        let mut written = 0;
        for _ in 0..2_000 {
            written += pair.client.write(pair.now, id, &data[written..]).unwrap_or(0);
            pair.run_for(Duration::from_millis(10));
        }
        assert!(written < 2_500_000, "smux {smuxver}: {written} bytes in flight to a stalled reader");
        let mut got = Vec::new();
        pair.run_until(Duration::from_secs(300), |pair| {
            if written < data.len() {
                written += pair.client.write(pair.now, id, &data[written..]).unwrap_or(0);
            }
            let now = pair.now;
            read_all(pair.accepted(), now, id, &mut got);
            got.len() == data.len()
        });
        assert!(got == data);
    }
}

#[test]
fn blocked_writers_are_notified_when_space_is_available() {
    let mut pair = Pair::new(both(|_| {}));
    let id = pair.client.open_stream(pair.now).unwrap();
    let data = pattern(100_000);
    while pair.client.write(pair.now, id, &data).is_ok() {}
    pair.run_for(Duration::from_millis(50));
    let now = pair.now;
    read_all(pair.accepted(), now, id, &mut Vec::new());
    pair.run_for(Duration::from_millis(500));
    assert!(pair.client_events.contains(&Event::Writable(id)));
}

#[test]
fn runs_hold_datagrams_of_equal_size_in_order() {
    for datashard in [0, 10] {
        let mut pair = Pair::new(both(|s| (s.datashard, s.nocomp) = (datashard, true)));
        let suite = Suite::new(Cipher::Aes, &MasterKey::derive(Settings::client().key.as_bytes()));
        let id = pair.client.open_stream(pair.now).unwrap();
        let data = pattern(60_000);
        pair.client.write(pair.now, id, &data).unwrap();
        let mut out = vec![0; 65_507];
        let mut sns = Vec::new();
        let mut largest_run = 0;
        while let Some(transmit) = pair.client.poll_transmit(pair.now, &mut out) {
            let size = transmit.segment.map_or(transmit.len, |size| usize::from(size.get()));
            largest_run = largest_run.max(transmit.len.div_ceil(size));
            for datagram in out[..transmit.len].chunks_mut(size) {
                let payload = suite.open(datagram).expect("every datagram of a run is sealed on its own");
                let at = payload.start + if datashard > 0 { engine::fec::HEADER_LEN } else { 0 };
                if engine::fec::kind(&datagram[payload]) != Some(engine::fec::Kind::Parity) {
                    sns.push(Header::parse(&datagram[at..]).unwrap().0.sn);
                }
            }
        }
        assert!(largest_run > 10, "longest run {largest_run}");
        assert!(sns.is_sorted(), "{sns:?}");
    }
}

#[test]
fn an_idle_session_sleeps() {
    let mut pair = Pair::new(both(|s| s.mode = engine::options::Mode::Fast3));
    pair.upload(&pattern(1000), Duration::from_secs(10));
    pair.run_for(Duration::from_secs(5));
    let before = pair.timeouts;
    pair.run_for(Duration::from_secs(60));
    let fired = pair.timeouts - before;
    // Six NOPs and two checks a side, and the acknowledgements of the NOPs.
    assert!(fired < 60, "{fired} timeouts in an idle minute");
}
