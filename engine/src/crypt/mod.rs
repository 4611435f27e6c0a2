//! Nonce, checksum and packet ciphers: the layer between ARQ datagrams and the wire.
//!
//! ```text
//! CFB, salsa20, xor, none   nonce 16 | CRC-32 4 | payload          all of it transformed by the cipher
//! aes-128-gcm               nonce 12 | payload | tag 16            only the payload encrypted
//! null                      payload
//! ```
//!
//! A [`Suite`] is one cipher with its key schedule; it seals and opens datagrams in place. A whole run of datagrams is
//! best sealed by one [`Suite::seal_run`]: CFB is serial inside a datagram, so several chains run interleaved.
//!
//! The CRC lies inside the encrypted bytes and covers the payload alone; it is no message authentication. Only
//! aes-128-gcm resists forgery (CRYPT-4, CRYPT-13).
//!
//! aes-128-gcm uses the pure Rust crate `aes-gcm`: 2.4 GB/s at 1350 bytes, half of Go and 0.28 of aws-lc-rs, which is C
//! and would keep the engine from building for wasm32 without imports.

mod block;
mod cfb;
mod cipher;
mod gcm;
mod key;
mod plain;
mod salsa20;
mod tea;
mod transform;
mod triple_des;
mod twofish;

pub use self::cipher::Cipher;
pub use self::key::MasterKey;
pub use self::transform::OpenError;

use self::gcm::Gcm;
use self::plain::{Identity, Xor};
use self::salsa20::Salsa20;
use self::tea::{Tea, Xtea};
use self::transform::{CHECKED_HEAD_LEN, NONCE_LEN, Transform};
use self::triple_des::TripleDes;
use self::twofish::Twofish;
use crate::nonce::Nonces;
use ::cipher::KeyInit;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A cipher with its key schedule. Immutable; clones share it.
#[derive(Clone)]
pub struct Suite {
    cipher: Cipher,
    method: Arc<Method>,
}

impl Suite {
    /// Expands `key` for `cipher`, which uses as many of its bytes as it needs (CRYPT-8).
    pub fn new(cipher: Cipher, key: &MasterKey) -> Self {
        Self { cipher, method: Arc::new(Method::new(cipher, key)) }
    }

    /// The cipher in use.
    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// Bytes in front of the payload: 0, 12 or 20.
    pub fn head_len(&self) -> usize {
        self.cipher.head_len()
    }

    /// Bytes behind the payload: 0 or 16.
    pub fn tail_len(&self) -> usize {
        self.cipher.tail_len()
    }

    /// Seals `datagram` = `head_len | payload | tail_len` in place: writes the nonce, the CRC or tag, and encrypts.
    ///
    /// # Panics
    /// When `nonce` is not [`Cipher::nonce_len`] long or `datagram` is shorter than its head and tail.
    pub fn seal(&self, nonce: &[u8], datagram: &mut [u8]) {
        datagram[..self.cipher.nonce_len()].copy_from_slice(nonce);
        match &*self.method {
            Method::Checked(transform) => {
                write_crc(datagram);
                transform.encrypt(datagram);
            }
            Method::Gcm(gcm) => gcm.seal(datagram),
            Method::Null => {}
        }
    }

    /// Seals a run of datagrams of `segment` bytes back to back, the last one possibly shorter, each with a fresh nonce.
    ///
    /// The result equals that of [`Self::seal`] called for each datagram in order with [`Self::next_nonce`] (CRYPT-15).
    ///
    /// # Panics
    /// When `segment` or the last datagram is shorter than head and tail, or `segment` is 0.
    pub fn seal_run(&self, nonces: &mut Nonces, run: &mut [u8], segment: usize) {
        match &*self.method {
            Method::Checked(transform) => {
                for datagram in run.chunks_mut(segment) {
                    self.write_nonce(nonces, datagram);
                    write_crc(datagram);
                }
                transform.encrypt_run(run, segment);
            }
            Method::Gcm(gcm) => {
                for datagram in run.chunks_mut(segment) {
                    self.write_nonce(nonces, datagram);
                    gcm.seal(datagram);
                }
            }
            Method::Null => {}
        }
    }

    /// The next nonce of a sender, [`Cipher::nonce_len`] long.
    pub fn next_nonce(&self, nonces: &mut Nonces) -> Vec<u8> {
        let mut nonce = vec![0; self.cipher.nonce_len()];
        self.write_nonce(nonces, &mut nonce);
        nonce
    }

