//! The crypt layer: duplicates, integrity check, and sealing to the same bytes.

use super::figures::Figures;
use super::file::Side;
use super::pcap::Datagram;
use super::{Checked, Flaw, broken, compare, differs};
use engine::crypt::{Cipher, MasterKey, Suite};
use std::collections::BTreeSet;

/// Contents of an opened datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Payload {
    /// Number of its frame.
    pub(super) frame: usize,
    /// Wall-clock time of the recording, milliseconds.
    pub(super) at_ms: u64,
    /// Bytes from the FEC or KCP header on.
    pub(super) bytes: Vec<u8>,
}

/// The cipher of one side.
pub(super) fn suite(side: &Side) -> Checked<Suite> {
    let Some(cipher) = Cipher::from_name(&side.crypt) else {
        return broken(format!("cipher {:?} is unknown", side.crypt));
    };
    Ok(Suite::new(cipher, &MasterKey::derive(side.key.as_bytes())))
}

/// Opens every datagram of a direction; those that fail the integrity check, and repetitions, are counted and skipped.
pub(super) fn open(
    suite: &Suite,
    datagrams: &[Datagram<'_>],
    recorded: &Figures,
    figures: &mut Figures,
) -> Checked<Vec<Payload>> {
    let mut seen = BTreeSet::new();
    let mut payloads = Vec::with_capacity(datagrams.len());
    let (mut repeated, mut bad) = (0, Vec::new());
    let (mut smallest, mut largest) = (usize::MAX, 0);
    for datagram in datagrams {
        if !seen.insert(datagram.bytes) {
            repeated += 1;
            continue;
        }
        match open_one(suite, datagram)
            .map_err(|flaw| flaw.at(&format!("datagram in frame {}", datagram.frame)))?
        {
            Some(bytes) => {
                payloads.push(Payload { frame: datagram.frame, at_ms: datagram.at_us / 1000, bytes })
            }
            None => {
                bad.push(datagram.frame);
                continue;
            }
        }
        smallest = smallest.min(datagram.bytes.len());
        largest = largest.max(datagram.bytes.len());
    }
    figures.set("datagrams", datagrams.len() as u64);
    figures.set_nonzero("byte_identical_duplicate_datagrams", repeated);
    figures.set_nonzero(BAD, bad.len() as u64);
    figures.set("smallest_datagram", smallest as u64);
    figures.set("largest_datagram", largest as u64);
    if figures.count(BAD) != recorded.count(BAD) {
        let frames: Vec<String> = bad.iter().take(8).map(usize::to_string).collect();
        let (want, have) = (recorded.count(BAD), bad.len());
        return differs(format!("{BAD}: recorded {want}, engine {have} (frames {})", frames.join(", ")));
    }
    Ok(payloads)
}

const BAD: &str = "datagrams_failing_integrity_check";

/// The payload, or None when the integrity check fails.
fn open_one(suite: &Suite, datagram: &Datagram<'_>) -> Checked<Option<Vec<u8>>> {
    let mut opened = datagram.bytes.to_vec();
    let Ok(range) = suite.open(&mut opened) else {
        return Ok(None);
    };
    let payload =
        opened.get(range.clone()).ok_or_else(|| Flaw::Broken("payload outside the datagram".to_owned()))?;
    let mut sealed = vec![0; datagram.bytes.len()];
    sealed[range].copy_from_slice(payload);
    let nonce = opened.get(..nonce_len(suite.cipher())).unwrap_or_default();
    suite.seal(nonce, &mut sealed);
    match compare::bytes(datagram.bytes, &sealed) {
        Some(difference) => differs(format!("resealed with its own nonce: {difference}")),
        None => Ok(Some(payload.to_vec())),
    }
}

/// Length of the nonce at the start of an opened datagram.
const fn nonce_len(cipher: Cipher) -> usize {
    match cipher {
        Cipher::Null => 0,
        Cipher::Aes128Gcm => 12,
        _ => 16,
    }
}
