//! TEA and XTEA with big-endian words, as golang.org/x/crypto has them (CRYPT-6).

use cipher::consts::{U1, U8};
use cipher::{
    Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, InOut,
    ParBlocksSizeUser,
};

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
    fn encrypted(&self, [mut v0, mut v1]: [u32; 2]) -> [u32; 2] {
        let [k0, k1, k2, k3] = self.0;
        let mut sum = 0_u32;
        for _ in 0..TEA_CYCLES {
            sum = sum.wrapping_add(DELTA);
            v0 = v0.wrapping_add(tea_mix(v1, k0, k1, sum));
            v1 = v1.wrapping_add(tea_mix(v0, k2, k3, sum));
        }
        [v0, v1]
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
    fn encrypted(&self, [mut v0, mut v1]: [u32; 2]) -> [u32; 2] {
        for [even, odd] in self.0 {
            v0 = v0.wrapping_add(xtea_mix(v1) ^ even);
            v1 = v1.wrapping_add(xtea_mix(v0) ^ odd);
        }
        [v0, v1]
    }
}

#[inline(always)]
fn xtea_mix(v: u32) -> u32 {
    ((v << 4) ^ (v >> 5)).wrapping_add(v)
}

fn words(key: &[u8; 16]) -> [u32; 4] {
    std::array::from_fn(|i| u32::from_be_bytes(std::array::from_fn(|j| key[4 * i + j])))
}

macro_rules! block_cipher {
    ($cipher:ty) => {
        impl BlockSizeUser for $cipher {
            type BlockSize = U8;
        }

        impl ParBlocksSizeUser for $cipher {
            type ParBlocksSize = U1;
        }

        impl BlockCipherEncrypt for $cipher {
            #[inline]
            fn encrypt_with_backend(&self, f: impl BlockCipherEncClosure<BlockSize = U8>) {
                f.call(self);
            }
        }

        impl BlockCipherEncBackend for $cipher {
            #[inline(always)]
            fn encrypt_block(&self, mut block: InOut<'_, '_, Block<Self>>) {
                let v = u64::from_be_bytes(block.get_in().0);
                let [v0, v1] = self.encrypted([(v >> 32) as u32, v as u32]);
                block.get_out().0 = (u64::from(v0) << 32 | u64::from(v1)).to_be_bytes();
            }
        }
    };
}

block_cipher!(Tea);
block_cipher!(Xtea);
