//! Coefficients of the code (FEC-7).
//!
//! klauspost's default matrix is a Vandermonde matrix V[r][c] = r^c times the inverse of its own top square.
//! A column of shard bytes is then the values, at the points 0, 1, 2, ..., of one polynomial of degree below
//! `data`, and every shard is a Lagrange interpolation of any `data` others. So parity rows and the rows that
//! rebuild lost shards come from one formula; nothing is ever inverted, and no choice of shards can fail.

use super::galois::{exp, log, mul};

/// Fills `out` with the weights that turn the shards at `known` into the shards at `wanted`: the weight of
/// `known[k]` in `wanted[w]` is `out[k * wanted.len() + w]`.
///
/// Points must be distinct, and no wanted point may be known.
pub(crate) fn interpolate(known: &[u8], wanted: &[u8], out: &mut Vec<u8>) {
    debug_assert!(wanted.iter().all(|point| !known.contains(point)));
    out.clear();
    out.resize(known.len() * wanted.len(), 0);
    for (w, &target) in wanted.iter().enumerate() {
        let all_log = distances_log(known, target);
        for (weight, &point) in out.iter_mut().skip(w).step_by(wanted.len()).zip(known) {
            *weight = exp(all_log + 255 - log(target ^ point));
        }
    }
    for (weights, &point) in out.chunks_mut(wanted.len().max(1)).zip(known) {
        let scale = exp(255 - distances_log(known, point) % 255);
        weights.iter_mut().for_each(|weight| *weight = mul(*weight, scale));
    }
}

/// Logarithm of the product of the distances from `point` to all `points` but itself.
fn distances_log(points: &[u8], point: u8) -> u32 {
    points.iter().filter(|&&other| other != point).map(|&other| log(other ^ point)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parity_rows(data: u8, total: u8) -> Vec<Vec<u8>> {
        let known: Vec<u8> = (0..data).collect();
        let wanted: Vec<u8> = (data..total).collect();
        let mut out = Vec::new();
        interpolate(&known, &wanted, &mut out);
        (0..wanted.len()).map(|w| out.iter().skip(w).step_by(wanted.len()).copied().collect()).collect()
    }

    // FEC-7
    #[test]
    fn rows_are_those_of_the_reference() {
        assert_eq!(parity_rows(1, 2), [[1]]);
        assert_eq!(parity_rows(3, 5), [[1, 1, 1], [0x0f, 8, 6]]);
        assert_eq!(parity_rows(10, 13)[2], [0xbf, 0xd6, 0x62, 0x0a, 0x06, 0x6f, 0xdf, 0xb7, 5, 4]);
    }
}
