//! Where a proxy may connect (CLI-114).

use super::request::Destination;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Destinations that a server's proxy connects to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    what: What,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Range(Range),
    /// In lower case.
    Name(String),
}

/// Addresses with a common prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    network: IpAddr,
    bits: u32,
}

impl AllowList {
    /// Reads `CIDR|NAME[:PORT],...`; an IPv6 range with a port has brackets.
    ///
    /// # Errors
    /// The entry that cannot be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries
            .map(|entry| Entry::parse(entry).ok_or_else(|| format!("{entry:?} is no CIDR or NAME[:PORT]")))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether nothing is allowed.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address may be connected to, of a destination that resolved to it. Private, link-local and other special
    /// addresses must be in a range that is special itself, so that neither `0.0.0.0/0` nor a name leads there. An `own` address,
    /// one of this machine, must be in a range that is not all addresses: a firewall does not protect its services from itself.
    pub fn permits(&self, destination: &Destination, address: SocketAddr, own: bool) -> bool {
        let ip = address.ip().to_canonical();
        let ranges = || self.0.iter().filter(|entry| entry.port.is_none_or(|port| port == address.port()));
        let holds = |entry: &Entry| matches!(entry.what, What::Range(range) if range.contains(ip));
        if is_special(ip) {
            let named = |entry: &Entry| matches!(entry.what, What::Range(range) if range.is_special());
            return ranges().any(|entry| holds(entry) && named(entry));
        }
        if own {
            let narrow = |entry: &Entry| matches!(entry.what, What::Range(range) if range.bits > 0);
            return ranges().any(|entry| holds(entry) && narrow(entry));
        }
        let has_name = |entry: &Entry| match (&entry.what, destination) {
            (What::Name(name), Destination::Name(wanted, _)) => {
                wanted.trim_end_matches('.').eq_ignore_ascii_case(name)
            }
            _ => false,
        };
        ranges().any(|entry| holds(entry) || has_name(entry))
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        if let Some(range) = Range::parse(text) {
            return Some(Self { what: What::Range(range), port: None });
        }
        let (what, port) = match text.rsplit_once(':') {
            Some((what, port)) => (what, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let bare = what.strip_prefix('[').and_then(|what| what.strip_suffix(']')).unwrap_or(what);
        if let Some(range) = Range::parse(bare) {
            return Some(Self { what: What::Range(range), port });
        }
        let is_name = !what.is_empty()
            && what.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        let numeric = what.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        (is_name && !numeric)
            .then(|| Self { what: What::Name(what.trim_end_matches('.').to_lowercase()), port })
    }
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let (network, bits) = match text.split_once('/') {
            Some((network, bits)) => (network, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let network: IpAddr = network.parse().ok()?;
        let width = if network.is_ipv4() { 32 } else { 128 };
        let bits: u32 = bits.unwrap_or(width);
        match network.to_canonical() {
            // IPv4 in IPv6 is IPv4.
            IpAddr::V4(mapped) if network.is_ipv6() => {
                (96..=128).contains(&bits).then(|| Self { network: mapped.into(), bits: bits - 96 })
            }
            _ => (bits <= width).then_some(Self { network, bits }),
        }
    }

    fn contains(self, ip: IpAddr) -> bool {
        let same = |a: u128, b: u128, width: u32| self.bits == 0 || (a ^ b) >> (width - self.bits) == 0;
        match (self.network, ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
            _ => false,
        }
    }

    /// Whether all its addresses are special.
    fn is_special(self) -> bool {
        SPECIAL.iter().any(|(network, bits)| {
            let special = Self { network: *network, bits: *bits };
            special.bits <= self.bits && special.contains(self.network)
        })
    }
}

const fn v4(a: u8, b: u8, c: u8, bits: u32) -> (IpAddr, u32) {
    (IpAddr::V4(Ipv4Addr::new(a, b, c, 0)), bits)
}

const fn v6(a: u16, bits: u32) -> (IpAddr, u32) {
    (IpAddr::V6(Ipv6Addr::new(a, 0, 0, 0, 0, 0, 0, 0)), bits)
}

/// Ranges that are not global unicast (IANA's registries of special-purpose addresses): this network, private, shared,
/// loopback, link-local, protocol assignments, benchmarks, multicast and reserved; unspecified and loopback, unique local,
/// link-local, site-local, multicast; and those in which an IPv4 address is embedded: translated (RFC 2765, RFC 6052, RFC
/// 8215), Teredo, 6to4.
const SPECIAL: &[(IpAddr, u32)] = &[
    v4(0, 0, 0, 8),
    v4(10, 0, 0, 8),
    v4(100, 64, 0, 10),
    v4(127, 0, 0, 8),
    v4(169, 254, 0, 16),
    v4(172, 16, 0, 12),
    v4(192, 0, 0, 24),
    v4(192, 168, 0, 16),
    v4(198, 18, 0, 15),
    v4(224, 0, 0, 3),
    v6(0, 96),
    (IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0)), 96),
    (IpAddr::V6(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0)), 96),
    (IpAddr::V6(Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0)), 48),
    v6(0x2001, 32),
    v6(0x2002, 16),
    v6(0xfc00, 7),
    v6(0xfe80, 10),
    v6(0xfec0, 10),
    v6(0xff00, 8),
];

fn is_special(ip: IpAddr) -> bool {
    SPECIAL.iter().any(|(network, bits)| Range { network: *network, bits: *bits }.contains(ip))
}
