//! Nonce, checksum and packet ciphers.

/// Packet ciphers under kcptun's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "stub")]
pub enum Cipher {
    Aes,
}

/// A cipher with its key schedule.
#[derive(Clone, Debug)]
pub struct Suite;
