//! Nonces by which a process recognises its own datagrams (CRYPT-18).
//!
//! A datagram has no direction on the wire: both ends use one key, so a datagram that is sent back to its sender opens. The
//! sender therefore marks what it sends where only it can see the mark. A nonce is a count of datagrams, permuted under a
//! secret of the process. It looks random, does not repeat within the process, and inverting the permutation yields a count
//! that was given out.
//!
//! | [`Place`] | permuted | ciphers |
//! |---|---|---|
//! | `Whole` | 128 bits: one AES block | CFB with 16-byte blocks, xor, none |
//! | `Front` | bytes 0..8: a Feistel network over AES | aes-128-gcm, salsa20 |
//! | `Back` | bytes 8..16, likewise | CFB with 8-byte blocks |
//!
//! The place is that part of a nonce *on the wire* in which no bit can be changed without damage to the rest of the datagram
//! (CRYPT-4). xor and none have no such part: there, an attacker that changes a nonce hides where the datagram came from.
//!
//! A foreign datagram is taken for an own one, and thereby lost like any other datagram, with a probability of n / 2^128 in
//! the first place and n / 2^64 in the others, where n is the number of datagrams that the process has sent: 2^-24 after
//! 10^12 datagrams. Its retransmission has another nonce.

use aes::Aes128;
use cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts that a sender reserves at once, so that the threads of a process rarely touch the counter they share.
const RESERVED: u64 = 64;

/// Rounds of the Feistel network; four make a strong pseudorandom permutation (Luby and Rackoff).
const ROUNDS: u8 = 4;

/// Longest nonce, bytes.
const LEN_MAX: usize = 16;

/// Which bytes of a nonce on the wire carry the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Whole,
    Front,
    Back,
}

/// The secret of one process, shared by all of its senders.
pub(crate) struct NonceKey {
    aes: Aes128,
    /// Counts that senders have reserved.
    reserved: AtomicU64,
}

impl NonceKey {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Self { aes: Aes128::new(&key.into()), reserved: AtomicU64::new(0) }
    }

    /// Whether `nonce` was made under this key.
    fn made(&self, place: Place, nonce: &[u8]) -> bool {
        let count = match place {
            Place::Whole => nonce.first_chunk().and_then(|block| self.uncount(*block)),
            Place::Front => nonce.first_chunk().map(|bytes| self.unmix(*bytes)),
            Place::Back => nonce[8..].first_chunk().map(|bytes| self.unmix(*bytes)),
        };
        count.is_some_and(|count| count < self.reserved.load(Ordering::Relaxed))
    }

    fn encrypted(&self, block: u128) -> [u8; LEN_MAX] {
        let mut block = block.to_le_bytes().into();
        self.aes.encrypt_block(&mut block);
        block.into()
    }

    /// The count whose block this is; the upper half of every other block is 0 only by chance.
    fn uncount(&self, block: [u8; LEN_MAX]) -> Option<u64> {
        let mut block = block.into();
        self.aes.decrypt_block(&mut block);
        u64::try_from(u128::from_le_bytes(block.into())).ok()
    }

    fn mix(&self, count: u64) -> [u8; 8] {
        let (mut left, mut right) = ((count >> 32) as u32, count as u32);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ self.round(round, right));
        }
        (u64::from(left) << 32 | u64::from(right)).to_le_bytes()
    }

    fn unmix(&self, bytes: [u8; 8]) -> u64 {
        let mixed = u64::from_le_bytes(bytes);
        let (mut left, mut right) = ((mixed >> 32) as u32, mixed as u32);
        for round in (0..ROUNDS).rev() {
            (left, right) = (right ^ self.round(round, left), left);
        }
        u64::from(left) << 32 | u64::from(right)
    }

    /// The round function. Its blocks differ from those of counts in the upper half.
    fn round(&self, round: u8, half: u32) -> u32 {
        let [a, b, c, d, ..] = self.encrypted(u128::from(round + 1) << 64 | u128::from(half));
        u32::from_le_bytes([a, b, c, d])
    }
}

