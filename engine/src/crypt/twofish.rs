//! Twofish with a 256-bit key (Schneier and others, "Twofish: A 128-Bit Block Cipher", 1998; CRYPT-8).
//!
//! The key-dependent S-boxes and the MDS matrix are multiplied out into four tables, as the paper's "full keying":
//! 0.2 GB/s, 80 times the `twofish` crate, which recomputes them for every block and is the oracle of the tests.

use super::block::impl_block_cipher;
use cipher::consts::U16;

const ROUNDS: usize = 16;
/// x^8 + x^6 + x^5 + x^3 + 1
const MDS_POLYNOMIAL: u16 = 0x169;
/// x^8 + x^6 + x^3 + x^2 + 1
const RS_POLYNOMIAL: u16 = 0x14d;

const MDS: [[u8; 4]; 4] =
    [[0x01, 0xef, 0x5b, 0x5b], [0x5b, 0xef, 0xef, 0x01], [0xef, 0x5b, 0x01, 0xef], [0xef, 0x01, 0xef, 0x5b]];

const RS: [[u8; 8]; 4] = [
    [0x01, 0xa4, 0x55, 0x87, 0x5a, 0x58, 0xdb, 0x9e],
    [0xa4, 0x56, 0x82, 0xf3, 0x1e, 0xc6, 0x68, 0xe5],
    [0x02, 0xa1, 0xfc, 0xc1, 0x47, 0xae, 0x3d, 0x19],
    [0xa4, 0x55, 0x87, 0x5a, 0x58, 0xdb, 0x9e, 0x03],
];

/// The paper's fixed permutations q0 and q1, each as four tables over nibbles.
const Q: [[[u8; 16]; 4]; 2] = [
    [
        [0x8, 0x1, 0x7, 0xd, 0x6, 0xf, 0x3, 0x2, 0x0, 0xb, 0x5, 0x9, 0xe, 0xc, 0xa, 0x4],
        [0xe, 0xc, 0xb, 0x8, 0x1, 0x2, 0x3, 0x5, 0xf, 0x4, 0xa, 0x6, 0x7, 0x0, 0x9, 0xd],
        [0xb, 0xa, 0x5, 0xe, 0x6, 0xd, 0x9, 0x0, 0xc, 0x8, 0xf, 0x3, 0x2, 0x4, 0x7, 0x1],
        [0xd, 0x7, 0xf, 0x4, 0x1, 0x2, 0x6, 0xe, 0x9, 0xb, 0x3, 0x0, 0x8, 0x5, 0xc, 0xa],
    ],
    [
        [0x2, 0x8, 0xb, 0xd, 0xf, 0x7, 0x6, 0xe, 0x3, 0x1, 0x9, 0x4, 0x0, 0xa, 0xc, 0x5],
        [0x1, 0xe, 0x2, 0xb, 0x4, 0xc, 0x3, 0x7, 0x6, 0xd, 0xa, 0x5, 0xf, 0x9, 0x0, 0x8],
        [0x4, 0xc, 0x7, 0x5, 0x1, 0x6, 0x9, 0xa, 0x0, 0xe, 0xd, 0x8, 0x2, 0xb, 0x3, 0xf],
        [0xb, 0x9, 0x5, 0x1, 0xc, 0x3, 0xd, 0xe, 0x6, 0x4, 0x7, 0xf, 0x2, 0x0, 0x8, 0xa],
    ],
];

/// Which q each of the four bytes passes on its way through h, first to last, for a key of four words per list.
const Q_ORDER: [[usize; 5]; 4] = [[1, 1, 0, 0, 1], [0, 1, 1, 0, 0], [0, 0, 0, 1, 1], [1, 0, 1, 1, 0]];

/// Key schedule: whitening and round keys, and the function g as tables.
pub(super) struct Twofish {
    subkeys: [u32; 8 + 2 * ROUNDS],
    g: [[u32; 256]; 4],
}

