//! First pass: which addresses speak to each other, and by which cipher and FEC shape.

use super::source::Source;
use crate::golden::capture::pcap::Datagram;
use engine::arq::Header;
use engine::crypt::{Cipher, MasterKey, Suite};
use engine::fec::{HEADER_LEN, Kind, Shape, kind, seqid};
use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;

/// Maximum number of address pairs that are decoded.
pub(super) const FLOWS_MAX: usize = 4_096;

/// Datagrams of a flow that are tried with each cipher.
const TRIED_MAX: u32 = 64;

/// FEC packets of a direction from which its shape is determined.
const SAMPLES_MAX: usize = 600;

/// Two addresses, the lower one first.
pub(super) type Ends = (SocketAddr, SocketAddr);

pub(super) fn ends(datagram: &Datagram<'_>) -> Ends {
    (datagram.from.min(datagram.to), datagram.from.max(datagram.to))
}

/// What the first pass found of two addresses.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
    pub(super) cipher: Option<Cipher>,
    /// Shapes of client and server.
    pub(super) shapes: [Option<Shape>; 2],
}

/// All address pairs, in order of their first datagrams.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) flows: BTreeMap<Ends, Found>,
}

/// Reads a capture until its end or its first defect, and determines the parameters of each pair of addresses.
pub(super) fn survey<R: Read>(source: &mut Source<R>, suites: &[Suite]) -> Survey {
    let mut flows: BTreeMap<Ends, Sampled> = BTreeMap::new();
    while let Ok(Some(record)) = source.next_record() {
        let Some(datagram) = record.ip.and_then(|ip| Datagram::in_packet(0, record.at_us, ip)) else {
            continue;
        };
        let full = flows.len() >= FLOWS_MAX;
        let flow = match flows.get_mut(&ends(&datagram)) {
            Some(flow) => flow,
            None if full => continue,
            None => flows.entry(ends(&datagram)).or_insert_with(|| Sampled::new(&datagram)),
        };
        flow.sample(&datagram, suites);
    }
    let mut uses: BTreeMap<SocketAddr, usize> = BTreeMap::new();
    for (a, b) in flows.keys() {
        *uses.entry(*a).or_default() += 1;
        *uses.entry(*b).or_default() += 1;
    }
    let flows = flows.into_iter().map(|(ends, flow)| (ends, flow.found(ends, &uses)));
    Survey { flows: flows.collect() }
}

/// The ciphers to try, those without an integrity check last.
pub(super) fn suites(key: &MasterKey, cipher: Option<Cipher>) -> Vec<Suite> {
    let mut ciphers = cipher.map_or_else(|| Cipher::ALL.to_vec(), |cipher| vec![cipher]);
    ciphers.sort_by_key(|cipher| *cipher == Cipher::Null);
    ciphers.into_iter().map(|cipher| Suite::new(cipher, key)).collect()
}

#[derive(Debug)]
struct Sampled {
    first: SocketAddr,
    /// The first data segment had number 0, so its sender is the client.
    from_start: bool,
    cipher: Option<Cipher>,
    tried: u32,
    /// Number and kind of FEC packets of the lower and the higher address.
    samples: [Vec<(u32, bool)>; 2],
}

impl Sampled {
    const fn new(datagram: &Datagram<'_>) -> Self {
        Self {
            first: datagram.from,
            from_start: false,
            cipher: None,
            tried: 0,
            samples: [Vec::new(), Vec::new()],
        }
    }

