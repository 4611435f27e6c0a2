//! The one source of randomness, injected by the driver.

use crate::nonce::{NonceKey, Nonces};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::sync::Arc;

/// ChaCha stream of a seed from which the key of nonces is drawn; numbers are drawn from stream 0.
const NONCE_STREAM: u64 = 1;

/// A seeded ChaCha8 stream. Drivers seed one for each process from the operating system, the simulator one for each host from
/// its seed; everything else is a fork of it.
#[derive(Debug, Clone)]
pub struct Entropy {
    numbers: ChaCha8Rng,
    /// That of the process: forks and clones share it.
    nonces: Arc<NonceKey>,
}

impl Entropy {
    /// A stream that depends on nothing but `seed`.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let mut key_stream = ChaCha8Rng::from_seed(seed);
        key_stream.set_stream(NONCE_STREAM);
        let mut key = [0; 16];
        key_stream.fill_bytes(&mut key);
        Self { numbers: ChaCha8Rng::from_seed(seed), nonces: Arc::new(NonceKey::new(key)) }
    }

    /// Fills `out` with the next bytes of the stream.
    pub fn fill(&mut self, out: &mut [u8]) {
        self.numbers.fill_bytes(out);
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        self.numbers.next_u32()
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.numbers.next_u64()
    }

    /// A new independent stream of the same process, seeded from this one.
    pub fn fork(&mut self) -> Self {
        let mut seed = [0; 32];
        self.fill(&mut seed);
        Self { numbers: ChaCha8Rng::from_seed(seed), nonces: Arc::clone(&self.nonces) }
    }

    /// A new sender's nonces. The process recognises the datagrams of all its senders (CRYPT-18).
    pub fn nonces(&self) -> Nonces {
        Nonces::new(Arc::clone(&self.nonces))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The simulator's traces depend on this stream never changing.
    #[test]
    fn stream_is_pinned() {
        let mut entropy = Entropy::from_seed([7; 32]);
        let mut again = Entropy::from_seed([7; 32]);
        assert_eq!(entropy.next_u64(), again.next_u64());
        assert_ne!(entropy.fork().next_u64(), entropy.fork().next_u64());
        assert_eq!(Entropy::from_seed([0; 32]).next_u64(), 0xd640_5f89_2fef_003e);
    }
}
