//! A run of datagrams is sealed to the same bytes as its datagrams one by one.

use engine::crypt::{Cipher, MasterKey, Suite};
use engine::{Entropy, Nonces};

fn suite(cipher: Cipher) -> Suite {
    Suite::new(cipher, &MasterKey::from(std::array::from_fn(|i| 7 * i as u8)))
}

fn payloads(len: usize) -> Vec<u8> {
    let mut run = vec![0; len];
    Entropy::from_seed([3; 32]).fill(&mut run);
    run
}

fn nonces() -> Nonces {
    Entropy::from_seed([5; 32]).nonces()
}

fn sealed_one_by_one(suite: &Suite, nonces: &mut Nonces, run: &[u8], segment: usize) -> Vec<u8> {
    let mut sealed = run.to_vec();
    for datagram in sealed.chunks_mut(segment) {
        suite.seal(&suite.next_nonce(nonces), datagram);
    }
    sealed
}

/// CRYPT-15: all datagrams of a run equal those sealed individually, and as many nonces are used.
fn check(suite: &Suite, segment: usize, count: usize, last_len: usize) {
    let plain = payloads(segment * (count - 1) + last_len);
    let mut nonces = [nonces(), nonces()];
    let mut run = plain.clone();
    suite.seal_run(&mut nonces[0], &mut run, segment);
    let name = suite.cipher().name();
    let expected = sealed_one_by_one(suite, &mut nonces[1], &plain, segment);
    assert!(run == expected, "{name}: {count} datagrams of {segment}, the last of {last_len} bytes");
    let [after_run, after_each] = nonces.map(|mut nonces| suite.next_nonce(&mut nonces));
    assert_eq!(after_run, after_each, "{name}");
    for (sealed, plain) in run.chunks_mut(segment).zip(plain.chunks(segment)) {
        let range = suite.open(sealed).expect("a sealed datagram opens");
        assert_eq!(sealed[range.clone()], plain[range], "{name}");
    }
}

#[test]
fn any_number_of_datagrams() {
    for &cipher in Cipher::ALL {
        let suite = suite(cipher);
        for count in 1..=40 {
            check(&suite, 75, count, 75);
            check(&suite, 75, count, 61);
        }
    }
}

#[test]
fn any_length_of_the_last_datagram() {
    for &cipher in Cipher::ALL {
        let suite = suite(cipher);
        let least = (suite.head_len() + suite.tail_len()).max(1);
        for last_len in least..=90 {
            check(&suite, 90, 3, last_len);
            check(&suite, 90, 17, last_len);
        }
    }
}

#[test]
fn any_length_of_all_datagrams() {
    for &cipher in Cipher::ALL {
        let suite = suite(cipher);
        let least = (suite.head_len() + suite.tail_len()).max(1);
        for segment in (least..100).chain([128, 1350, 1472, 1500]) {
            check(&suite, segment, 5, segment);
            check(&suite, segment, 18, least);
        }
    }
}

#[test]
fn a_run_shorter_than_its_segment_is_one_datagram() {
    for &cipher in Cipher::ALL {
        check(&suite(cipher), 1400, 1, 52);
    }
}

#[test]
fn an_empty_run_draws_no_nonce() {
    for &cipher in Cipher::ALL {
        let (suite, mut used) = (suite(cipher), nonces());
        suite.seal_run(&mut used, &mut [], 1350);
        assert_eq!(suite.next_nonce(&mut used), suite.next_nonce(&mut nonces()));
    }
}

#[test]
fn datagrams_of_a_run_have_nonces_of_their_own() {
    // CRYPT-13
    let suite = suite(Cipher::Aes128Gcm);
    let mut run = vec![0; 40 * 64];
    suite.seal_run(&mut nonces(), &mut run, 64);
    let nonces: std::collections::BTreeSet<_> = run.chunks(64).map(|datagram| &datagram[..12]).collect();
    assert_eq!(nonces.len(), 40);
}
