//! The NAT in front of the clients: the simulator's own, for sockets identified by `K`.

use engine::Instant;
use sim::host::{Nat, Place};
use sim::plan::NatPlan;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Effect of a fault on the addresses of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AddressChange {
    /// All mappings expire.
    Rebind,
    /// All mappings expire, and new ones are in another network.
    ChangeAddress,
    /// The next new socket inherits the mapping of the most recently used one.
    HandOver,
}

/// Sockets and their current public addresses.
#[derive(Debug)]
pub(crate) struct Translator<K> {
    nat: Nat,
    numbers: BTreeMap<K, u32>,
    sockets: Vec<K>,
    used_last: Option<u32>,
    inherits_address_of: Option<u32>,
}

impl<K: Copy + Ord> Translator<K> {
    pub(crate) fn new(plan: NatPlan) -> Self {
        let nat = Nat::new(plan);
        Self {
            nat,
            numbers: BTreeMap::new(),
            sockets: Vec::new(),
            used_last: None,
            inherits_address_of: None,
        }
    }

    /// Sockets seen so far.
    pub(crate) fn sockets(&self) -> usize {
        self.sockets.len()
    }

    pub(crate) fn contains(&self, socket: K) -> bool {
        self.numbers.contains_key(&socket)
    }

    /// The public address of an outgoing packet.
    pub(crate) fn outbound(&mut self, now: Instant, socket: K) -> Place {
        let next = self.sockets.len() as u32;
        let number = *self.numbers.entry(socket).or_insert(next);
        if number == next {
            self.sockets.push(socket);
            if let Some(old) = self.inherits_address_of.take() {
                self.nat.hand_over(old, number);
            }
        }
        self.used_last = Some(number);
        self.nat.outbound(now, number)
    }

    /// The socket of an incoming packet; None when the mapping has expired.
    pub(crate) fn inbound(&mut self, now: Instant, place: Place) -> Option<K> {
        let number = self.nat.inbound(now, place)?;
        self.sockets.get(number as usize).copied()
    }

    /// The public address of that number.
    pub(crate) fn address(&self, place: Place) -> Option<SocketAddr> {
        self.nat.address(place)
    }

    /// The number of that public address.
    pub(crate) fn place(&self, address: SocketAddr) -> Option<Place> {
        self.nat.place(address)
    }

    pub(crate) fn apply(&mut self, change: AddressChange) {
        match change {
            AddressChange::Rebind => self.nat.rebind(),
            AddressChange::ChangeAddress => self.nat.change_address(),
            AddressChange::HandOver => self.inherits_address_of = self.used_last,
        }
    }

    /// Packets to expired mappings.
    pub(crate) const fn dropped(&self) -> u64 {
        self.nat.dropped()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_socket_inherits_a_mapping_only_after_a_hand_over() {
        let mut translator = Translator::new(NatPlan::default());
        let now = Instant::ZERO;
        let (a, b) = (translator.outbound(now, 'a'), translator.outbound(now, 'b'));
        assert_eq!((translator.inbound(now, a), translator.inbound(now, b)), (Some('a'), Some('b')));
        translator.apply(AddressChange::HandOver);
        assert_eq!((translator.outbound(now, 'c'), translator.inbound(now, b)), (b, Some('c')));
        assert_ne!(translator.outbound(now, 'd'), b);
        translator.apply(AddressChange::Rebind);
        assert_eq!((translator.inbound(now, b), translator.dropped()), (None, 1));
    }
}
