//! Parity of another conversation that rebuilds plausible garbage: right conversation and number, wrong bytes.

use engine::Generation;
use engine::fec::{Decoder, Encoder, HEADER_LEN, PACKET_BYTES_MAX, Shape};

/// Combinations that are tried.
const TRIED_MAX: usize = 20_000;

/// Bytes of a segment that decide whether a session accepts it: conversation, command and number.
const IDENTITY: [std::ops::Range<usize>; 3] = [0..5, 6..8, 12..16];

/// Positions of data packets to withhold, and of foreign parity to send in place of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) withheld: Vec<usize>,
    pub(super) parity: Vec<usize>,
}

/// Searches for a plan for groups of `shape`. `own` and `foreign` are the KCP datagrams of one group of each conversation.
pub(super) fn plan(shape: Shape, own: &[Vec<u8>], foreign: &[Vec<u8>]) -> Option<Plan> {
    let (own_data, _) = group(shape, own);
    let (_, parity) = group(shape, foreign);
    let mut tried = 0;
    for count in 1..=shape.parity().min(shape.data()).min(3) {
        for withheld in choices(shape.data(), count) {
            for chosen in choices(shape.parity(), count) {
                tried += 1;
                if tried > TRIED_MAX {
                    return None;
                }
                if deceives(shape, &own_data, &withheld, chosen.iter().map(|at| &parity[*at])) {
                    return Some(Plan { withheld, parity: chosen });
                }
            }
        }
    }
    None
}

/// Whether a decoder rebuilds a packet that looks like one that was withheld, and is not.
fn deceives<'p>(
    shape: Shape,
    own: &'p [Vec<u8>],
    withheld: &[usize],
    parity: impl Iterator<Item = &'p Vec<u8>>,
) -> bool {
    let mut decoder = Decoder::new(Some(shape), Generation::Go2026);
    let given = own.iter().enumerate().filter(|(at, _)| !withheld.contains(at)).map(|(_, packet)| packet);
    for packet in given.chain(parity) {
        decoder.decode(0, packet);
        while let Some(rebuilt) = decoder.poll_recovered() {
            let looks_like = |at: &&usize| {
                let whole = &own[**at][HEADER_LEN..];
                rebuilt != whole
                    && IDENTITY.iter().all(|range| rebuilt.get(range.clone()) == whole.get(range.clone()))
            };
            if withheld.iter().any(|at| looks_like(&at)) {
                return true;
            }
        }
    }
    false
}

/// Data and parity packets of the first group of a session.
fn group(shape: Shape, datagrams: &[Vec<u8>]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut encoder = Encoder::new(shape);
    let (mut data, mut parity) = (Vec::new(), Vec::new());
    let mut out = vec![0; PACKET_BYTES_MAX];
    for datagram in datagrams.iter().take(shape.data()) {
        let mut packet = vec![0; HEADER_LEN];
        packet.extend_from_slice(datagram);
        encoder.encode(0, &mut packet);
        data.push(packet);
        while let Some(len) = encoder.poll_parity(&mut out) {
            parity.push(out[..len].to_vec());
        }
    }
    (data, parity)
}

/// All choices of `count` among `0..n`, in order.
fn choices(n: usize, count: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for _ in 0..count {
        let longer = |chosen: &Vec<usize>| {
            let from = chosen.last().map_or(0, |last| last + 1);
            (from..n).map(|next| [chosen.clone(), vec![next]].concat()).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FEC-23: of conversations that differ in nothing but their numbers and contents, groups of 10 and 3 have a plan, and
    /// those of 3 and 2 have none.
    #[test]
    fn groups_of_ten_and_three_have_a_plan() {
        let group = |conv: u32, seed: u8| -> Vec<Vec<u8>> {
            let datagram = |sn: u32| {
                let head = [&conv.to_le_bytes()[..], &[81, 0, 0, 4], &[seed; 4], &sn.to_le_bytes(), &[0; 8]];
                [head.concat(), vec![seed.wrapping_mul(sn as u8 + 3); 40]].concat()
            };
            (0..10).map(datagram).collect()
        };
        let (own, foreign) = (group(0x1234_5678, 9), group(0x8765_4321, 77));
        let found = plan(Shape::new(10, 3).unwrap(), &own, &foreign).unwrap();
        assert_eq!((found.withheld.len(), found.parity), (3, vec![0, 1, 2]));
        assert_eq!(plan(Shape::new(3, 2).unwrap(), &own, &foreign), None);
        assert_eq!(choices(4, 2).len(), 6);
    }
}
