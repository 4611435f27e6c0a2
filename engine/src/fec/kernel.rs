//! Multiply-accumulate over shards: the inner loop of the code, in the widest form that the processor supports (FEC-8).
//!
//! Multiplication by a constant is linear over bits. AVX2 and NEON map the two nibbles of each byte with
//! 16-entry tables, GFNI multiplies each byte with an 8x8 bit matrix. All forms give the same bytes as the scalar one.

use super::galois;

/// Outputs that are updated per pass over a source.
const LANES: usize = 4;

/// PRODUCTS[c][x] = c * x.
static PRODUCTS: [[u8; 256]; 256] = products();

/// A form of the inner loop that the processor supports; constructed by [`Kernel::detect`] and [`Kernel::scalar`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kernel(Form);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Gfni,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Kernel {
    /// The fastest form that the processor supports.
    pub(crate) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            return Self(if is_x86_feature_detected!("gfni") { Form::Gfni } else { Form::Avx2 });
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            return Self(Form::Neon);
        }
        Self(Form::Scalar)
    }

    /// The portable form, the twin against which the others are tested.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests compare every form with it"))]
    pub(crate) const fn scalar() -> Self {
        Self(Form::Scalar)
    }

    /// Adds `weights[n] * source` to `rows[n]`, for every row. Rows may be longer than the source, which
    /// counts as zero-padded; they must not be shorter.
    pub(crate) fn mul_add(self, weights: &[u8], source: &[u8], rows: &mut [Vec<u8>]) {
        debug_assert_eq!(weights.len(), rows.len());
        for (weights, rows) in weights.chunks(LANES).zip(rows.chunks_mut(LANES)) {
            match (weights, rows) {
                (&[v], [a]) => self.run([v], source, [a]),
                (&[v, w], [a, b]) => self.run([v, w], source, [a, b]),
                (&[v, w, x], [a, b, c]) => self.run([v, w, x], source, [a, b, c]),
                (&[v, w, x, y], [a, b, c, d]) => self.run([v, w, x, y], source, [a, b, c, d]),
                _ => debug_assert!(false, "chunks of 1 to {LANES}"),
            }
        }
    }

    fn run<const N: usize>(self, weights: [u8; N], source: &[u8], rows: [&mut Vec<u8>; N]) {
        let rows = rows.map(|row| &mut row[..source.len()]);
        match self.0 {
            Form::Scalar => scalar(weights, source, rows),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `detect` makes this form only where AVX2 was found.
            Form::Avx2 => unsafe { x86::avx2(weights, source, rows) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `detect` makes this form only where AVX2 and GFNI were found.
            Form::Gfni => unsafe { x86::gfni(weights, source, rows) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: `detect` makes this form only where NEON was found.
            Form::Neon => unsafe { arm::neon(weights, source, rows) },
        }
    }
}

fn scalar<const N: usize>(weights: [u8; N], source: &[u8], rows: [&mut [u8]; N]) {
    for (weight, row) in weights.into_iter().zip(rows) {
        let products = &PRODUCTS[usize::from(weight)];
        for (out, &byte) in row.iter_mut().zip(source) {
            *out ^= products[usize::from(byte)];
        }
    }
}

const fn products() -> [[u8; 256]; 256] {
    let mut table = [[0; 256]; 256];
    let mut weight = 0;
    while weight < 256 {
        let mut byte = 1;
        while byte < 256 {
            // Linear over bits: all but the lowest set bit, plus that bit.
            let rest = byte & (byte - 1);
            table[weight][byte] = if rest == 0 {
                galois::mul(weight as u8, byte as u8)
            } else {
                table[weight][rest] ^ table[weight][byte ^ rest]
            };
            byte += 1;
        }
        weight += 1;
    }
    table
}

/// LOW[c][x] = c * x and HIGH[c][x] = c * (x << 4), for one nibble x.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static LOW: [[u8; 16]; 256] = nibbles(0);
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static HIGH: [[u8; 16]; 256] = nibbles(4);

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const fn nibbles(shift: usize) -> [[u8; 16]; 256] {
    let mut table = [[0; 16]; 256];
    let mut i = 0;
    while i < 256 * 16 {
        table[i / 16][i % 16] = PRODUCTS[i / 16][(i % 16) << shift];
        i += 1;
    }
    table
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use super::{HIGH, LOW};
    use core::arch::aarch64::{
        uint8x16_t, vandq_u8, vdupq_n_u8, veorq_u8, vld1q_u8, vqtbl1q_u8, vshrq_n_u8, vst1q_u8,
    };

    /// Bytes of a vector.
    const BLOCK: usize = 16;

    #[target_feature(enable = "neon")]
    pub(super) fn neon<const N: usize>(weights: [u8; N], source: &[u8], mut rows: [&mut [u8]; N]) {
        let tables = weights.map(|weight| {
            let weight = usize::from(weight);
            (load(&LOW[weight]), load(&HIGH[weight]))
        });
        let (blocks, rest) = source.as_chunks::<BLOCK>();
        for (i, block) in blocks.iter().enumerate() {
            let bytes = load(block);
            let (low_nibbles, high_nibbles) = (vandq_u8(bytes, vdupq_n_u8(0x0f)), vshrq_n_u8::<4>(bytes));
            for ((low, high), row) in tables.iter().zip(&mut rows) {
                if let Some(out) = row[i * BLOCK..].first_chunk_mut() {
                    let product = veorq_u8(vqtbl1q_u8(*low, low_nibbles), vqtbl1q_u8(*high, high_nibbles));
                    store(out, veorq_u8(load(out), product));
                }
            }
        }
        super::scalar(weights, rest, rows.map(|row| &mut row[source.len() - rest.len()..]));
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn load(block: &[u8; BLOCK]) -> uint8x16_t {
        // SAFETY: the block is one vector long; the load needs no alignment.
        unsafe { vld1q_u8(block.as_ptr()) }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn store(block: &mut [u8; BLOCK], vector: uint8x16_t) {
        // SAFETY: as above.
        unsafe { vst1q_u8(block.as_mut_ptr(), vector) }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{HIGH, LOW, PRODUCTS};
    use core::arch::x86_64::{
        __m256i, _mm_loadu_si128, _mm256_and_si256, _mm256_broadcastsi128_si256,
        _mm256_gf2p8affine_epi64_epi8, _mm256_loadu_si256, _mm256_set1_epi8, _mm256_set1_epi64x,
        _mm256_shuffle_epi8, _mm256_srli_epi64, _mm256_storeu_si256, _mm256_xor_si256,
    };

    /// Bytes of a vector.
    const BLOCK: usize = 32;

    /// The 8x8 bit matrix of each constant, in the layout of `vgf2p8affineqb`.
    static MATRICES: [u64; 256] = matrices();
    /// The 32 bytes from offset n on select the last n bytes of a vector.
    static TAIL_MASK: [u8; 2 * BLOCK] = tail_mask();

    /// Runs over a source in whole vectors. The last one overlaps its neighbour, with the bytes already done
    /// masked to zero, which multiplies to zero and adds nothing.
    ///
    /// A macro, because a function without the caller's target features would not inline the `product`
    /// closure.
    macro_rules! accumulate {
        ($weights:expr, $source:expr, $rows:expr, $product:expr) => {{
            let len = $source.len();
            if len < BLOCK {
                return super::scalar($weights, $source, $rows);
            }
            let add = |row: &mut [u8], n: usize, bytes: __m256i| {
                debug_assert_eq!(row.len(), BLOCK);
                let out = row.as_mut_ptr().cast::<__m256i>();
                // SAFETY: the row is one vector long; neither access needs alignment.
                unsafe {
                    _mm256_storeu_si256(out, _mm256_xor_si256(_mm256_loadu_si256(out), $product(n, bytes)))
                };
            };
            let load = |block: &[u8; BLOCK]| {
                // SAFETY: the block is one vector long; the load needs no alignment.
                unsafe { _mm256_loadu_si256(block.as_ptr().cast()) }
            };
            let mut rows = $rows;
            let (blocks, rest) = $source.as_chunks::<BLOCK>();
            for (i, block) in blocks.iter().enumerate() {
                let bytes = load(block);
                for (n, row) in rows.iter_mut().enumerate() {
                    add(&mut row[i * BLOCK..(i + 1) * BLOCK], n, bytes);
                }
            }
            if let (false, Some(last), Some(mask)) =
                (rest.is_empty(), $source.last_chunk(), TAIL_MASK[rest.len()..].first_chunk())
            {
                let bytes = _mm256_and_si256(load(last), load(mask));
                for (n, row) in rows.iter_mut().enumerate() {
                    add(&mut row[len - BLOCK..len], n, bytes);
                }
            }
        }};
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn avx2<const N: usize>(weights: [u8; N], source: &[u8], rows: [&mut [u8]; N]) {
        let nibble = _mm256_set1_epi8(0x0f);
        let tables = weights.map(|weight| {
            let weight = usize::from(weight);
            // SAFETY: both tables have 16 bytes, the width of the load, which needs no alignment.
            let (low, high) = unsafe {
                (_mm_loadu_si128(LOW[weight].as_ptr().cast()), _mm_loadu_si128(HIGH[weight].as_ptr().cast()))
            };
            (_mm256_broadcastsi128_si256(low), _mm256_broadcastsi128_si256(high))
        });
        let product = |n: usize, bytes: __m256i| {
            let (low, high) = tables[n];
            let high_nibbles = _mm256_and_si256(_mm256_srli_epi64::<4>(bytes), nibble);
            _mm256_xor_si256(
                _mm256_shuffle_epi8(low, _mm256_and_si256(bytes, nibble)),
                _mm256_shuffle_epi8(high, high_nibbles),
            )
        };
        accumulate!(weights, source, rows, product);
    }

    #[target_feature(enable = "avx2,gfni")]
    pub(super) fn gfni<const N: usize>(weights: [u8; N], source: &[u8], rows: [&mut [u8]; N]) {
        let matrices = weights.map(|weight| _mm256_set1_epi64x(MATRICES[usize::from(weight)].cast_signed()));
        let product = |n: usize, bytes: __m256i| _mm256_gf2p8affine_epi64_epi8::<0>(bytes, matrices[n]);
        accumulate!(weights, source, rows, product);
    }

    /// Byte 7 - i of a matrix holds row i: the bits of the input that add up to bit i of the product.
    const fn matrices() -> [u64; 256] {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 * 64 {
            let (weight, row, column) = (i / 64, i / 8 % 8, i % 8);
            let bit = (PRODUCTS[weight][1 << column] >> row & 1) as u64;
            table[weight] |= bit << ((7 - row) * 8 + column);
            i += 1;
        }
        table
    }

    const fn tail_mask() -> [u8; 2 * BLOCK] {
        let mut mask = [0; 2 * BLOCK];
        let mut i = BLOCK;
        while i < 2 * BLOCK {
            mask[i] = 0xff;
            i += 1;
        }
        mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every form that the processor supports.
    fn forms() -> Vec<Kernel> {
        let mut forms = vec![Kernel::scalar()];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2");
            forms.extend(avx2.then_some(Kernel(Form::Avx2)));
            forms.extend((avx2 && is_x86_feature_detected!("gfni")).then_some(Kernel(Form::Gfni)));
        }
        #[cfg(target_arch = "aarch64")]
        forms.extend(std::arch::is_aarch64_feature_detected!("neon").then_some(Kernel(Form::Neon)));
        assert_eq!(forms.last(), Some(&Kernel::detect()), "the fastest form is chosen");
        forms
    }

    fn noise(len: usize, seed: usize) -> Vec<u8> {
        (0..len as u64).map(|i| (((i + 1) * 2_654_435_761 + seed as u64 * 40_503) >> 7) as u8).collect()
    }

    // FEC-8
    #[test]
    fn every_form_gives_the_scalar_bytes() {
        for rows in 1..=9 {
            for len in (0..=130).chain([255, 256, 257, 1349, 1350, 1494]) {
                let source = noise(len, 3);
                let weights = noise(rows, len);
                let start: Vec<Vec<u8>> = (0..rows).map(|row| noise(len + row % 3 * 7, row)).collect();
                let mut expected = start.clone();
                for (row, &weight) in expected.iter_mut().zip(&weights) {
                    row.iter_mut().zip(&source).for_each(|(out, &byte)| *out ^= galois::mul(weight, byte));
                }
                for form in forms() {
                    let mut out = start.clone();
                    form.mul_add(&weights, &source, &mut out);
                    assert!(out == expected, "{form:?}: {rows} rows of {len} bytes differ");
                }
            }
        }
    }

    // FEC-8
    #[test]
    fn every_form_multiplies_all_pairs_right() {
        let source: Vec<u8> = (0..=255).collect();
        for weight in 0..=255 {
            let expected: Vec<u8> = source.iter().map(|&byte| galois::mul(weight, byte)).collect();
            for form in forms() {
                let mut out = [vec![0; source.len()]];
                form.mul_add(&[weight], &source, &mut out);
                assert!(out[0] == expected, "{form:?} multiplies wrongly by {weight}");
            }
        }
    }
}
