//! Pairwise cover: a small list of cases in which every pair of parameter values occurs.

use engine::Entropy;
use std::collections::BTreeSet;

/// Candidates tried for each case; the best one is kept.
const CANDIDATES: usize = 40;

/// Rows of value indices, one for each parameter, in which every pair of values of any two parameters occurs unless
/// `is_allowed` refuses rows with it. `sizes` are the numbers of values. The same seed yields the same rows.
///
/// Each row starts from a pair that is not covered yet; the other parameters take, in random order, the value that
/// covers most new pairs. In every other candidate they are random: refused pairs stay open and would attract all of them.
pub fn pairwise(sizes: &[usize], seed: u64, is_allowed: impl Fn(&[usize]) -> bool) -> Vec<Vec<usize>> {
    let mut open = all_pairs(sizes);
    let mut dice = Dice::new(seed);
    let mut rows = Vec::new();
    while let Some(first) = open.first().copied() {
        let candidates =
            (0..CANDIDATES).map(|at| candidate(sizes, first, (at % 2 == 0).then_some(&open), &mut dice));
        let allowed = candidates.filter(|row| is_allowed(row));
        let best = allowed.max_by_key(|row| covered(row, &open));
        match best {
            Some(row) => {
                open.retain(|pair| !has(&row, *pair));
                rows.push(row);
            }
            // No candidate with this pair is allowed.
            None => _ = open.remove(&first),
        }
    }
    rows
}

/// A value of one parameter and a value of a later one.
type ValuePair = [(usize, usize); 2];

fn all_pairs(sizes: &[usize]) -> BTreeSet<ValuePair> {
    let mut pairs = BTreeSet::new();
    for (a, size) in sizes.iter().enumerate() {
        for (b, other) in sizes.iter().enumerate().skip(a + 1) {
            pairs.extend((0..*size).flat_map(|x| (0..*other).map(move |y| [(a, x), (b, y)])));
        }
    }
    pairs
}

fn has(row: &[usize], pair: ValuePair) -> bool {
    pair.iter().all(|(parameter, value)| row[*parameter] == *value)
}

fn covered(row: &[usize], open: &BTreeSet<ValuePair>) -> usize {
    let pair = |a: usize, b: usize| [(a, row[a]), (b, row[b])];
    (0..row.len()).map(|a| (a + 1..row.len()).filter(|b| open.contains(&pair(a, *b))).count()).sum()
}

fn candidate(
    sizes: &[usize],
    first: ValuePair,
    open: Option<&BTreeSet<ValuePair>>,
    dice: &mut Dice,
) -> Vec<usize> {
    let mut row: Vec<Option<usize>> = vec![None; sizes.len()];
    for (parameter, value) in first {
        row[parameter] = Some(value);
    }
    let mut rest: Vec<usize> = (0..sizes.len()).filter(|at| row[*at].is_none()).collect();
    while !rest.is_empty() {
        let parameter = rest.swap_remove(dice.below(rest.len()));
        let offset = dice.below(sizes[parameter]);
        let gain = |value: usize| {
            let with = |(other, chosen): (usize, &Option<usize>)| {
                let mut pair = [(parameter, value), (other, (*chosen)?)];
                pair.sort_unstable();
                open?.contains(&pair).then_some(())
            };
            row.iter().enumerate().filter_map(with).count()
        };
        // A random start, so that equal values take turns.
        let values = (0..sizes[parameter]).map(|at| (at + offset) % sizes[parameter]);
        row[parameter] = values.max_by_key(|value| gain(*value));
    }
    row.into_iter().map(Option::unwrap_or_default).collect()
}

/// Random numbers from a seed.
struct Dice(Entropy);

impl Dice {
    fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self(Entropy::from_seed(bytes))
    }

    fn below(&mut self, count: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        (u64::from_le_bytes(bytes) % count.max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [usize; 9] = [13, 4, 5, 3, 2, 2, 2, 3, 2];

    #[test]
    fn every_allowed_pair_occurs_and_the_seed_decides() {
        // Value 1 of the last parameter excludes value 0 of the first.
        let allowed = |row: &[usize]| !(row[8] == 1 && row[0] == 0);
        let rows = pairwise(&SIZES, 1, allowed);
        let missing: Vec<_> =
            all_pairs(&SIZES).into_iter().filter(|pair| !rows.iter().any(|row| has(row, *pair))).collect();
        assert_eq!(missing, [[(0, 0), (8, 1)]]);
        assert!(rows.iter().all(|row| allowed(row)));
        // 13 * 5 rows are the least for the two largest parameters.
        assert!((65..90).contains(&rows.len()), "{}", rows.len());
        assert_eq!(rows, pairwise(&SIZES, 1, allowed));
        assert_ne!(rows, pairwise(&SIZES, 2, allowed));
    }
}
