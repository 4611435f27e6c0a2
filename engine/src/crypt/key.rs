//! From the shared secret to the ciphers' keys.

use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use std::fmt;

/// The key every cipher takes its first bytes of (kcptun `pass`).
#[derive(Clone)]
pub struct MasterKey([u8; 32]);

impl MasterKey {
    /// PBKDF2-HMAC-SHA1 of the shared secret with kcptun's salt and 4096 rounds: about a millisecond (CRYPT-7).
    pub fn derive(secret: &[u8]) -> Self {
        let mut key = [0; 32];
        pbkdf2_hmac::<Sha1>(secret, b"kcp-go", 4096, &mut key);
        Self(key)
    }

    /// The first `N` bytes, N <= 32 (CRYPT-8).
    pub(super) fn prefix<const N: usize>(&self) -> [u8; N] {
        std::array::from_fn(|i| self.0[i])
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for MasterKey {
    /// Without the key (CRYPT-16).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

impl From<[u8; 32]> for MasterKey {
    /// A key that was derived elsewhere.
    fn from(key: [u8; 32]) -> Self {
        Self(key)
    }
}