    fn sample(&mut self, datagram: &Datagram<'_>, suites: &[Suite]) {
        let side = usize::from(datagram.from > datagram.to);
        if self.samples[side].len() >= SAMPLES_MAX || self.cipher.is_none() && self.tried >= TRIED_MAX {
            return;
        }
        self.tried += 1;
        let mut copy = Vec::new();
        let fitting = suites.iter().filter(|suite| self.cipher.is_none_or(|cipher| cipher == suite.cipher()));
        for suite in fitting {
            copy.clear();
            copy.extend_from_slice(datagram.bytes);
            let Ok(inside) = suite.open(&mut copy) else { continue };
            let payload = &copy[inside];
            if suite.cipher() == Cipher::Null && self.cipher.is_none() && !is_plausible(payload) {
                continue;
            }
            if self.cipher.is_none() {
                self.cipher = Some(suite.cipher());
                self.from_start = self.first == datagram.from && starts(payload);
            }
            if let Some(kind @ (Kind::Data | Kind::Parity)) = kind(payload) {
                self.samples[side].push((seqid(payload), kind == Kind::Parity));
            }
            return;
        }
    }

    /// The server is the end of more flows; then the receiver of the first datagram, if the capture has the start of the
    /// conversation; then the end with the lower port.
    fn found(self, (a, b): Ends, uses: &BTreeMap<SocketAddr, usize>) -> Found {
        let use_of = |end: &SocketAddr| uses.get(end).copied().unwrap_or(0);
        let server = match use_of(&a).cmp(&use_of(&b)) {
            std::cmp::Ordering::Greater => a,
            std::cmp::Ordering::Less => b,
            std::cmp::Ordering::Equal if self.from_start || self.cipher.is_none() => {
                if self.first == a {
                    b
                } else {
                    a
                }
            }
            std::cmp::Ordering::Equal if a.port() <= b.port() => a,
            std::cmp::Ordering::Equal => b,
        };
        let client = if server == a { b } else { a };
        let mut shapes = self.samples.map(|samples| shape(&samples));
        if client == b {
            shapes.swap(0, 1);
        }
        Found { client, server, cipher: self.cipher, shapes }
    }
}

/// The KCP segments of an opened datagram; `None` for parity and messages out of band.
pub(super) fn segments(payload: &[u8]) -> Option<&[u8]> {
    match kind(payload) {
        Some(Kind::Data) => payload.get(HEADER_LEN..),
        Some(_) => None,
        None => Some(payload),
    }
}

/// Whether a payload without integrity check is that of KCP: whole segments of one conversation.
fn is_plausible(payload: &[u8]) -> bool {
    let Some(mut rest) = segments(payload).filter(|bytes| !bytes.is_empty()) else { return false };
    let conv = Header::parse(rest).map(|(header, _)| header.conv);
    while let Some((header, after)) = Header::parse(rest) {
        if header.command().is_none() || Some(header.conv) != conv {
            return false;
        }
        match after.get(header.len as usize..) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.is_empty()
}

fn starts(payload: &[u8]) -> bool {
    segments(payload).and_then(Header::parse).is_some_and(|(header, _)| header.sn == 0)
}

/// The only shape that all packets fit; `None` if there is none, or no parity.
pub(super) fn shape(samples: &[(u32, bool)]) -> Option<Shape> {
    let of_total = |total: u32| {
        let place = |parity: bool| {
            let of_kind = samples.iter().filter(move |sample| sample.1 == parity);
            of_kind.map(move |sample| sample.0 % total)
        };
        let (first, last) = (place(true).min()?, place(true).max()?);
        let fits = last + 1 == total && place(false).max().is_none_or(|data| data < first);
        fits.then(|| Shape::new(first as usize, (total - first) as usize).ok()).flatten()
    };
    (2..=256).find_map(of_total)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FEC-4, FEC-6: the shape follows from numbers and kinds, also when a third of the packets is missing.
    #[test]
    fn shapes_follow_from_numbers_and_kinds() {
        for (data, parity) in [(10, 3), (3, 2), (1, 1), (20, 1), (70, 30)] {
            let total = data + parity;
            let all = (0..600_u32).map(|seqid| (seqid, seqid % total >= data));
            let some: Vec<_> = all.filter(|(seqid, _)| seqid * 7 % 11 % 3 != 0).collect();
            let found = shape(&some).unwrap();
            assert_eq!((found.data() as u32, found.parity() as u32), (data, parity));
        }
        assert_eq!(shape(&[(0, false), (1, false)]), None);
    }
}
