use crate::ids::Stranger;
use crate::plan::NatPlan;
use engine::Instant;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A public address that was given out, by number, or an address of the adversary. Numbers are below 2^20.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub u32);

impl Place {
    /// Numbers of the adversary's addresses begin here.
    const STRANGERS: u32 = 1 << 19;
}

/// The mappings. A mapping that is forgotten or changed never comes back: the next datagram of its socket gets another
/// public address, and what is sent to the old one is dropped.
#[derive(Debug)]
pub struct Nat {
    plan: NatPlan,
    /// All public addresses that were ever given out.
    places: Vec<SocketAddr>,
    by_address: BTreeMap<SocketAddr, Place>,
    /// Of each of the client's sockets, which are numbered as its dials.
    mappings: BTreeMap<u32, Mapping>,
    by_place: BTreeMap<Place, u32>,
    /// Addresses that each socket was given.
    given: BTreeMap<u32, u32>,
    network: u8,
    next_port: u16,
    dropped: u64,
}

#[derive(Clone, Copy, Debug)]
struct Mapping {
    place: Place,
    used_at: Instant,
}

const FIRST_PORT: u16 = 40_000;

impl Nat {
    /// No mapping yet.
    pub const fn new(plan: NatPlan) -> Self {
        Self {
            plan,
            places: Vec::new(),
            by_address: BTreeMap::new(),
            mappings: BTreeMap::new(),
            by_place: BTreeMap::new(),
            given: BTreeMap::new(),
            network: 0,
            next_port: FIRST_PORT,
            dropped: 0,
        }
    }

    /// A datagram leaves that socket; where it seems to come from.
    pub fn outbound(&mut self, now: Instant, socket: u32) -> Place {
        let alive = self.mappings.get(&socket).copied().filter(|mapping| !self.is_old(now, *mapping));
        let place = alive.map_or_else(|| self.give_out(socket), |mapping| mapping.place);
        self.mappings.insert(socket, Mapping { place, used_at: now });
        place
    }

    /// A datagram arrives for that address; the socket it goes to. `None` is counted as dropped.
    pub fn inbound(&mut self, now: Instant, place: Place) -> Option<u32> {
        let socket = self
            .socket_at(place)
            .filter(|socket| self.mappings.get(socket).is_some_and(|mapping| !self.is_old(now, *mapping)));
        match socket {
            None => self.dropped += 1,
            Some(socket) if self.plan.inbound_refreshes => {
                self.mappings.insert(socket, Mapping { place, used_at: now });
            }
            Some(_) => {}
        }
        socket
    }

    /// The socket that an address belongs to.
    pub fn socket_at(&self, place: Place) -> Option<u32> {
        self.by_place.get(&place).copied()
    }

    /// Whether the socket lost an address it had.
    pub fn has_moved(&self, socket: u32) -> bool {
        let given = self.given.get(&socket).copied().unwrap_or(0);
        given > u32::from(self.mappings.contains_key(&socket))
    }

    /// A fault: every mapping is forgotten.
    pub fn rebind(&mut self) {
        self.by_place.clear();
        self.mappings.clear();
    }

    /// A fault: the client is in another network, under another address.
    pub fn change_address(&mut self) {
        self.network += 1;
        self.rebind();
    }

    /// Lets a new socket have the mapping of an old one.
    pub fn hand_over(&mut self, old: u32, new: u32) {
        if let Some(mapping) = self.mappings.remove(&old) {
            self.mappings.insert(new, mapping);
            self.by_place.insert(mapping.place, new);
            *self.given.entry(new).or_default() += 1;
        }
    }

    /// An address that was given out, or one of the adversary.
    pub fn address(&self, place: Place) -> Option<SocketAddr> {
        if let Some(number) = place.0.checked_sub(Place::STRANGERS) {
            return u16::try_from(number).ok().map(|number| Stranger(number).address());
        }
        self.places.get(place.0 as usize).copied()
    }

    /// The number of an address that was given out, or of one of the adversary.
    pub fn place(&self, address: SocketAddr) -> Option<Place> {
        if let Some(stranger) = Stranger::at(address) {
            return Some(Place(Place::STRANGERS + u32::from(stranger.0)));
        }
        self.by_address.get(&address).copied()
    }

    /// Datagrams dropped because they were sent to an address that maps to no socket.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Addresses given out.
    pub fn given_out(&self) -> u64 {
        self.places.len() as u64
    }

    fn is_old(&self, now: Instant, mapping: Mapping) -> bool {
        self.plan.timeout_us.is_some_and(|us| now.since(mapping.used_at).as_micros() >= u128::from(us))
    }

    fn give_out(&mut self, socket: u32) -> Place {
        if let Some(old) = self.mappings.remove(&socket) {
            self.by_place.remove(&old.place);
        }
        *self.given.entry(socket).or_default() += 1;
        let place = Place(self.places.len() as u32);
        let ip = Ipv4Addr::new(10, 0, self.network, 1);
        let address = SocketAddr::new(IpAddr::V4(ip), self.next_port);
        self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_PORT);
        self.places.push(address);
        self.by_address.insert(address, place);
        self.by_place.insert(place, socket);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn a_mapping_lasts_while_it_is_used() {
        let mut nat = Nat::new(NatPlan { timeout_us: Some(1_000_000), inbound_refreshes: false });
        let first = nat.outbound(at(0), 0);
        assert_eq!(nat.outbound(at(900), 0), first);
        assert_eq!(nat.inbound(at(1_800), first), Some(0));
        assert_eq!((nat.inbound(at(1_900), first), nat.dropped()), (None, 1));
        let second = nat.outbound(at(1_900), 0);
        assert_ne!(second, first);
        assert_ne!(nat.address(second), nat.address(first));
        assert_eq!((nat.inbound(at(2_000), first), nat.inbound(at(2_000), second)), (None, Some(0)));
        assert_eq!(nat.place(nat.address(second).unwrap()), Some(second));
    }

    #[test]
    fn inbound_datagrams_refresh_a_mapping_only_where_configured() {
        for inbound_refreshes in [false, true] {
            let mut nat = Nat::new(NatPlan { timeout_us: Some(1_000_000), inbound_refreshes });
            let place = nat.outbound(at(0), 3);
            assert_eq!(nat.inbound(at(900), place), Some(3));
            assert_eq!(nat.inbound(at(1_500), place).is_some(), inbound_refreshes);
        }
    }

    #[test]
    fn sockets_have_addresses_of_their_own_and_faults_change_them() {
        let mut nat = Nat::new(NatPlan::default());
        let (a, b) = (nat.outbound(at(0), 0), nat.outbound(at(0), 1));
        assert_ne!(nat.address(a), nat.address(b));
        nat.rebind();
        assert_eq!(nat.inbound(at(1), a), None);
        let port = nat.outbound(at(1), 0);
        assert_eq!(nat.address(port).unwrap().ip(), nat.address(a).unwrap().ip());
        nat.change_address();
        let moved = nat.outbound(at(2), 0);
        assert_ne!(nat.address(moved).unwrap().ip(), nat.address(a).unwrap().ip());
        nat.hand_over(0, 7);
        assert_eq!((nat.inbound(at(3), moved), nat.outbound(at(3), 7)), (Some(7), moved));
    }
}
