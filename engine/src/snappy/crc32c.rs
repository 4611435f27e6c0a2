//! CRC-32C (Castagnoli, reflected 0x82f63b78): the processor's instruction where there is one, else eight tables.

/// The checksum of `bytes`.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("sse4.2") {
        // SAFETY: SSE4.2 was detected.
        return !unsafe { instruction::checksum(!0, bytes) };
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("crc") {
        // SAFETY: the CRC extension was detected.
        return !unsafe { instruction::checksum(!0, bytes) };
    }
    !tables(!0, bytes)
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod instruction {
    use crate::snappy::crc32c::TABLES;

    /// Bytes of each of the three streams.
    const RUN: usize = 256;

    /// Three streams hide the instruction's latency of three cycles; a table walks the streams' ends together.
    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "sse4.2"))]
    #[cfg_attr(target_arch = "aarch64", target_feature(enable = "crc"))]
    pub(super) fn checksum(mut crc: u32, bytes: &[u8]) -> u32 {
        let mut runs = bytes.chunks_exact(3 * RUN);
        for run in runs.by_ref() {
            let (mut a, mut b, mut c) = (crc, 0, 0);
            for i in (0..RUN).step_by(8) {
                a = eight(a, word(run, i));
                b = eight(b, word(run, RUN + i));
                c = eight(c, word(run, 2 * RUN + i));
            }
            crc = shift_run(shift_run(a) ^ b) ^ c;
        }
        let mut words = runs.remainder().chunks_exact(8);
        for bytes in words.by_ref() {
            crc = eight(crc, word(bytes, 0));
        }
        words.remainder().iter().fold(crc, |crc, byte| one(crc, *byte))
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "sse4.2")]
    fn eight(crc: u32, word: u64) -> u32 {
        std::arch::x86_64::_mm_crc32_u64(crc.into(), word) as u32
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "sse4.2")]
    fn one(crc: u32, byte: u8) -> u32 {
        std::arch::x86_64::_mm_crc32_u8(crc, byte)
    }

    #[cfg(target_arch = "aarch64")]
    #[inline]
    #[target_feature(enable = "crc")]
    fn eight(crc: u32, word: u64) -> u32 {
        std::arch::aarch64::__crc32cd(crc, word)
    }

    #[cfg(target_arch = "aarch64")]
    #[inline]
    #[target_feature(enable = "crc")]
    fn one(crc: u32, byte: u8) -> u32 {
        std::arch::aarch64::__crc32cb(crc, byte)
    }

    /// Eight bytes at `at`; the callers' loops stay inside the slice.
    #[inline]
    fn word(bytes: &[u8], at: usize) -> u64 {
        bytes[at..].first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight))
    }

    /// The state after [`RUN`] zero bytes.
    fn shift_run(crc: u32) -> u32 {
        let [a, b, c, d] = crc.to_le_bytes();
        let [a, b, c, d] = [a, b, c, d].map(usize::from);
        SHIFT[0][a] ^ SHIFT[1][b] ^ SHIFT[2][c] ^ SHIFT[3][d]
    }

    static SHIFT: [[u32; 256]; 4] = shift_tables();

    /// A CRC is linear, so the effect of zero bytes is that of the 32 single bits.
    const fn shift_tables() -> [[u32; 256]; 4] {
        let mut bits = [0; 32];
        let mut bit = 0;
        while bit < 32 {
            let mut crc = 1 << bit;
            let mut zeros = 0;
            while zeros < RUN {
                crc = (crc >> 8) ^ TABLES[0][(crc & 0xff) as usize];
                zeros += 1;
            }
            bits[bit] = crc;
            bit += 1;
        }
        let mut shift = [[0; 256]; 4];
        let mut i = 0;
        while i < 4 * 256 {
            let mut bit = 0;
            while bit < 8 {
                if i & (1 << bit) != 0 {
                    shift[i / 256][i % 256] ^= bits[i / 256 * 8 + bit];
                }
                bit += 1;
            }
            i += 1;
        }
        shift
    }
}

/// The scalar twin, eight bytes a step.
fn tables(mut crc: u32, bytes: &[u8]) -> u32 {
    let (eights, rest) = bytes.as_chunks::<8>();
    for [a, b, c, d, e, f, g, h] in eights {
        let [s0, s1, s2, s3] = (crc ^ u32::from_le_bytes([*a, *b, *c, *d])).to_le_bytes();
        let steps = [s0, s1, s2, s3, *e, *f, *g, *h];
        crc = steps
            .iter()
            .zip(TABLES.iter().rev())
            .fold(0, |crc, (byte, table)| crc ^ table[usize::from(*byte)]);
    }
    rest.iter().fold(crc, |crc, byte| (crc >> 8) ^ TABLES[0][usize::from(crc as u8 ^ byte)])
}

static TABLES: [[u32; 256]; 8] = make_tables();

const fn make_tables() -> [[u32; 256]; 8] {
    let mut tables = [[0u32; 256]; 8];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & 0u32.wrapping_sub(crc & 1));
            bit += 1;
        }
        tables[0][i] = crc;
        i += 1;
    }
    let mut k = 1;
    while k < 8 {
        let mut i = 0;
        while i < 256 {
            let before = tables[k - 1][i];
            tables[k][i] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            i += 1;
        }
        k += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SNAP-3
    #[test]
    fn check_value() {
        assert_eq!(checksum(b"123456789"), 0xe306_9283);
        assert_eq!(!tables(!0, b"123456789"), 0xe306_9283);
    }

    #[test]
    fn both_ways_agree_on_every_length() {
        let bytes: Vec<u8> = (0..4000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for len in (0..600).chain([767, 768, 769, 1535, 1536, 3000, 4000]) {
            assert_eq!(checksum(&bytes[..len]), !tables(!0, &bytes[..len]), "length {len}");
        }
    }
}
