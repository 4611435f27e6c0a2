//! Quantum permutation pad: a keyed substitution over the application bytes of each stream, above the multiplexer
//! (xtaci/qpp v1.1.23 and later; kcptun `--QPP`).
//!
//! Lengths stay the same, there is no header and no integrity (QPP-9). Every stream, and both directions of every stream, start
//! with the same key stream (QPP-7): this is obfuscation on top of the packet cipher and no replacement for it.

use aes::Aes256;
use cipher::array::Array;
use cipher::consts::U16;
use cipher::{BlockCipherEncrypt, KeyInit};
use hmac::{Hmac, Mac};
use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;

const SEED_SALT: &[u8] = b"___QUANTUM_PERMUTATION_PAD_SEED_DERIVE___";
const SHUFFLE_SALT: &[u8] = b"___QUANTUM_PERMUTATION_PAD_SHUFFLE_SALT___";
const SELECTOR_SALT: &[u8] = b"___QUANTUM_PERMUTATION_PAD_PRNG_SALT___";
const SELECTOR: &[u8] = b"PERMUTATION_MATRIX_SELECTOR";

const PAD_ID: &[u8] = b"karst: permutation pads";

/// Stands for no pads where 0 stands for an end that states nothing.
pub const NO_PADS: u16 = u16::MAX;

/// Bytes one generator word serves.
const WORD_LEN: usize = 8;
/// 32-byte pieces that hold the 1684 bits of 256! (QPP-2).
const CHUNKS: usize = 7;
/// Keys shorter than this repeat inside the chunks; kcptun warns about them.
pub const KEY_LEN_ADVISED: usize = 211;
/// Fewer pads than this get a warning from kcptun.
pub const PADS_ADVISED: u16 = 7;

/// The permutations of one key. Immutable; clones share them. Made once per process.
#[derive(Clone)]
pub struct Pads(Arc<Inner>);

struct Inner {
    forward: Vec<[u8; 256]>,
    reverse: Vec<[u8; 256]>,
    generator: Generator,
}

impl Pads {
    /// Derives `count` permutations from the raw key, not from the packet ciphers' master key (QPP-1).
    ///
    /// Takes some milliseconds for 61 pads and grows with `count`. kcptun takes its option modulo 65536.
    ///
    /// # Errors
    /// [`QppError::NoPads`] when `count` is 0.
    pub fn new(key: &[u8], count: u16) -> Result<Self, QppError> {
        if count == 0 {
            return Err(QppError::NoPads);
        }
        let chunks = chunks(key);
        // QPP-4
        let shufflers = chunks.map(|chunk| Aes256::new(&pbkdf2::<32>(&chunk, SHUFFLE_SALT, 128).into()));
        let forward: Vec<_> =
            (0..count).map(|pad| shuffled(pad, &chunks[usize::from(pad) % CHUNKS], &shufflers)).collect();
        let reverse = forward.iter().map(inverse).collect();
        Ok(Self(Arc::new(Inner { forward, reverse, generator: Generator::new(key) })))
    }

    /// A generator at its start, for one direction of one stream (QPP-7).
    pub fn generator(&self) -> Generator {
        self.0.generator.clone()
    }

    /// Identifies key and count, 1 to 65534 (QPP-11); other pads share it by a chance of one to 65534.
    pub fn id(&self) -> u16 {
        let count = (self.count() as u64).to_le_bytes();
        let mut bytes = [PAD_ID, &count].concat();
        bytes.extend(self.0.generator.state.iter().flat_map(|word| word.to_le_bytes()));
        let hash = Sha256::digest(&bytes);
        let number = u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]]);
        (number % u32::from(NO_PADS - 1)) as u16 + 1
    }

    /// Number of pads.
    pub fn count(&self) -> usize {
        self.0.forward.len()
    }

    /// The permutation number `index`, for tests and tools.
    pub fn permutation(&self, index: usize) -> Option<&[u8; 256]> {
        self.0.forward.get(index)
    }
}

impl fmt::Debug for Pads {
    /// Without the permutations (QPP-10).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pads").field("count", &self.count()).finish_non_exhaustive()
    }
}

/// Why pads could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QppError {
    /// The count is 0.
    #[error("the number of pads must be positive")]
    NoPads,
}

/// Where one direction of one stream stands in its key stream: xoshiro256**, one word for eight bytes (QPP-5).
#[derive(Clone)]
pub struct Generator {
    state: [u64; 4],
    word: u64,
    /// Bytes of `word` already used, 0..=7.
    used: usize,
}

