//! All bytes arrive in order, with every combination of layers and over a lossy path.

use crate::pair::{Pair, both, pattern};
use engine::crypt::Cipher;
use engine::options::Mode;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn every_combination_of_layers_carries_the_bytes() {
    let data = pattern(150_000);
    for crypt in [Cipher::Aes, Cipher::Aes128Gcm, Cipher::None, Cipher::Null] {
        for (smuxver, nocomp) in [(1, false), (1, true), (2, false), (2, true)] {
            for (datashard, parityshard) in [(10, 3), (0, 0), (1, 1)] {
                let settings = both(|s| {
                    (s.crypt, s.smuxver, s.nocomp) = (crypt, smuxver, nocomp);
                    (s.datashard, s.parityshard) = (datashard, parityshard);
                });
                let got = Pair::new(settings).upload(&data, LIMIT);
                assert!(got == data, "{crypt:?} smux {smuxver} nocomp {nocomp} {datashard}/{parityshard}");
            }
        }
    }
}

#[test]
fn qpp_is_transparent() {
    let settings = both(|s| {
        s.qpp = true;
        s.qpp_count = 7;
    });
    let data = pattern(100_000);
    assert!(Pair::new(settings).upload(&data, LIMIT) == data);
}

#[test]
fn every_mode_recovers_from_loss_in_both_directions() {
    for mode in [Mode::Normal, Mode::Fast, Mode::Fast2, Mode::Fast3, Mode::Manual] {
        for fec in [false, true] {
            let mut pair = Pair::new(both(|s| {
                (s.mode, s.nocomp) = (mode, true);
                s.datashard *= i64::from(fec);
            }));
            pair.drop = Box::new(|_, n| n % 7 == 3 || n % 31 < 3);
            let data = pattern(200_000);
            assert!(pair.upload(&data, Duration::from_secs(300)) == data, "{mode:?} fec {fec}");
            let stats = pair.client.stats();
            assert!(stats.retrans_segs > 0, "the path dropped nothing that mattered");
            assert_eq!(fec, pair.accepted().stats().fec_recovered > 0);
        }
    }
}

#[test]
fn shard_counts_need_not_match() {
    let mut settings = both(|_| {});
    settings.0.datashard = 3;
    settings.0.parityshard = 2;
    let mut pair = Pair::new(settings);
    pair.drop = Box::new(|_, n| n % 20 == 19);
    let data = pattern(400_000);
    assert!(pair.upload(&data, LIMIT) == data);
    assert!(pair.accepted().stats().fec_recovered > 0, "the server did not find out 3/2");
}

#[test]
fn mtu_is_the_largest_datagram() {
    for mtu in [100, 512, 1350, 1500] {
        let mut pair = Pair::new(both(|s| (s.mtu, s.nocomp) = (mtu, true)));
        let id = pair.client.open_stream(pair.now).unwrap();
        pair.client.write(pair.now, id, &pattern(20_000)).unwrap();
        let mut out = [0; 1500];
        let mut largest = 0;
        while let Some(transmit) = pair.client.poll_transmit(pair.now, &mut out[..mtu as usize]) {
            assert_eq!(transmit.segment, None, "one mtu of room holds one datagram");
            largest = largest.max(transmit.len);
        }
        assert_eq!(largest, mtu as usize);
    }
}
