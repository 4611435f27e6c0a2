//! The one hash map of the engine: peer addresses are chosen by attackers, so it is keyed and never iterated.
#![expect(clippy::disallowed_types, reason = "the single keyed map; its order is never observed")]

use crate::entropy::Entropy;
use siphasher::sip::SipHasher13;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::SocketAddr;

/// Peer address to `V`, with SipHash-1-3 under a secret key. No iteration is offered.
#[derive(Debug)]
pub(crate) struct AddressMap<V>(HashMap<SocketAddr, V, SipKeys>);

impl<V> AddressMap<V> {
    pub(crate) fn new(entropy: &mut Entropy) -> Self {
        Self(HashMap::with_hasher(SipKeys(entropy.next_u64(), entropy.next_u64())))
    }

    pub(crate) fn find(&self, address: SocketAddr) -> Option<&V> {
        self.0.get(&address)
    }

    pub(crate) fn find_mut(&mut self, address: SocketAddr) -> Option<&mut V> {
        self.0.get_mut(&address)
    }

    pub(crate) fn entry_or_default(&mut self, address: SocketAddr) -> &mut V
    where
        V: Default,
    {
        self.0.entry(address).or_default()
    }

    pub(crate) fn remove(&mut self, address: SocketAddr) -> Option<V> {
        self.0.remove(&address)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[derive(Debug)]
struct SipKeys(u64, u64);

impl BuildHasher for SipKeys {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}
