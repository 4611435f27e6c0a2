//! Generator of the contents of recorded streams, and its word list.

use super::file::{Half, Part};

const WORDS: [&str; 32] = [
    "the", "of", "and", "to", "in", "is", "that", "for", "it", "as", "was", "with", "be", "by", "on", "not",
    "he", "his", "but", "at", "are", "this", "have", "from", "or", "had", "an", "they", "which", "one",
    "you", "were",
];

/// Maximum size of a part: recorded streams have a few 100 KB, and a damaged length must not exhaust memory.
const PART_BYTES_MAX: usize = 1 << 28;

/// The bytes of one direction of a stream. Err: the description is invalid.
pub(super) fn generate(half: &Half) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for part in &half.parts {
        match part {
            Part::Literal { text } => bytes.extend_from_slice(text.as_bytes()),
            Part::Rand { seed, len } => random(&mut bytes, parse_seed(seed)?, bounded(*len)?),
            Part::Text { seed, len } => words(&mut bytes, parse_seed(seed)?, bounded(*len)?),
        }
    }
    Ok(bytes)
}

fn parse_seed(seed: &str) -> Result<u64, String> {
    let digits = seed.strip_prefix("0x").unwrap_or(seed);
    u64::from_str_radix(digits, 16).map_err(|_| format!("seed {seed:?} is not a hexadecimal number"))
}

fn bounded(len: usize) -> Result<usize, String> {
    if len <= PART_BYTES_MAX { Ok(len) } else { Err(format!("a part of {len} bytes is too large")) }
}

fn random(bytes: &mut Vec<u8>, seed: u64, len: usize) {
    let end = bytes.len() + len;
    let mut generator = XorShift(seed);
    while bytes.len() < end {
        bytes.extend_from_slice(&generator.next().to_le_bytes());
    }
    bytes.truncate(end);
}

fn words(bytes: &mut Vec<u8>, seed: u64, len: usize) {
    let end = bytes.len() + len;
    let mut generator = XorShift(seed);
    while bytes.len() < end {
        let r = generator.next();
        bytes.extend_from_slice(WORDS[(r >> 59) as usize].as_bytes());
        bytes.extend_from_slice(if r & 15 == 0 { b".\n" } else { b" " });
    }
    bytes.truncate(end);
}

/// xorshift64*.
struct XorShift(u64);

impl XorShift {
    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(2_685_821_657_736_338_717)
    }
}