impl fmt::Debug for NonceKey {
    /// Without the key (CRYPT-16).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NonceKey").field("reserved", &self.reserved).finish_non_exhaustive()
    }
}

/// The nonces of one sender, and its view of those of the whole process: [`crate::Entropy::nonces`].
#[derive(Debug)]
pub struct Nonces {
    key: Arc<NonceKey>,
    next: u64,
    /// End of the counts reserved.
    end: u64,
}

impl Nonces {
    pub(crate) const fn new(key: Arc<NonceKey>) -> Self {
        Self { key, next: 0, end: 0 }
    }

    /// Fills `nonce`, of 12 or 16 bytes, with the next nonce as it is to appear on the wire.
    pub(crate) fn write(&mut self, place: Place, nonce: &mut [u8]) {
        if self.next == self.end {
            self.next = self.key.reserved.fetch_add(RESERVED, Ordering::Relaxed);
            self.end = self.next + RESERVED;
        }
        let count = self.next;
        self.next += 1;
        nonce.copy_from_slice(&self.key.encrypted(count.into())[..nonce.len()]);
        match place {
            Place::Whole => {}
            Place::Front => nonce[..8].copy_from_slice(&self.key.mix(count)),
            Place::Back => nonce[8..].copy_from_slice(&self.key.mix(count)),
        }
    }

    /// Whether `nonce`, as it was on the wire, was made by this process.
    pub(crate) fn made(&self, place: Place, nonce: &[u8]) -> bool {
        self.key.made(place, nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const PLACES: [(Place, usize); 4] =
        [(Place::Whole, 16), (Place::Front, 12), (Place::Front, 16), (Place::Back, 16)];

    fn nonces(key: u8) -> Nonces {
        Nonces::new(Arc::new(NonceKey::new([key; 16])))
    }

    // CRYPT-18
    #[test]
    fn a_process_recognises_its_own_nonces_and_no_others() {
        for (place, len) in PLACES {
            let (mut own, mut other) = (nonces(1), nonces(2));
            for _ in 0..1000 {
                let mut nonce = vec![0; len];
                own.write(place, &mut nonce);
                assert!(own.made(place, &nonce) && !other.made(place, &nonce));
                other.write(place, &mut nonce);
                assert!(other.made(place, &nonce) && !own.made(place, &nonce));
            }
        }
    }

    // CRYPT-18
    #[test]
    fn nonces_of_several_senders_do_not_repeat_and_look_random() {
        for (place, len) in PLACES {
            let first = nonces(1);
            let mut senders: Vec<Nonces> = (0..10).map(|_| Nonces::new(Arc::clone(&first.key))).collect();
            let (mut seen, mut ones) = (BTreeSet::new(), 0);
            for turn in 0..20_000 {
                let mut nonce = vec![0; len];
                senders[turn % 10].write(place, &mut nonce);
                ones += nonce.iter().map(|byte| byte.count_ones()).sum::<u32>();
                let counted = if place == Place::Back { nonce[8..].to_vec() } else { nonce[..8].to_vec() };
                assert!(first.made(place, &nonce) && seen.insert(counted));
            }
            let bits = 20_000 * 8 * len as u32;
            assert!(ones.abs_diff(bits / 2) < bits / 500, "{ones} of {bits} bits are set");
        }
    }

    // CRYPT-18
    #[test]
    fn a_count_that_was_not_given_out_is_not_recognised() {
        let (mut own, ahead) = (nonces(1), nonces(1));
        ahead.key.reserved.store(1 << 40, Ordering::Relaxed);
        for place in [Place::Whole, Place::Front, Place::Back] {
            let mut nonce = [0; 16];
            Nonces::new(Arc::clone(&ahead.key)).write(place, &mut nonce);
            assert!(ahead.made(place, &nonce) && !own.made(place, &nonce));
            own.write(place, &mut nonce);
        }
    }
}
