//! For which hosts pages are served (CLI-61).
//!
//! A browser can be made to request any address under any name: a page of another site has its own name resolved to this machine and
//! reads the answer as its own. The name is in the request, so it is enough to refuse foreign ones. An address is not a name.

use crate::platform::host;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Names that requests may carry, besides addresses and `localhost`.
#[derive(Clone, Debug, Default)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// The machine's own name, and `names`.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let own = host::name();
        let names = names.into_iter().map(normal).chain([normal(&own)]);
        Self(names.filter(|name| !name.is_empty()).collect())
    }

    /// Whether a request may have this as its header `Host`: a host, and possibly a port.
    pub fn allow(&self, value: &str) -> bool {
        if let Some(rest) = value.strip_prefix('[') {
            return rest
                .split_once(']')
                .is_some_and(|(address, port)| address.parse::<Ipv6Addr>().is_ok() && is_port(port));
        }
        let (host, port) = value.find(':').map_or((value, ""), |colon| value.split_at(colon));
        let name = normal(host);
        is_port(port) && (name == "localhost" || name.parse::<Ipv4Addr>().is_ok() || self.0.contains(&name))
    }
}

/// Names have no case, and may end with the dot of the root.
fn normal(name: &str) -> String {
    name.trim().trim_end_matches('.').to_ascii_lowercase()
}

fn is_port(text: &str) -> bool {
    text.is_empty()
        || text.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Connections of one source count together; an IPv6 host has a whole /64.
pub(super) fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CLI-61
    #[test]
    fn addresses_and_own_names_are_allowed() {
        let hosts = Hosts::new(["Metrics.Example"]);
        for host in
            ["10.1.2.3", "10.1.2.3:9100", "[2001:db8::1]", "[::1]:80", "localhost:9100", "metrics.example.:1"]
        {
            assert!(hosts.allow(host), "{host}");
        }
        for host in [
            "",
            ":80",
            "evil.example",
            "metrics.example.evil",
            "127.1",
            "10.1.2.3.evil",
            "[evil]",
            "::1",
            "[::1]x",
            "localhost:x",
        ] {
            assert!(!hosts.allow(host), "{host}");
        }
    }

    // CLI-61
    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let source = |text: &str| source_of(text.parse().unwrap());
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:2"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.2"), source("192.0.2.1"));
    }
}
