//! Every datagram kcp-go sealed is sealed and opened alike (scenarios/golden/vectors/crypt.json, pbkdf2.json, crc.json).
use engine::crypt::{Cipher, MasterKey, OpenError, Suite};
use serde_json::Value;

fn vectors(name: &str) -> Value {
    let path = format!("{}/../scenarios/golden/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    let hex = value.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// CRYPT-9: the cipher that kcptun selects for a name.
fn cipher_of(name: &str) -> Cipher {
    Cipher::from_name(name).unwrap_or(Cipher::Aes)
}

#[test]
fn sealed_as_kcp_go_seals() {
    // CRYPT-1 CRYPT-2 CRYPT-5 CRYPT-6 CRYPT-8 CRYPT-10 CRYPT-11 CRYPT-12 CRYPT-13 CRYPT-14
    let mut seen = std::collections::BTreeMap::new();
    for method in vectors("crypt")["methods"].as_array().unwrap() {
        let name = method["crypt"].as_str().unwrap();
        let cipher = cipher_of(name);
        let suite = Suite::new(cipher, &MasterKey::derive(method["secret"].as_str().unwrap().as_bytes()));
        assert_eq!(suite.head_len() as u64, method["header_bytes"].as_u64().unwrap(), "{name}");
        assert_eq!(suite.tail_len() as u64, method["tail_bytes"].as_u64().unwrap(), "{name}");
        for case in method["cases"].as_array().unwrap() {
            let plain = bytes(&case["plaintext_packet"]);
            let sealed = bytes(&case["ciphertext_packet"]);
            let nonce = &plain[..cipher.nonce_len()];
            let mut datagram = vec![0; sealed.len()];
            let payload = &plain[suite.head_len()..];
            datagram[suite.head_len()..][..payload.len()].copy_from_slice(payload);
            suite.seal(nonce, &mut datagram);
            assert_eq!(datagram, sealed, "{name} seals {} bytes", plain.len());
            let range = suite.open(&mut datagram).unwrap();
            assert_eq!(&datagram[range], payload, "{name} opens {} bytes", plain.len());
            *seen.entry(cipher).or_insert(0) += 1;
        }
    }
    assert!(Cipher::ALL.iter().all(|cipher| seen[cipher] >= 8), "{seen:?}");
}

#[test]
fn keys_equal_those_of_kcptun() {
    // CRYPT-7 CRYPT-11
    let mut uses = [0; 2];
    for case in vectors("pbkdf2")["cases"].as_array().unwrap() {
        let (password, derived) = (bytes(&case["password_hex"]), bytes(&case["dk"]));
        match case["use"].as_str().unwrap() {
            "master key" => {
                let given = MasterKey::from(<[u8; 32]>::try_from(derived).unwrap());
                let seal = |key: &MasterKey| {
                    let mut datagram = [0; 60];
                    Suite::new(Cipher::Salsa20, key).seal(&[7; 16], &mut datagram);
                    datagram
                };
                assert_eq!(seal(&MasterKey::derive(&password)), seal(&given), "{case}");
                uses[0] += 1;
            }
            "xor table" => {
                let mut datagram = [0; 1500];
                let key = MasterKey::from(<[u8; 32]>::try_from(password).unwrap());
                Suite::new(Cipher::Xor, &key).seal(&[0; 16], &mut datagram);
                datagram[16..20]
                    .iter_mut()
                    .zip(crc32fast::hash(&[0; 1480]).to_le_bytes())
                    .for_each(|(a, b)| *a ^= b);
                assert_eq!(datagram[..], derived, "{case}");
                uses[1] += 1;
            }
            other => panic!("unknown use {other}"),
        }
    }
    assert_eq!(uses, [6, 2]);
}

#[test]
fn checksums_equal_those_of_go() {
    // CRYPT-2
    for case in vectors("crc")["cases"].as_array().unwrap() {
        let payload = bytes(&case["data"]);
        let mut datagram = [vec![0; 20], payload].concat();
        Suite::new(Cipher::None, &MasterKey::from([0; 32])).seal(&[0; 16], &mut datagram);
        assert_eq!(datagram[16..20], bytes(&case["crc32_ieee_le_bytes"]), "{case}");
    }
}

#[test]
fn names_are_kcptuns() {
    // CRYPT-9
    for &cipher in Cipher::ALL {
        assert_eq!(Cipher::from_name(cipher.name()), Some(cipher));
    }
    for unknown in ["", "AES", "aes-256", "bogus", "des", " none"] {
        assert_eq!(Cipher::from_name(unknown), None, "{unknown:?}");
    }
}

#[test]
fn keys_stay_out_of_debug_output() {
    // CRYPT-16
    let key = MasterKey::derive(b"it's a secrect");
    assert_eq!(format!("{key:?}"), "MasterKey(..)");
    for &cipher in Cipher::ALL {
        assert_eq!(format!("{:?}", Suite::new(cipher, &key)), format!("Suite({:?})", cipher.name()));
    }
}

#[test]
fn a_suite_can_be_shared_by_threads() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<Suite>();
}

#[test]
fn a_vector_of_another_cipher_is_refused() {
    let sealed = bytes(&vectors("crypt")["methods"][0]["cases"][5]["ciphertext_packet"]);
    let key = MasterKey::derive(b"it's a secrect");
    for &cipher in Cipher::ALL.iter().filter(|&&cipher| cipher != Cipher::Null && cipher != Cipher::Aes) {
        assert_eq!(
            Suite::new(cipher, &key).open(&mut sealed.clone()),
            Err(OpenError::Checksum),
            "{cipher:?}"
        );
    }
}
