//! Pads and key streams equal those of xtaci/qpp v1.1.25 (scenarios/golden/vectors/qpp.json).

use engine::qpp::{Generator, Pads};
use serde_json::Value;
use sha2::{Digest, Sha256};

struct Case {
    name: String,
    pads: Pads,
    value: Value,
}

impl Case {
    fn bytes(&self, field: &str) -> Vec<u8> {
        bytes(&self.value[field])
    }
}

fn cases() -> Vec<Case> {
    let path = format!("{}/../scenarios/golden/vectors/qpp.json", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let case = |value: &Value| {
        let (key, count) = (value["key"].as_str().unwrap(), value["count"].as_u64().unwrap());
        let pads = Pads::new(key.as_bytes(), count.try_into().unwrap()).unwrap();
        Case { name: format!("{count} pads of {key:?}"), pads, value: value.clone() }
    };
    let cases: Vec<Case> = file["cases"].as_array().unwrap().iter().map(case).collect();
    assert_eq!(cases.len(), 6);
    cases
}

fn bytes(value: &Value) -> Vec<u8> {
    let hex = value.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn pads_equal_those_of_go() {
    // QPP-1 QPP-2 QPP-3 QPP-4
    for case in cases() {
        for (index, pad) in case.value["first_pads"].as_array().unwrap().iter().enumerate() {
            assert_eq!(case.pads.permutation(index).unwrap()[..], bytes(pad), "pad {index} of {}", case.name);
        }
        let mut sum = Sha256::new();
        (0..case.pads.count()).for_each(|index| sum.update(case.pads.permutation(index).unwrap()));
        assert_eq!(sum.finalize()[..], case.bytes("pads_sha256"), "{}", case.name);
        assert!(case.pads.permutation(case.pads.count()).is_none());
    }
}

#[test]
fn streams_equal_those_of_go() {
    // QPP-5 QPP-6 QPP-7 QPP-9
    for case in cases() {
        let (plain, sealed) = (case.bytes("plaintext"), case.bytes("ciphertext"));
        let mut stream = plain.clone();
        case.pads.generator().encrypt(&case.pads, &mut stream);
        assert_eq!(stream, sealed, "{}", case.name);
        case.pads.generator().decrypt(&case.pads, &mut stream);
        assert_eq!(stream, plain, "{}", case.name);
        let mut zeros = [0; 64];
        case.pads.generator().encrypt(&case.pads, &mut zeros);
        assert_eq!(zeros[..], case.bytes("ciphertext_of_64_zero_bytes"), "{}", case.name);
    }
}

#[test]
fn the_split_of_a_stream_does_not_matter() {
    // QPP-8
    type Step = fn(&mut Generator, &Pads, &mut [u8]);
    for case in cases() {
        let (plain, sealed) = (case.bytes("plaintext"), case.bytes("ciphertext"));
        let go: Vec<usize> = case.value["split_sizes_giving_same_ciphertext"]
            .as_array()
            .unwrap()
            .iter()
            .map(|size| size.as_u64().unwrap() as usize)
            .collect();
        for sizes in [go, vec![1], vec![0, 7], vec![8], vec![9, 15], vec![300]] {
            for (from, to, step) in
                [(&plain, &sealed, Generator::encrypt as Step), (&sealed, &plain, Generator::decrypt as Step)]
            {
                let mut stream = from.clone();
                let (mut rest, mut generator) = (&mut stream[..], case.pads.generator());
                for size in sizes.iter().cycle() {
                    let (now, later) = rest.split_at_mut((*size).min(rest.len()));
                    step(&mut generator, &case.pads, now);
                    rest = later;
                    if rest.is_empty() {
                        break;
                    }
                }
                assert_eq!(&stream, to, "{} split as {sizes:?}", case.name);
            }
        }
    }
}

#[test]
fn older_families_differ() {
    // The engine must not build the pad set of qpp v1.1.22 and earlier.
    for case in cases() {
        let older = case.value["older_families_first_64_bytes"].as_object().unwrap();
        assert!(!older.is_empty());
        for (family, bytes_64) in older {
            assert_ne!(bytes(bytes_64)[..], case.bytes("ciphertext")[..64], "{family} of {}", case.name);
        }
    }
}
