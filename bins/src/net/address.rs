//! Addresses as kcptun reads them.

use crate::flags::DASHES;
use std::fmt;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

/// A host and a range of UDP ports (CLI-28).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// Name or address, without brackets; empty for any.
    pub host: String,
    /// First port, at least 1.
    pub min: u16,
    /// Last port, at least `min`.
    pub max: u16,
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Not of the form host:port or host:min-max.
    #[error("malformed address {0:?}, expected HOST:PORT or HOST:MIN-MAX")]
    Malformed(String),
    /// Not 1 <= min <= max <= 65535.
    #[error("ports of {0:?} must be from 1 to 65535, the lower one first")]
    Ports(String),
    /// Neither host and port nor recognisable as the path of a Unix socket.
    #[error(
        "no port in {0:?}, expected HOST:PORT; a Unix socket has a slash in its path, or is written unix:PATH or @NAME"
    )]
    NoPort(String),
    /// An IPv6 address without brackets.
    #[error("brackets are missing in {0:?}, expected [IPV6]:PORT")]
    Brackets(String),
    /// A full-width form of an ASCII character, as input methods for Chinese and Japanese write it.
    #[error("{text:?} contains a full-width {character:?}, expected HOST:PORT in ASCII")]
    FullWidth {
        /// As written.
        text: String,
        /// The first such character.
        character: char,
    },
    /// A dash of typography.
    #[error("{0:?} contains a typographic dash, expected a hyphen")]
    Dash(String),
    /// A URL.
    #[error("{0:?} is a URL, expected HOST:PORT alone")]
    Url(String),
    /// Several addresses.
    #[error("{0:?} is a list, expected one address")]
    List(String),
    /// White space.
    #[error("{0:?} contains white space")]
    Blank(String),
    /// A character that neither names nor addresses have.
    #[error("the host of {text:?} contains {character:?}, expected HOST:PORT")]
    Host {
        /// As written.
        text: String,
        /// The first such character.
        character: char,
    },
    /// Something after the port.
    #[error("{rest:?} follows the port in {text:?}, did you mean {meant}?")]
    Trailing {
        /// As written.
        text: String,
        /// What follows the port.
        rest: String,
        /// The address without it.
        meant: String,
    },
    /// A destination with port 0.
    #[error("nothing can listen on port 0 of {0:?}")]
    PortZero(String),
    /// Neither a number from 0 to 65535 nor the name of a service.
    #[error("the port of {0:?} is neither a number up to 65535 nor a service in {SERVICES}")]
    Service(String),
}

/// Where the system lists services.
const SERVICES: &str = "/etc/services";

impl PortRange {
    /// `HOST:PORT` or `HOST:MIN-MAX`, with brackets around IPv6.
    ///
    /// # Errors
    /// It is neither, or the numbers are no port range.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        refuse_no_address(text)?;
        let split = text.rsplit_once(':').filter(|_| !text.ends_with(']'));
        let (host, ports) = split.ok_or_else(|| AddressError::Malformed(text.into()))?;
        let (min, rest) = take_digits(ports);
        if min.is_empty() {
            return Err(AddressError::Malformed(text.into()));
        }
        let (max, rest) = match rest.strip_prefix('-').map(take_digits) {
            Some((max, rest)) if !max.is_empty() => (max, rest),
            _ => (min, rest),
        };
        let bare = bare_host(text, host)?;
        let range = match (min.parse(), max.parse()) {
            (Ok(min), Ok(max)) if 1 <= min && min <= max => Self { host: bare.into(), min, max },
            _ => return Err(AddressError::Ports(text.into())),
        };
        match (rest, range.count()) {
            ("", _) => Ok(range),
            (_, 1) => Err(trailing(text, rest, format!("{host}:{min}"))),
            _ => Err(trailing(text, rest, format!("{host}:{min}-{max}"))),
        }
    }

    /// Number of ports, at least 1.
    pub const fn count(&self) -> u64 {
        (self.max - self.min) as u64 + 1
    }
}

fn take_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

fn trailing(text: &str, rest: &str, meant: String) -> AddressError {
    AddressError::Trailing { text: text.into(), rest: rest.into(), meant }
}

/// The host without the brackets of an IPv6 address. A name may have the letters of any script.
fn bare_host<'h>(text: &str, host: &'h str) -> Result<&'h str, AddressError> {
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let address = inner.split_once('%').map_or(inner, |(address, _)| address);
        return match address.parse::<Ipv6Addr>() {
            Ok(_) => Ok(inner),
            Err(_) => Err(AddressError::Brackets(text.into())),
        };
    }
    let mut characters = host.chars();
    match characters.find(|character| !character.is_alphanumeric() && !['-', '.', '_'].contains(character)) {
        None => Ok(host),
        Some(':' | '[' | ']') => Err(AddressError::Brackets(text.into())),
        Some(character) => Err(AddressError::Host { text: text.into(), character }),
    }
}

/// Where a stream connection comes from or goes to (CLI-29; Go net.SplitHostPort decides).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Host, possibly empty, and port.
    Tcp(String, u16),
    /// Path of a unix socket.
    Unix(String),
}

