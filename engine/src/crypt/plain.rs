//! The transformations without cryptography: xor, none.

use super::MasterKey;
use super::transform::Transform;
use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;

/// A fixed table over the whole datagram, nonce included (CRYPT-11).
pub(super) struct Xor(Box<[u8; Self::TABLE_LEN]>);

impl Xor {
    /// kcp-go's largest datagram; bytes beyond it are left alone, as in kcp-go.
    const TABLE_LEN: usize = 1500;

    pub(super) fn new(key: &MasterKey) -> Self {
        let mut table = Box::new([0; Self::TABLE_LEN]);
        pbkdf2_hmac::<Sha1>(key.as_bytes(), b"sH3CIVoF#rWLtJo6", 32, &mut *table);
        Self(table)
    }
}

impl Transform for Xor {
    fn encrypt(&self, datagram: &mut [u8]) {
        for (byte, pad) in datagram.iter_mut().zip(self.0.iter()) {
            *byte ^= pad;
        }
    }

    fn decrypt(&self, datagram: &mut [u8]) {
        self.encrypt(datagram);
    }
}

/// `none`: header and CRC without a cipher (CRYPT-12).
pub(super) struct Identity;

impl Transform for Identity {
    fn encrypt(&self, _: &mut [u8]) {}
    fn decrypt(&self, _: &mut [u8]) {}
}