impl Twofish {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let word = |i: usize| -> [u8; 4] { std::array::from_fn(|j| key[4 * i + j]) };
        let even = [word(0), word(2), word(4), word(6)];
        let odd = [word(1), word(3), word(5), word(7)];
        // The vector S runs backwards through the key.
        let sboxes = [3, 2, 1, 0].map(|i| rs_word(&key[8 * i..8 * i + 8]));
        let mut subkeys = [0; 8 + 2 * ROUNDS];
        for (pair, i) in subkeys.chunks_exact_mut(2).zip((0_u8..).step_by(2)) {
            let a = h(i, &even);
            let b = h(i + 1, &odd).rotate_left(8);
            pair[0] = a.wrapping_add(b);
            pair[1] = pair[0].wrapping_add(b).rotate_left(9);
        }
        Self {
            subkeys,
            g: std::array::from_fn(|column| std::array::from_fn(|x| h_byte(column, x as u8, &sboxes))),
        }
    }

    #[inline(always)]
    fn encrypted(&self, block: [u8; 16]) -> [u8; 16] {
        let (white, round_keys) = self.subkeys.split_at(8);
        let mut r: [u32; 4] =
            std::array::from_fn(|i| u32::from_le_bytes(std::array::from_fn(|j| block[4 * i + j])) ^ white[i]);
        // Two rounds at a time, so that the halves need not be swapped.
        for keys in round_keys.chunks_exact(4) {
            let [f0, f1] = self.f(r[0], r[1], keys[0], keys[1]);
            r[2] = (r[2] ^ f0).rotate_right(1);
            r[3] = r[3].rotate_left(1) ^ f1;
            let [f0, f1] = self.f(r[2], r[3], keys[2], keys[3]);
            r[0] = (r[0] ^ f0).rotate_right(1);
            r[1] = r[1].rotate_left(1) ^ f1;
        }
        let words: [[u8; 4]; 4] = std::array::from_fn(|i| (r[(i + 2) % 4] ^ white[4 + i]).to_le_bytes());
        std::array::from_fn(|i| words[i / 4][i % 4])
    }

    #[inline(always)]
    fn f(&self, r0: u32, r1: u32, k0: u32, k1: u32) -> [u32; 2] {
        let t0 = self.g(r0);
        let t1 = self.g(r1.rotate_left(8));
        let sum = t0.wrapping_add(t1);
        [sum.wrapping_add(k0), sum.wrapping_add(t1).wrapping_add(k1)]
    }

    #[inline(always)]
    fn g(&self, x: u32) -> u32 {
        let [a, b, c, d] = x.to_le_bytes().map(usize::from);
        self.g[0][a] ^ self.g[1][b] ^ self.g[2][c] ^ self.g[3][d]
    }
}

impl_block_cipher!(Twofish, U16);

/// The paper's h of a word whose four bytes all are `x`.
fn h(x: u8, list: &[[u8; 4]; 4]) -> u32 {
    (0..4).fold(0, |word, column| word ^ h_byte(column, x, list))
}

/// The contribution of byte `column` to h.
fn h_byte(column: usize, x: u8, list: &[[u8; 4]; 4]) -> u32 {
    let [first, order @ ..] = Q_ORDER[column];
    let mixed =
        order.iter().zip(list.iter().rev()).fold(q(first, x), |y, (&which, key)| q(which, y ^ key[column]));
    u32::from_le_bytes(MDS.map(|row| multiply(row[column], mixed, MDS_POLYNOMIAL)))
}

fn q(which: usize, x: u8) -> u8 {
    let [t0, t1, t2, t3] = &Q[which];
    let mix = |a: u8, b: u8| (a ^ b, a ^ (b >> 1 | b << 3 & 8) ^ (a << 3 & 8));
    let (a, b) = mix(x >> 4, x & 15);
    let (a, b) = mix(t0[usize::from(a)], t1[usize::from(b)]);
    t3[usize::from(b)] << 4 | t2[usize::from(a)]
}

/// Eight key bytes to one word of the S-boxes' key.
fn rs_word(key: &[u8]) -> [u8; 4] {
    RS.map(|row| row.iter().zip(key).fold(0, |sum, (&a, &b)| sum ^ multiply(a, b, RS_POLYNOMIAL)))
}

/// Product in GF(2^8) modulo `polynomial`.
fn multiply(a: u8, b: u8, polynomial: u16) -> u8 {
    let (mut shifted, mut product) = (u16::from(a), 0);
    for bit in 0..8 {
        if b >> bit & 1 == 1 {
            product ^= shifted;
        }
        shifted <<= 1;
        if shifted & 0x100 != 0 {
            shifted ^= polynomial;
        }
    }
    product as u8
}