impl Generator {
    fn new(key: &[u8]) -> Self {
        let mac = hmac_sha256(key, SELECTOR);
        let seed = pbkdf2::<32>(&mac, SELECTOR_SALT, 128);
        let state = std::array::from_fn(|i| u64::from_le_bytes(std::array::from_fn(|j| seed[8 * i + j])));
        let mut generator = Self { state, word: 0, used: 0 };
        generator.word = generator.next_word();
        generator
    }

    /// Encrypts the next bytes of the stream in place (QPP-6). How the stream is split into calls makes no difference (QPP-8).
    pub fn encrypt(&mut self, pads: &Pads, bytes: &mut [u8]) {
        self.apply(bytes, &pads.0.forward, |pad, byte, mask| pad[usize::from(byte ^ mask)]);
    }

    /// Decrypts the next bytes of the stream in place (QPP-6).
    pub fn decrypt(&mut self, pads: &Pads, bytes: &mut [u8]) {
        self.apply(bytes, &pads.0.reverse, |pad, byte, mask| pad[usize::from(byte)] ^ mask);
    }

    #[inline(always)]
    fn apply(&mut self, mut bytes: &mut [u8], pads: &[[u8; 256]], map: impl Fn(&[u8; 256], u8, u8) -> u8) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at_mut(bytes.len().min(WORD_LEN - self.used));
            let pad = &pads[usize::from(self.word as u16) % pads.len()];
            let masks = self.word.to_le_bytes();
            for (byte, mask) in now.iter_mut().zip(&masks[self.used..]) {
                *byte = map(pad, *byte, *mask);
            }
            self.advance(now.len());
            bytes = later;
        }
    }

    /// Takes `len` bytes off the current word.
    fn advance(&mut self, len: usize) {
        self.used += len;
        if self.used == WORD_LEN {
            self.used = 0;
            self.word = self.next_word();
        }
    }

    fn next_word(&mut self) -> u64 {
        let s = &mut self.state;
        let word = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        word
    }
}

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Generator(..)")
    }
}

/// The key, stretched to 32 bytes if shorter, cut cyclically into pieces, each hashed (QPP-2).
fn chunks(key: &[u8]) -> [[u8; 32]; CHUNKS] {
    let stretched = (key.len() < 32).then(|| pbkdf2::<32>(key, SEED_SALT, 128));
    let seed = stretched.as_ref().map_or(key, |seed| seed.as_slice());
    std::array::from_fn(|chunk| {
        let raw: [u8; 32] = std::array::from_fn(|i| seed[(32 * chunk + i) % seed.len()]);
        pbkdf2(&raw, SEED_SALT, 1024)
    })
}

/// Pad number `pad`: Fisher-Yates, its random numbers an AES cascade over a MAC of the pad's name (QPP-3).
fn shuffled(pad: u16, chunk: &[u8; 32], shufflers: &[Aes256; CHUNKS]) -> [u8; 256] {
    let name = format!("QPP_{pad:b}");
    let mac = hmac_sha256(chunk, name.as_bytes());
    let mut halves: [Array<u8, U16>; 2] = std::array::from_fn(|half| Array::from_fn(|i| mac[16 * half + i]));
    let mut permutation = std::array::from_fn(|i| i as u8);
    for i in (1..permutation.len()).rev() {
        for shuffler in shufflers {
            shuffler.encrypt_blocks(&mut halves);
        }
        permutation.swap(i, remainder(&halves, i + 1));
    }
    permutation
}

fn inverse(permutation: &[u8; 256]) -> [u8; 256] {
    let mut inverse = [0; 256];
    for (from, &to) in (0..=u8::MAX).zip(permutation) {
        inverse[usize::from(to)] = from;
    }
    inverse
}

/// The halves as one 256-bit big-endian number, modulo `divisor` (at most 256).
fn remainder(halves: &[Array<u8, U16>; 2], divisor: usize) -> usize {
    let words = halves.iter().flat_map(|half| half.chunks_exact(4));
    let number = words.map(|word| word.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)));
    number.fold(0, |rest, word| (rest << 32 | word) % divisor as u64) as usize
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn pbkdf2<const N: usize>(password: &[u8], salt: &[u8], rounds: u32) -> [u8; N] {
    let mut out = [0; N];
    pbkdf2_hmac::<Sha1>(password, salt, rounds, &mut out);
    out
}
