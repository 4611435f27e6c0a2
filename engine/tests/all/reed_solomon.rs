//! Reference implementation of FEC-7: klauspost's default matrix in textbook arithmetic. It shares no table and no formula with
//! the engine, which interpolates.

use std::sync::LazyLock;

/// The polynomial of the field, x^8 + x^4 + x^3 + x^2 + 1.
const POLYNOMIAL: u16 = 0x11d;

/// Table of all products, computed by [`multiply`].
static PRODUCTS: LazyLock<Vec<[u8; 256]>> =
    LazyLock::new(|| (0..=255).map(|a| std::array::from_fn(|b| multiply(a, b as u8))).collect());

fn mul(a: u8, b: u8) -> u8 {
    PRODUCTS[usize::from(a)][usize::from(b)]
}

/// Product in GF(2^8): shift, add, reduce.
fn multiply(a: u8, b: u8) -> u8 {
    let mut product = 0;
    let mut shifted = u16::from(a);
    for bit in 0..8 {
        if b >> bit & 1 == 1 {
            product ^= shifted;
        }
        shifted <<= 1;
        if shifted > 0xff {
            shifted ^= POLYNOMIAL;
        }
    }
    product as u8
}

/// The inverse of `a`, which is not 0, by exhaustive search.
fn inverse(a: u8) -> u8 {
    (1..=255).find(|b| mul(a, *b) == 1).expect("every element but 0 has an inverse")
}

fn power(base: u8, exponent: usize) -> u8 {
    (0..exponent).fold(1, |product, _| mul(product, base))
}

/// Rows.
type Matrix = Vec<Vec<u8>>;

/// Gauss-Jordan elimination; `square` is regular, as any Vandermonde matrix of distinct points.
fn inverted(mut square: Matrix) -> Matrix {
    let size = square.len();
    for (row, cells) in square.iter_mut().enumerate() {
        cells.extend((0..size).map(|column| u8::from(column == row)));
    }
    for column in 0..size {
        let pivot = (column..size).find(|row| square[*row][column] != 0).expect("a regular matrix");
        square.swap(column, pivot);
        let scale = inverse(square[column][column]);
        square[column].iter_mut().for_each(|cell| *cell = mul(*cell, scale));
        let pivot = square[column].clone();
        for (_, cells) in square.iter_mut().enumerate().filter(|(row, _)| *row != column) {
            let factor = cells[column];
            cells.iter_mut().zip(&pivot).for_each(|(cell, pivot)| *cell ^= mul(factor, *pivot));
        }
    }
    square.into_iter().map(|cells| cells[size..].to_vec()).collect()
}

/// Parity rows of V[row][column] = row^column times the inverse of its own top square.
pub(crate) fn parity_rows(data: usize, parity: usize) -> Vec<Vec<u8>> {
    let vandermonde: Matrix =
        (0..data + parity).map(|row| (0..data).map(|column| power(row as u8, column)).collect()).collect();
    let top = inverted(vandermonde[..data].to_vec());
    let product = |row: &Vec<u8>| {
        (0..data)
            .map(|column| row.iter().zip(&top).fold(0, |sum, (cell, top)| sum ^ mul(*cell, top[column])))
            .collect()
    };
    vandermonde[data..].iter().map(product).collect()
}

/// Whether the shards behind the data are their parity by these rows; all have one length.
pub(crate) fn verifies(rows: &[Vec<u8>], shards: &[Vec<u8>]) -> bool {
    let data = shards.len() - rows.len();
    rows.iter().zip(&shards[data..]).all(|(row, parity)| {
        let mut sum = vec![0; parity.len()];
        for (coefficient, shard) in row.iter().zip(shards) {
            sum.iter_mut().zip(shard).for_each(|(sum, byte)| *sum ^= mul(*coefficient, *byte));
        }
        sum == *parity
    })
}

// FEC-7: rows that klauspost/reedsolomon prints, so that a mistake here is not taken for one in the engine.
#[test]
fn the_matrix_is_that_of_the_reference() {
    assert_eq!(parity_rows(3, 2), [[1, 1, 1], [0x0f, 8, 6]]);
    assert_eq!(parity_rows(10, 3)[2], [0xbf, 0xd6, 0x62, 0x0a, 0x06, 0x6f, 0xdf, 0xb7, 5, 4]);
}
