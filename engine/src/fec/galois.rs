//! The field GF(2^8) with polynomial x^8 + x^4 + x^3 + x^2 + 1 (0x11d) and generator 2 (FEC-7).

const POLYNOMIAL: u16 = 0x11d;

/// Discrete logarithms to base 2; the entry of 0 is never used.
const LOG: [u8; 256] = tables().0;
/// Powers of 2, twice over, so that a sum of two logarithms needs no reduction.
const EXP: [u8; 510] = tables().1;

/// log2 of a nonzero element.
pub(crate) const fn log(a: u8) -> u32 {
    debug_assert!(a != 0);
    LOG[a as usize] as u32
}

/// 2 to the power of `exponent` modulo 255.
pub(crate) const fn exp(exponent: u32) -> u8 {
    EXP[(exponent % 255) as usize]
}

/// Product of two elements.
pub(crate) const fn mul(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 {
        return 0;
    }
    EXP[LOG[a as usize] as usize + LOG[b as usize] as usize]
}

const fn tables() -> ([u8; 256], [u8; 510]) {
    let mut log = [0; 256];
    let mut exp = [0; 510];
    let mut power = 1u16;
    let mut exponent = 0;
    while exponent < 255 {
        log[power as usize] = exponent as u8;
        exp[exponent] = power as u8;
        exp[exponent + 255] = power as u8;
        power <<= 1;
        if power & 0x100 != 0 {
            power ^= POLYNOMIAL;
        }
        exponent += 1;
    }
    (log, exp)
}

#[cfg(test)]
mod tests {
    use super::*;

    // FEC-7
    #[test]
    fn field_has_this_polynomial_and_no_zero_divisors() {
        assert_eq!(mul(0x80, 2), 0x1d);
        for a in 1..=255u8 {
            assert_eq!(exp(log(a)), a);
            assert_eq!(mul(a, exp(255 - log(a))), 1, "inverse of {a}");
            assert_eq!(mul(a, 0), 0);
        }
    }

    #[test]
    fn product_equals_long_multiplication() {
        let slow = |a: u8, b: u8| {
            let mut product = 0u16;
            for bit in (0..8).rev() {
                product <<= 1;
                product ^= if product & 0x100 != 0 { POLYNOMIAL } else { 0 };
                product ^= if b >> bit & 1 == 1 { u16::from(a) } else { 0 };
            }
            product as u8
        };
        for a in 0..=255 {
            for b in 0..=255 {
                assert_eq!(mul(a, b), slow(a, b));
            }
        }
    }
}