impl Address {
    /// `unix:PATH`, `@NAME` (an abstract name of Linux), and what has a slash but no port are Unix sockets (CLI-75).
    ///
    /// # Errors
    /// It is neither, or the port is neither a number from 0 to 65535 nor the name of a TCP service of this system.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix("unix:") {
            Some("") => return Err(AddressError::NoPort(text.into())),
            Some(path) => return Ok(Self::Unix(path.into())),
            None => {}
        }
        if text.starts_with(['/', '.', '@']) && text.len() > 1 {
            return Ok(Self::Unix(text.into()));
        }
        refuse_no_address(text)?;
        let Some((host, port)) = split_host_port(text) else {
            return match text {
                _ if text.contains('/') => Ok(Self::Unix(text.into())),
                _ if text.matches(':').count() > 1 => Err(AddressError::Brackets(text.into())),
                _ => Err(AddressError::NoPort(text.into())),
            };
        };
        let host = bare_host(text, host)?;
        let found = match take_digits(port) {
            ("", "") => return Err(AddressError::NoPort(text.into())),
            (_, "") => port.parse().ok(),
            _ => tcp_service(&std::fs::read_to_string(SERVICES).unwrap_or_default(), port),
        };
        match (found, take_digits(port)) {
            (Some(port), _) => Ok(Self::Tcp(host.into(), port)),
            (None, ("", _) | (_, "")) => Err(AddressError::Service(text.into())),
            (None, (_, rest)) => {
                Err(trailing(text, rest, text.strip_suffix(rest).unwrap_or_default().to_owned()))
            }
        }
    }

    /// [`parse`](Self::parse) of what is connected to.
    ///
    /// # Errors
    /// As there, or the port is 0.
    pub fn parse_destination(text: &str) -> Result<Self, AddressError> {
        match Self::parse(text)? {
            Self::Tcp(_, 0) => Err(AddressError::PortZero(text.into())),
            address => Ok(address),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => f.write_str(path),
        }
    }
}

/// The full-width forms of ASCII's printable characters, and the half-width ideographic full stop (Unicode, Halfwidth and Fullwidth Forms).
const FULL_WIDTH: RangeInclusive<char> = '\u{ff01}'..='\u{ff61}';

/// Texts that are no address, but that a user might take for one.
fn refuse_no_address(text: &str) -> Result<(), AddressError> {
    if let Some(character) = text.chars().find(|character| FULL_WIDTH.contains(character)) {
        return Err(AddressError::FullWidth { text: text.into(), character });
    }
    Err(match text {
        _ if text.contains("://") => AddressError::Url(text.into()),
        _ if text.contains([',', ';', '|']) => AddressError::List(text.into()),
        _ if text.contains(DASHES) => AddressError::Dash(text.into()),
        _ if text.contains(char::is_whitespace) => AddressError::Blank(text.into()),
        _ => return Ok(()),
    })
}

fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    (is_bracketed || !host.contains([':', '[', ']'])).then_some((host, port))
}

/// The port of a TCP service or its alias in a table as services(5) describes it.
fn tcp_service(table: &str, name: &str) -> Option<u16> {
    let lines = table.lines().map(|line| line.split('#').next().unwrap_or_default());
    let mut fields = lines.map(str::split_whitespace);
    fields.find_map(|mut fields| {
        let (service, port) = (fields.next()?, fields.next()?.strip_suffix("/tcp")?);
        (service == name || fields.any(|alias| alias == name)).then(|| port.parse().ok())?
    })
}

/// Looks a name up: every address it has, at least one, in the order to try them. As Go does, IPv4 comes first; an empty
/// host is this machine.
///
/// # Errors
/// The lookup failed or found nothing.
pub async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    let mut found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found.dedup();
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "no address found"));
    }
    Ok(found)
}

/// The addresses to bind for `host`, best first: both families at once for an empty host, else what it resolves to.
///
/// # Errors
/// The lookup failed.
pub async fn bind_candidates(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if host.is_empty() {
        return Ok(vec![([0u16; 8], port).into(), ([0u8; 4], port).into()]);
    }
    resolve(host, port).await
}

#[cfg(test)]
mod tests {
    use super::*;

    // CLI-28
    #[test]
    fn a_host_has_a_port_or_a_range_of_ports() {
        let range = |text: &str| PortRange::parse(text).map(|r| (r.host, r.min, r.max));
        let found = |host: &str, min, max| Ok((host.to_owned(), min, max));
        assert_eq!(range("vps:29900"), found("vps", 29900, 29900));
        assert_eq!(range(":29900-29910"), found("", 29900, 29910));
        assert_eq!(range("h:30-30"), found("h", 30, 30));
        assert_eq!(range("a_b-c.\u{e9}x:1"), found("a_b-c.\u{e9}x", 1, 1));
        assert_eq!(range("[::1]:29900-29910"), found("::1", 29900, 29910));
        assert_eq!(range("[fe80::1%eth0]:1"), found("fe80::1%eth0", 1, 1));
        for text in ["h:123456", "h:0", "h:40-30", "h:70000", "h:1-70000", "h:2990029905", "h:70000/"] {
            assert_eq!(range(text), Err(AddressError::Ports(text.into())), "{text}");
        }
        for text in ["nonsense", "h:", "", ":", "h:x", "é:", "h:1:", "[::1]"] {
            assert_eq!(range(text), Err(AddressError::Malformed(text.into())), "{text}");
        }
    }

