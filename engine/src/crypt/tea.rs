//! TEA and XTEA with big-endian words, as golang.org/x/crypto has them (CRYPT-6).

use super::block::impl_block_cipher;
use cipher::consts::U8;

const DELTA: u32 = 0x9e37_79b9;
/// kcp-go asks for 16 Feistel rounds; the standard has 32 cycles.
const TEA_CYCLES: u32 = 8;
const XTEA_CYCLES: usize = 32;

/// TEA of 8 cycles.
pub(super) struct Tea([u32; 4]);

impl Tea {
    pub(super) fn new(key: &[u8; 16]) -> Self {
        Self(words(key))
    }

    #[inline(always)]
    fn encrypted(&self, block: [u8; 8]) -> [u8; 8] {
        let [mut v0, mut v1] = halves(block);
        let [k0, k1, k2, k3] = self.0;
        let mut sum = 0_u32;
        for _ in 0..TEA_CYCLES {
            sum = sum.wrapping_add(DELTA);
            v0 = v0.wrapping_add(tea_mix(v1, k0, k1, sum));
            v1 = v1.wrapping_add(tea_mix(v0, k2, k3, sum));
        }
        joined([v0, v1])
    }
}

#[inline(always)]
fn tea_mix(v: u32, left: u32, right: u32, sum: u32) -> u32 {
    (v << 4).wrapping_add(left) ^ v.wrapping_add(sum) ^ (v >> 5).wrapping_add(right)
}

/// XTEA of 32 cycles, its subkeys summed beforehand.
pub(super) struct Xtea([[u32; 2]; XTEA_CYCLES]);

impl Xtea {
    pub(super) fn new(key: &[u8; 16]) -> Self {
        let key = words(key);
        let subkey = |sum: u32, select: u32| sum.wrapping_add(key[(select & 3) as usize]);
        let mut sum = 0_u32;
        Self(std::array::from_fn(|_| {
            let even = subkey(sum, sum);
            sum = sum.wrapping_add(DELTA);
            [even, subkey(sum, sum >> 11)]
        }))
    }

    #[inline(always)]
    fn encrypted(&self, block: [u8; 8]) -> [u8; 8] {
        let [mut v0, mut v1] = halves(block);
        for [even, odd] in self.0 {
            v0 = v0.wrapping_add(xtea_mix(v1) ^ even);
            v1 = v1.wrapping_add(xtea_mix(v0) ^ odd);
        }
        joined([v0, v1])
    }
}

#[inline(always)]
fn xtea_mix(v: u32) -> u32 {
    ((v << 4) ^ (v >> 5)).wrapping_add(v)
}

#[inline(always)]
fn halves(block: [u8; 8]) -> [u32; 2] {
    let block = u64::from_be_bytes(block);
    [(block >> 32) as u32, block as u32]
}

#[inline(always)]
fn joined([v0, v1]: [u32; 2]) -> [u8; 8] {
    (u64::from(v0) << 32 | u64::from(v1)).to_be_bytes()
}

fn words(key: &[u8; 16]) -> [u32; 4] {
    std::array::from_fn(|i| u32::from_be_bytes(std::array::from_fn(|j| key[4 * i + j])))
}

impl_block_cipher!(Tea, U8);
impl_block_cipher!(Xtea, U8);
