//! Measuring a path with segments behind a gap (KCP-42).
use crate::pair::{Pair, both};
use engine::Entropy;
use engine::crypt::Cipher;
use engine::options::{Mode, Settings, Side};
use engine::path_probe::{PathProbe, Reply};
use std::sync::Arc;
use std::time::Duration;

/// A probe and the server that answers it; replies are read after each datagram.
struct Probed {
    pair: Pair,
    probe: PathProbe,
}

impl Probed {
    fn new(settings: (Settings, Settings)) -> Self {
        let probe = PathProbe::new(&settings.0.tunnel_config().unwrap(), Entropy::from_seed([5; 32]));
        Self { pair: Pair::new(settings), probe }
    }

    fn send(&mut self, datagram: Vec<u8>) {
        self.pair.deliver_to_server(&mut { datagram });
    }

    /// What the server sends within 200 ms, parity left out.
    fn replies(&mut self) -> Vec<Reply> {
        let until = self.pair.now + Duration::from_millis(200);
        let mut replies = Vec::new();
        let mut acknowledged = 0;
        let mut out = [0; 1500];
        while self.pair.now < until {
            let now = self.pair.now;
            let tunnel = self.pair.accepted();
            tunnel.handle_timeout(now);
            while let Some(transmit) = tunnel.poll_transmit(now, &mut out) {
                replies.extend(self.probe.read(&mut out[..transmit.len]));
            }
            let unacknowledged = replies.split_off(acknowledged);
            for reply in unacknowledged {
                if let Some(datagram) = self.probe.acknowledge(&reply) {
                    self.send(datagram);
                }
                replies.push(reply);
            }
            acknowledged = replies.len();
            self.pair.now = now + Duration::from_millis(5);
        }
        replies
    }

    fn acked(&mut self) -> (u32, Vec<(u32, u32)>) {
        let replies = self.replies();
        let una = replies.last().unwrap().una;
        (una, replies.into_iter().flat_map(|reply| reply.acks).collect())
    }
}

fn kinds() -> Vec<(Settings, Settings)> {
    let auto = (Settings::new(Side::Client, Mode::Auto), Settings::new(Side::Server, Mode::Auto));
    let changed = |change: fn(&mut Settings)| both(change);
    vec![
        auto,
        changed(|_| ()),
        changed(|settings| settings.nocomp = true),
        changed(|settings| settings.smuxver = 1),
        changed(|settings| (settings.crypt, settings.datashard) = (Cipher::Aes128Gcm, 0)),
        changed(|settings| settings.crypt = Cipher::Null),
    ]
}

// KCP-42
#[test]
fn every_segment_behind_a_gap_is_acknowledged_with_its_tag() {
    for settings in kinds() {
        let mut probed = Probed::new(settings);
        let first = probed.probe.segment(0, 1000);
        probed.send(first);
        probed.replies();
        for sn in (2..30).filter(|sn| ![7, 9].contains(sn)) {
            let datagram = probed.probe.segment(sn, 1000 + sn);
            probed.send(datagram);
        }
        let (una, acks) = probed.acked();
        let expected: Vec<(u32, u32)> =
            (2..30).filter(|sn| ![7, 9].contains(sn)).map(|sn| (sn, 1000 + sn)).collect();
        assert!(una == 1 && expected.iter().all(|ack| acks.contains(ack)), "{acks:?}");
        assert!(acks.iter().all(|ack| expected.contains(ack)), "nothing else is acknowledged: {acks:?}");
        for (filled, una) in [(1, 7), (7, 9), (9, 30)] {
            let datagram = probed.probe.segment(filled, 2000);
            probed.send(datagram);
            assert_eq!(probed.acked(), (una, vec![(filled, 2000)]));
        }
        // A keepalive frame in each of them, which means nothing to the server's streams.
        let tunnel = probed.pair.accepted();
        assert!(!tunnel.is_closed() && tunnel.stream_count() == 0 && tunnel.stats().bytes_received > 29 * 8);
    }
}

// KCP-42
#[test]
fn padded_segments_have_any_size_and_are_never_delivered() {
    for settings in kinds() {
        let mut probed = Probed::new(settings);
        let first = probed.probe.segment(0, 0);
        probed.send(first);
        let received = {
            probed.replies();
            probed.pair.accepted().stats().bytes_received
        };
        for (sn, bytes) in [(64, 508), (65, 1350), (66, 1500)] {
            let datagram = probed.probe.padded(sn, sn, bytes);
            assert_eq!(datagram.len(), bytes);
            probed.send(datagram);
            assert_eq!(probed.acked(), (1, vec![(sn, sn)]));
        }
        let tunnel = probed.pair.accepted();
        assert!(!tunnel.is_closed() && tunnel.stats().bytes_received == received);
    }
}

// KCP-42
#[test]
fn other_datagrams_are_no_replies() {
    let (client, _) = both(|_| ());
    let config = Arc::new(client.tunnel_config().unwrap());
    let mut probe = PathProbe::new(&config, Entropy::from_seed([6; 32]));
    let mut foreign = PathProbe::new(&config, Entropy::from_seed([7; 32])).segment(3, 4);
    assert_eq!(probe.read(&mut foreign), None);
    let mut damaged = probe.segment(3, 4);
    damaged[30] ^= 1;
    assert_eq!(probe.read(&mut damaged), None);
    // Data acknowledges nothing but una.
    let mut data = probe.segment(3, 4);
    assert_eq!(
        probe.read(&mut data),
        Some(Reply { una: 0, window: u16::MAX, acks: vec![], data: vec![(3, 4)] })
    );
}
