//! AES-128-GCM with a random nonce in clear and no additional data (CRYPT-13).

use super::MasterKey;
use super::transform::OpenError;
use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes128Gcm, KeyInit};

const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;

/// `nonce 12 | payload | tag 16`.
pub(super) struct Gcm(Aes128Gcm);

impl Gcm {
    pub(super) fn new(key: &MasterKey) -> Self {
        Self(Aes128Gcm::new(&key.prefix().into()))
    }

    /// Encrypts the payload under the nonce in place and writes the tag.
    pub(super) fn seal(&self, datagram: &mut [u8]) {
        let payload_len = datagram.len() - NONCE_LEN - TAG_LEN;
        let (nonce, body) = split_nonce(datagram);
        let (payload, tag) = body.split_at_mut(payload_len);
        // Refused only beyond 64 GiB, which no datagram reaches.
        if let Ok(sum) = self.0.encrypt_inout_detached(&nonce.into(), &[], payload.into()) {
            tag.copy_from_slice(&sum);
        }
    }

    /// Decrypts the payload in place if the tag holds. `datagram` has room for nonce and tag.
    pub(super) fn open(&self, datagram: &mut [u8]) -> Result<(), OpenError> {
        let (nonce, body) = split_nonce(datagram);
        let (payload, tag) = body.split_last_chunk_mut::<TAG_LEN>().ok_or(OpenError::Short)?;
        let tag = (*tag).into();
        self.0
            .decrypt_inout_detached(&nonce.into(), &[], payload.into(), &tag)
            .map_err(|_| OpenError::Checksum)
    }
}

fn split_nonce(datagram: &mut [u8]) -> ([u8; NONCE_LEN], &mut [u8]) {
    let (nonce, body) = datagram.split_at_mut(NONCE_LEN);
    (std::array::from_fn(|i| nonce[i]), body)
}
