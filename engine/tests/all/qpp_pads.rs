//! Properties of pads for any key and count, beyond the vectors.

use engine::qpp::{Pads, QppError};
use proptest::prelude::*;

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 24,
        rng_seed: proptest::test_runner::RngSeed::Fixed(17),
        failure_persistence: None,
        ..Default::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn decrypting_reverses_encrypting(key in prop::collection::vec(any::<u8>(), 0..300), count in 1..20_u16, plain: Vec<u8>) {
        // QPP-6
        let pads = Pads::new(&key, count).unwrap();
        let mut stream = plain.clone();
        pads.generator().encrypt(&pads, &mut stream);
        prop_assert_eq!(stream.len(), plain.len());
        pads.generator().decrypt(&pads, &mut stream);
        prop_assert_eq!(stream, plain);
    }

    #[test]
    fn every_pad_is_a_permutation(key: Vec<u8>, count in 1..20_u16) {
        // QPP-3
        let pads = Pads::new(&key, count).unwrap();
        prop_assert_eq!(pads.count(), usize::from(count));
        for index in 0..pads.count() {
            let mut sorted = *pads.permutation(index).unwrap();
            sorted.sort_unstable();
            prop_assert!(sorted.into_iter().eq(0..=255));
        }
    }
}

#[test]
fn no_pads_are_refused() {
    // QPP-1
    assert_eq!(Pads::new(b"key", 0).unwrap_err(), QppError::NoPads);
}

#[test]
fn another_count_or_key_gives_wrong_bytes_without_an_error() {
    // QPP-9
    let pads = Pads::new(b"it's a secrect", 61).unwrap();
    for other in [Pads::new(b"it's a secrect", 60).unwrap(), Pads::new(b"it's a secret", 61).unwrap()] {
        let mut stream = [0; 256];
        pads.generator().encrypt(&pads, &mut stream);
        other.generator().decrypt(&other, &mut stream);
        assert_ne!(stream, [0; 256]);
    }
}

#[test]
fn directions_start_equal_and_are_independent() {
    // QPP-7
    let pads = Pads::new(b"it's a secrect", 7).unwrap();
    let (mut one, mut other) = (pads.generator(), pads.generator());
    let mut first = [[0; 40]; 2];
    one.encrypt(&pads, &mut first[0]);
    other.encrypt(&pads, &mut first[1]);
    assert_eq!(first[0], first[1]);
    let mut next = [0; 40];
    one.encrypt(&pads, &mut next);
    assert_ne!(first[0], next);
}

#[test]
fn secrets_stay_out_of_debug_output() {
    // QPP-10
    let pads = Pads::new(b"it's a secrect", 7).unwrap();
    assert_eq!(format!("{pads:?} {:?}", pads.generator()), "Pads { count: 7, .. } Generator(..)");
}
