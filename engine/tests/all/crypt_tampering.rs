//! Refusal of corrupted datagrams, foreign keys and noise, and its limits.

use engine::Entropy;
use engine::crypt::{Cipher, MasterKey, OpenError, Suite};
use proptest::prelude::*;
use std::ops::Range;

fn config() -> ProptestConfig {
    let rng_seed = proptest::test_runner::RngSeed::Fixed(23);
    ProptestConfig { cases: 64, rng_seed, failure_persistence: None, ..Default::default() }
}

fn suite(cipher: Cipher) -> Suite {
    Suite::new(cipher, &MasterKey::from(std::array::from_fn(|i| 7 * i as u8)))
}

fn sealed(suite: &Suite, payload: &[u8], nonce: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0; suite.head_len() + payload.len() + suite.tail_len()];
    datagram[suite.head_len()..][..payload.len()].copy_from_slice(payload);
    suite.seal(&nonce[..suite.cipher().nonce_len()], &mut datagram);
    datagram
}

/// CRYPT-4: the bytes of a datagram in which a flipped bit is not detected, because the payload and the CRC open unchanged.
///
/// In CFB a flip in a block damages that block and the next: with 16-byte blocks one in the nonce reaches the CRC, with
/// 8-byte blocks one in the first half of the nonce does not. In salsa20 the first half of the nonce selects the key
/// stream. Without a CRC no corruption is detected.
fn blind_bytes(cipher: Cipher, datagram_len: usize) -> Range<usize> {
    match cipher {
        Cipher::Aes | Cipher::Aes128 | Cipher::Aes192 | Cipher::Twofish | Cipher::Sm4 => 0..0,
        Cipher::Blowfish | Cipher::Cast5 | Cipher::TripleDes | Cipher::Tea | Cipher::Xtea => 0..8,
        Cipher::Salsa20 => 8..16,
        Cipher::Xor | Cipher::None => 0..16,
        Cipher::Aes128Gcm => 0..0,
        Cipher::Null => 0..datagram_len,
    }
}

#[test]
fn every_flipped_bit_is_refused_but_in_the_blind_bytes() {
    // CRYPT-3 CRYPT-4
    for &cipher in Cipher::ALL {
        let suite = suite(cipher);
        for payload in [&[][..], &[0x15], &[0xa5; 24], &[0x5a; 77]] {
            let datagram = sealed(&suite, payload, &[9; 16]);
            for bit in 0..datagram.len() * 8 {
                let mut flipped = datagram.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let opened = suite.open(&mut flipped);
                if !blind_bytes(cipher, datagram.len()).contains(&(bit / 8)) {
                    assert_eq!(
                        opened,
                        Err(OpenError::Checksum),
                        "{cipher:?}: bit {bit} of {}",
                        datagram.len()
                    );
                } else if cipher != Cipher::Null {
                    assert_eq!(
                        &flipped[opened.unwrap()],
                        payload,
                        "{cipher:?}: bit {bit} of {}",
                        datagram.len()
                    );
                } else {
                    assert_eq!(opened, Ok(0..payload.len()));
                }
            }
        }
    }
}

#[test]
fn truncated_datagrams_are_refused() {
    // CRYPT-3
    for &cipher in Cipher::ALL.iter().filter(|&&cipher| cipher != Cipher::Null) {
        let suite = suite(cipher);
        let datagram = sealed(&suite, &[0xa5; 50], &[9; 16]);
        let least = suite.head_len() + suite.tail_len();
        for len in 0..datagram.len() {
            let expected = if len < least { OpenError::Short } else { OpenError::Checksum };
            assert_eq!(suite.open(&mut datagram[..len].to_vec()), Err(expected), "{cipher:?} cut to {len}");
        }
        assert_eq!(suite.open(&mut datagram.clone()), Ok(suite.head_len()..suite.head_len() + 50));
    }
}

#[test]
fn another_key_is_refused() {
    // CRYPT-3
    let other = MasterKey::from([0x33; 32]);
    for &cipher in Cipher::ALL {
        let opened = Suite::new(cipher, &other).open(&mut sealed(&suite(cipher), &[0xa5; 50], &[9; 16]));
        let keyless = matches!(cipher, Cipher::None | Cipher::Null);
        assert_eq!(opened.is_ok(), keyless, "{cipher:?}");
    }
}

#[test]
fn noise_of_any_length_is_refused() {
    // CRYPT-3
    let mut entropy = Entropy::from_seed([1; 32]);
    let suites: Vec<_> = Cipher::ALL.iter().map(|&cipher| suite(cipher)).collect();
    for len in 0..1600 {
        let mut noise = vec![0; len];
        entropy.fill(&mut noise);
        for suite in &suites {
            let opened = suite.open(&mut noise.clone());
            match suite.cipher() {
                Cipher::Null => assert_eq!(opened, Ok(0..len)),
                _ => assert!(opened.is_err(), "{:?} opens {len} bytes of noise", suite.cipher()),
            }
        }
    }
}

#[test]
fn none_and_null_do_not_understand_each_other() {
    // CRYPT-12
    let datagram = sealed(&suite(Cipher::Null), &[0xa5; 50], &[]);
    assert_eq!(datagram, [0xa5; 50]);
    assert_eq!(suite(Cipher::None).open(&mut datagram.clone()), Err(OpenError::Checksum));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn opening_reverses_sealing(
        index in 0..Cipher::ALL.len(),
        key: [u8; 32],
        nonce: [u8; 16],
        payload in prop::collection::vec(any::<u8>(), 0..1480),
    ) {
        // CRYPT-14
        let suite = Suite::new(Cipher::ALL[index], &MasterKey::from(key));
        let mut datagram = sealed(&suite, &payload, &nonce);
        let range = suite.open(&mut datagram).unwrap();
        prop_assert_eq!(&datagram[range], &payload[..]);
    }
}