    /// Starts `datagram` with the next nonce. What is marked is its form on the wire, so its plain form is the decrypted mark.
    #[inline]
    fn write_nonce(&self, nonces: &mut Nonces, datagram: &mut [u8]) {
        let Some(place) = self.cipher.marked() else { return };
        let nonce = &mut datagram[..self.cipher.nonce_len()];
        nonces.write(place, nonce);
        if let Method::Checked(transform) = &*self.method {
            transform.decrypt(nonce);
        }
    }

    /// Whether a received datagram, not opened yet, was sealed by this process: a reflection. Always `false` for null, which
    /// has no nonce (CRYPT-18).
    #[inline]
    pub fn is_own(&self, nonces: &Nonces, datagram: &[u8]) -> bool {
        let nonce = datagram.get(..self.cipher.nonce_len());
        let marked = self.cipher.marked().zip(nonce);
        marked.is_some_and(|(place, nonce)| nonces.made(place, nonce))
    }

    /// Decrypts a received datagram in place and checks its CRC or tag; the range of the payload inside it (CRYPT-14).
    ///
    /// The nonce is not checked: there is no protection from replay, and [`Self::is_own`] recognises reflection (CRYPT-3). The payload may be empty.
    ///
    /// # Errors
    /// [`OpenError`]; the content of `datagram` is then undefined.
    pub fn open(&self, datagram: &mut [u8]) -> Result<Range<usize>, OpenError> {
        let (head, tail) = (self.head_len(), self.tail_len());
        if datagram.len() < head + tail {
            return Err(OpenError::Short);
        }
        let payload = head..datagram.len() - tail;
        match &*self.method {
            Method::Checked(transform) => {
                transform.decrypt(datagram);
                crc_holds(datagram).then_some(payload).ok_or(OpenError::Checksum)
            }
            Method::Gcm(gcm) => gcm.open(datagram).map(|()| payload),
            Method::Null => Ok(payload),
        }
    }
}

impl fmt::Debug for Suite {
    /// The cipher's name alone (CRYPT-16).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Suite").field(&self.cipher.name()).finish()
    }
}

/// The three layouts of a datagram.
enum Method {
    /// Nonce and CRC inside a length-preserving transformation.
    Checked(Box<dyn Transform>),
    Gcm(Box<Gcm>),
    Null,
}

impl Method {
    fn new(cipher: Cipher, key: &MasterKey) -> Self {
        let transform: Box<dyn Transform> = match cipher {
            Cipher::Aes => cfb::wide(aes::Aes256::new(&key.prefix().into())),
            Cipher::Aes192 => cfb::wide(aes::Aes192::new(&key.prefix().into())),
            Cipher::Aes128 => cfb::wide(aes::Aes128::new(&key.prefix().into())),
            Cipher::Twofish => cfb::wide(Twofish::new(&key.prefix())),
            Cipher::Sm4 => cfb::wide(sm4::Sm4::new(&key.prefix().into())),
            Cipher::Blowfish => cfb::narrow(blowfish(key)),
            Cipher::Cast5 => cfb::narrow(cast5::Cast5::new(&key.prefix().into())),
            Cipher::TripleDes => cfb::narrow(TripleDes::new(&key.prefix())),
            Cipher::Tea => cfb::narrow(Tea::new(&key.prefix())),
            Cipher::Xtea => cfb::narrow(Xtea::new(&key.prefix())),
            Cipher::Salsa20 => Box::new(Salsa20::new(key)),
            Cipher::Xor => Box::new(Xor::new(key)),
            Cipher::None => Box::new(Identity),
            Cipher::Aes128Gcm => return Self::Gcm(Box::new(Gcm::new(key))),
            Cipher::Null => return Self::Null,
        };
        Self::Checked(transform)
    }
}

/// Blowfish with a 32-byte key; the crate's fixed-size constructor wants 56.
fn blowfish(key: &MasterKey) -> blowfish::Blowfish {
    KeyInit::new_from_slice(key.as_bytes()).expect("blowfish takes keys of 4 to 56 bytes")
}

/// CRC-32 of the payload, little endian, behind the nonce (CRYPT-2).
fn write_crc(datagram: &mut [u8]) {
    let (head, payload) = datagram.split_at_mut(CHECKED_HEAD_LEN);
    head[NONCE_LEN..].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
}

fn crc_holds(datagram: &[u8]) -> bool {
    let (head, payload) = datagram.split_at(CHECKED_HEAD_LEN);
    head[NONCE_LEN..] == crc32fast::hash(payload).to_le_bytes()
}
