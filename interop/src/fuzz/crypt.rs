//! Opening hostile datagrams, sealing and opening the same bytes.

use super::Script;
use engine::Entropy;
use engine::crypt::{Cipher, MasterKey, OpenError, Suite};
use std::sync::LazyLock;

static SUITES: LazyLock<Vec<Suite>> = LazyLock::new(|| {
    let key = MasterKey::derive(b"it's a secrect");
    Cipher::ALL.iter().map(|cipher| Suite::new(*cipher, &key)).collect()
});

/// The first byte picks the cipher, the rest is a datagram, and then a payload.
///
/// What opens must be sealed to the same bytes again, what was sealed must open to the same payload, and a run is sealed
/// as its datagrams are one by one.
pub fn datagram_open(data: &[u8]) {
    let mut script = Script::new(data);
    let suite = &SUITES[usize::from(script.byte()) % SUITES.len()];
    let bytes = script.rest();
    open_hostile(suite, bytes);
    let sealed = seal_and_open(suite, bytes);
    if suite.cipher() == Cipher::Aes128Gcm {
        open_forged(suite, sealed, bytes.len());
    }
    seal_run(suite, bytes);
}

fn open_hostile(suite: &Suite, bytes: &[u8]) {
    assert!(!suite.is_own(&Entropy::from_seed([3; 32]).nonces(), bytes), "recognised what was not sent");
    let mut datagram = bytes.to_vec();
    match suite.open(&mut datagram) {
        Ok(payload) => {
            assert_eq!(payload, suite.head_len()..bytes.len() - suite.tail_len());
            let nonce = datagram[..suite.cipher().nonce_len()].to_vec();
            suite.seal(&nonce, &mut datagram);
            assert_eq!(datagram, bytes, "{} sealed an opened datagram differently", suite.cipher().name());
        }
        Err(OpenError::Short) => assert!(bytes.len() < suite.head_len() + suite.tail_len()),
        Err(_) => assert!(bytes.len() >= suite.head_len() + suite.tail_len()),
    }
}

fn seal_and_open(suite: &Suite, payload: &[u8]) -> Vec<u8> {
    let (head, tail) = (suite.head_len(), suite.tail_len());
    let mut datagram = vec![0; head];
    datagram.extend_from_slice(payload);
    datagram.resize(head + payload.len() + tail, 0);
    let nonce: Vec<u8> = (0..suite.cipher().nonce_len() as u8).collect();
    suite.seal(&nonce, &mut datagram);
    let sealed = datagram.clone();
    let range = suite.open(&mut datagram).expect("sealed with the same key");
    assert_eq!(&datagram[range], payload, "{} changed the payload", suite.cipher().name());
    sealed
}

/// Only this cipher promises that no bit can be changed.
fn open_forged(suite: &Suite, mut sealed: Vec<u8>, at: usize) {
    let at = at % sealed.len();
    sealed[at] ^= 1;
    assert_eq!(suite.open(&mut sealed), Err(OpenError::Checksum));
}

fn seal_run(suite: &Suite, bytes: &[u8]) {
    let segment = suite.head_len() + suite.tail_len() + 1 + bytes.len() / 3;
    let mut run = bytes.to_vec();
    run.truncate(bytes.len() / segment * segment);
    if run.is_empty() {
        return;
    }
    let mut one_by_one = run.clone();
    let [mut nonces, mut same_nonces] = [(); 2].map(|()| Entropy::from_seed([3; 32]).nonces());
    suite.seal_run(&mut nonces, &mut run, segment);
    for datagram in one_by_one.chunks_mut(segment) {
        suite.seal(&suite.next_nonce(&mut same_nonces), datagram);
    }
    let is_own = |datagram: &[u8]| suite.is_own(&nonces, datagram);
    assert!(suite.cipher() == Cipher::Null || run.chunks(segment).all(is_own)); // CRYPT-18
    assert_eq!(run, one_by_one, "{} seals a run differently", suite.cipher().name());
}
