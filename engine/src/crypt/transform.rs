//! What every cipher of a datagram provides, and the layout that they share.

/// Nonce and CRC of every cipher but aes-128-gcm and null (CRYPT-1).
pub(super) const CHECKED_HEAD_LEN: usize = NONCE_LEN + 4;
pub(super) const NONCE_LEN: usize = 16;

/// Why a datagram could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Shorter than the head and tail of its cipher.
    #[error("datagram shorter than its crypt header")]
    Short,
    /// CRC or tag wrong: damaged, or sealed with another key or cipher.
    #[error("wrong checksum or tag")]
    Checksum,
}

/// A keyed, length-preserving transformation of whole datagrams.
pub(super) trait Transform: Send + Sync {
    fn encrypt(&self, datagram: &mut [u8]);

    /// Encrypts each datagram of a run of `segment` bytes each, the last one possibly shorter.
    fn encrypt_run(&self, run: &mut [u8], segment: usize) {
        for datagram in run.chunks_mut(segment) {
            self.encrypt(datagram);
        }
    }

    fn decrypt(&self, datagram: &mut [u8]);
}
