//! Identifies the differing flag when datagrams fail to open: tries the other ciphers with the same secret (CRYPT-17).

use crate::crypt::{Cipher, MasterKey, Suite};
use crate::fec::Kind;
use crate::tunnel::{Identity, MTU_MAX};

/// Every cipher, keyed with the configured secret.
#[derive(Debug)]
pub struct Diagnosis {
    own: Suite,
    others: Vec<Suite>,
}

impl Diagnosis {
    /// Prepares the ciphers; takes some tens of kilobytes.
    pub fn new(own: Cipher, key: &MasterKey) -> Self {
        let others = Cipher::ALL.iter().filter(|cipher| **cipher != own);
        Self { own: Suite::new(own, key), others: others.map(|cipher| Suite::new(*cipher, key)).collect() }
    }

    /// Whether `datagram` opens under the configured cipher. Without a cipher anything opens, so that its content must parse.
    pub fn is_own(&self, datagram: &[u8]) -> bool {
        let mut copy = datagram.to_vec();
        let Ok(payload) = self.own.open(&mut copy) else { return false };
        self.own.cipher() != Cipher::Null
            || Identity::of(&copy[payload.clone()]).is_ok_and(|identity| {
                // Parity shows no segment.
                identity.kind == Some(Kind::Parity) || identity.fits(&copy[payload])
            })
    }

    /// The other cipher under which `datagram` makes sense, if there is one. Not for the hot path: it costs some fifteen
    /// decryptions, of at most [`MTU_MAX`] bytes each.
    pub fn cipher_of(&self, datagram: &[u8]) -> Option<Cipher> {
        if datagram.len() > MTU_MAX {
            return None;
        }
        let mut copy = Vec::with_capacity(datagram.len());
        let makes_sense = |suite: &&Suite| {
            copy.clear();
            copy.extend_from_slice(datagram);
            let Ok(payload) = suite.open(&mut copy) else { return false };
            // Opening checks nothing without a header, so the payload itself must parse.
            Identity::of(&copy[payload.clone()])
                .is_ok_and(|identity| suite.cipher() != Cipher::Null || identity.fits(&copy[payload]))
        };
        self.others.iter().find(makes_sense).map(Suite::cipher)
    }
}
