//! The ciphers' names and header lengths.

use super::transform::{CHECKED_HEAD_LEN, NONCE_LEN};
use crate::nonce::Place;

/// Packet ciphers under kcptun's names (`--crypt`; kcptun std/crypt.go).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cipher {
    /// `aes`: AES-256, CFB. The default.
    Aes,
    /// `aes-128`: AES-128, CFB.
    Aes128,
    /// `aes-192`: AES-192, CFB.
    Aes192,
    /// `aes-128-gcm`: the only authenticated one.
    Aes128Gcm,
    /// `salsa20`: Salsa20/20, its nonce being the first 8 bytes of the datagram's.
    Salsa20,
    /// `blowfish`: 32-byte key, CFB with 8-byte blocks.
    Blowfish,
    /// `twofish`: 32-byte key, CFB.
    Twofish,
    /// `cast5`: CAST-128, CFB with 8-byte blocks.
    Cast5,
    /// `3des`: three keys, CFB with 8-byte blocks.
    TripleDes,
    /// `tea`: TEA of 8 cycles (a quarter of the standard's), CFB with 8-byte blocks.
    Tea,
    /// `xtea`: 32 cycles, CFB with 8-byte blocks.
    Xtea,
    /// `xor`: a fixed 1500-byte table. Offers no secrecy: two datagrams reveal it.
    Xor,
    /// `sm4`: CFB.
    Sm4,
    /// `none`: nonce and CRC, not encrypted.
    None,
    /// `null`: nothing at all, not even a CRC.
    Null,
}

// In the order of kcptun's help. kcptun takes any other name for `aes`; that is left to the caller (CRYPT-9).
crate::named! {
    Cipher {
        Aes = "aes",
        Aes128 = "aes-128",
        Aes128Gcm = "aes-128-gcm",
        Aes192 = "aes-192",
        Salsa20 = "salsa20",
        Blowfish = "blowfish",
        Twofish = "twofish",
        Cast5 = "cast5",
        TripleDes = "3des",
        Tea = "tea",
        Xtea = "xtea",
        Xor = "xor",
        Sm4 = "sm4",
        None = "none",
        Null = "null",
    }
}

impl Cipher {
    /// Bytes in front of the payload: nonce and CRC 20, GCM nonce 12, null 0 (CRYPT-1).
    pub const fn head_len(self) -> usize {
        match self {
            Self::Aes128Gcm => self.nonce_len(),
            Self::Null => 0,
            _ => CHECKED_HEAD_LEN,
        }
    }

    /// Bytes behind the payload: the tag of aes-128-gcm, 16 (CRYPT-1).
    pub const fn tail_len(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            _ => 0,
        }
    }

    /// Bytes of the nonce at the start of each datagram: 16, for aes-128-gcm 12, for null 0 (CRYPT-1).
    pub const fn nonce_len(self) -> usize {
        match self {
            Self::Aes128Gcm => 12,
            Self::Null => 0,
            _ => NONCE_LEN,
        }
    }

    /// The part of the nonce by which a process recognises its own datagrams (CRYPT-18); `None` without a nonce.
    pub(crate) const fn marked(self) -> Option<Place> {
        match self {
            Self::Aes | Self::Aes128 | Self::Aes192 | Self::Twofish | Self::Sm4 | Self::Xor | Self::None => {
                Some(Place::Whole)
            }
            Self::Aes128Gcm | Self::Salsa20 => Some(Place::Front),
            Self::Blowfish | Self::Cast5 | Self::TripleDes | Self::Tea | Self::Xtea => Some(Place::Back),
            Self::Null => None,
        }
    }
}