    // CLI-29
    #[test]
    fn what_does_not_split_into_host_and_port_is_a_path() {
        let tcp = |host: &str, port| Ok(Address::Tcp(host.into(), port));
        assert_eq!(Address::parse(":12948"), tcp("", 12948));
        assert_eq!(Address::parse(":0"), tcp("", 0));
        assert_eq!(Address::parse_destination(":0"), Err(AddressError::PortZero(":0".into())));
        assert_eq!(Address::parse_destination(":1"), tcp("", 1));
        assert_eq!(Address::parse("127.0.0.1:80"), tcp("127.0.0.1", 80));
        assert_eq!(Address::parse("[::1]:80"), tcp("::1", 80));
        for path in ["/tmp/x.sock", "./x.sock", "run/x.sock", "@karst", "/tmp/a b,c:d", "../x"] {
            assert_eq!(Address::parse(path), Ok(Address::Unix(path.into())), "{path}");
        }
        assert_eq!(Address::parse("unix:x.sock"), Ok(Address::Unix("x.sock".into())));
        for text in ["h:no-such-service", "h:65536", "h:-1"] {
            assert_eq!(Address::parse(text), Err(AddressError::Service(text.into())));
        }
        assert_eq!(Address::Tcp("::1".into(), 80).to_string(), "[::1]:80");
    }

    // CLI-75
    #[test]
    fn what_is_no_address_is_rejected_by_its_fault() {
        let refusal = |text: &str| Address::parse(text).unwrap_err();
        for text in ["12948", "127.0.0.1", "x.sock", "", "@", "unix:", "localhost", ":", "h:", "[::1]:"] {
            assert_eq!(refusal(text), AddressError::NoPort(text.into()));
        }
        for text in ["::1:80", "[::1:80", "::1", "[h]:80", "[]:80", "[::1]x:80"] {
            assert_eq!(refusal(text), AddressError::Brackets(text.into()));
            let port_range = PortRange::parse(text);
            assert!(
                text == "::1" || port_range == Err(AddressError::Brackets(text.into())),
                "{port_range:?}"
            );
        }
        for (text, character) in [
            ("a/b:80", '/'),
            ("me@h:80", '@'),
            ("\u{201c}h:80", '\u{201c}'),
            ("\u{200b}h:80", '\u{200b}'),
            ("*:80", '*'),
        ] {
            assert_eq!(refusal(text), AddressError::Host { text: text.into(), character });
            assert_eq!(PortRange::parse(text), Err(AddressError::Host { text: text.into(), character }));
        }
        for (text, character) in [
            ("h\u{ff1a}80", '\u{ff1a}'),
            ("\u{ff11}27.0.0.1:80", '\u{ff11}'),
            ("127.0.0.1:\u{ff18}0", '\u{ff18}'),
            ("127\u{ff0e}0.0.1:80", '\u{ff0e}'),
        ] {
            assert_eq!(refusal(text), AddressError::FullWidth { text: text.into(), character });
            assert_eq!(PortRange::parse(text), Err(AddressError::FullWidth { text: text.into(), character }));
        }
        for (text, rest, meant) in
            [("h:80/", "/", "h:80"), ("[::1]:80abc", "abc", "[::1]:80"), ("h:80-", "-", "h:80")]
        {
            assert_eq!(refusal(text), trailing(text, rest, meant.into()));
            assert_eq!(PortRange::parse(text), Err(trailing(text, rest, meant.into())));
        }
        assert_eq!(PortRange::parse("h:30-40-50"), Err(trailing("h:30-40-50", "-50", "h:30-40".into())));
        for (text, error) in [
            ("http://h:80", AddressError::Url as fn(String) -> AddressError),
            ("a:1,b:2", AddressError::List),
            ("a:1;b:2", AddressError::List),
            ("h:1\u{2013}2", AddressError::Dash),
            ("h :80", AddressError::Blank),
            ("h:80 ", AddressError::Blank),
        ] {
            assert_eq!(refusal(text), error(text.into()));
            assert_eq!(PortRange::parse(text), Err(error(text.into())));
        }
    }

    // CLI-29
    #[test]
    fn services_have_names_and_aliases() {
        let table = "# http 1/tcp\nhttp\t\t80/tcp\t\twww # World\nsyslog 514/udp\nshell 514/tcp cmd syslog\n";
        for (name, port) in [("http", 80), ("www", 80), ("syslog", 514), ("cmd", 514)] {
            assert_eq!(tcp_service(table, name), Some(port), "{name}");
        }
        for name in ["World", "80/tcp", "#", "none", ""] {
            assert_eq!(tcp_service(table, name), None, "{name}");
        }
    }
}
