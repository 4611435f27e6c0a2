//! The request at the beginning of a stream, and its answer (kcptunb.md section 6.2).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes of the longest request; kcptunB reads no more at once.
pub const REQUEST_BYTES_MAX: usize = 320;

/// Bytes of an answer.
pub const ANSWER_BYTES: usize = 10;

/// Answers: those of SOCKS5 (RFC 1928 section 6).
pub mod code {
    /// Connected.
    pub const CONNECTED: u8 = 0;
    /// The client could not reach the server.
    pub const GENERAL: u8 = 1;
    /// The server does not allow the destination.
    pub const REFUSED: u8 = 2;
    /// The stream ended without an answer.
    pub const UNREACHABLE: u8 = 3;
    /// The destination refused, or does not exist.
    pub const FAILED: u8 = 5;
    /// The destination did not answer in time.
    pub const TIMEOUT: u8 = 6;
    /// Only connections are supported.
    pub const COMMAND: u8 = 7;
    /// Unknown type of address.
    pub const ADDRESS: u8 = 8;
}

/// Where a stream goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// An address.
    Address(SocketAddr),
    /// A name, which the server resolves, and a port.
    Name(String, u16),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

/// What the first bytes of a stream are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The beginning of a request.
    Incomplete,
    /// No request; the answer to it.
    Invalid(u8),
    /// A request, and its length.
    Complete(Destination, usize),
}

/// Reads a request. The type with a text has no length: its port ends where the digits end, so `bytes` must be whole frames.
pub fn parse(bytes: &[u8]) -> Parsed {
    match bytes.get(3) {
        None => Parsed::Incomplete,
        Some(5) => parse_text(&bytes[4..]),
        Some(_) => parse_address(bytes, 3),
    }
}

/// Whether these are the first bytes of a request with a text, whose end only its sender knows.
pub fn is_text(bytes: &[u8]) -> bool {
    bytes.get(3) == Some(&5)
}

/// Reads `HOST:PORT` behind a head of 4 bytes.
fn parse_text(text: &[u8]) -> Parsed {
    let host_end = match text.first() {
        Some(b'[') => text.iter().position(|byte| *byte == b']').map(|at| at + 1),
        _ => text.iter().position(|byte| *byte == b':'),
    };
    let port_at = host_end.filter(|end| *end < text.len()).map(|end| end + 1);
    let port = port_at.map_or(&[][..], |at| &text[at..]);
    let len = match port {
        // Also a prefix of the names below.
        [] | [b'h'] | [b'h', b't'] | [b'h', b't', b't'] if text.len() < REQUEST_BYTES_MAX => {
            return Parsed::Incomplete;
        }
        [b'h', b't', b't', b'p', b's', ..] => 5,
        [b'h', b't', b't', b'p', ..] => 4,
        digits => digits.iter().take_while(|byte| byte.is_ascii_digit()).count(),
    };
    let end = port_at.unwrap_or(0) + len;
    match std::str::from_utf8(&text[..end]).ok().and_then(destination) {
        Some(found) => Parsed::Complete(found, 4 + end),
        None => Parsed::Invalid(code::FAILED),
    }
}

/// Reads type, address and port from `at` on, as SOCKS5 writes them.
pub(super) fn parse_address(bytes: &[u8], at: usize) -> Parsed {
    let rest = &bytes[at..];
    let (host_at, host_len) = match rest {
        [1, ..] => (1, 4),
        [4, ..] => (1, 16),
        [3, len, ..] => (2, usize::from(*len)),
        [3] | [] => return Parsed::Incomplete,
        _ => return Parsed::Invalid(code::ADDRESS),
    };
    let Some(host) = rest.get(host_at..host_at + host_len) else { return Parsed::Incomplete };
    let Some(port) = rest[host_at + host_len..].first_chunk() else { return Parsed::Incomplete };
    let port = u16::from_be_bytes(*port);
    let address = |ip: IpAddr| Destination::Address(SocketAddr::new(ip, port));
    let destination = match (rest[0], <[u8; 4]>::try_from(host), <[u8; 16]>::try_from(host)) {
        (1, Ok(octets), _) => Some(address(Ipv4Addr::from(octets).into())),
        (4, _, Ok(octets)) => Some(address(Ipv6Addr::from(octets).into())),
        _ => std::str::from_utf8(host).ok().filter(|name| is_name(name)).map(|name| match name.parse() {
            Ok(ip) => address(ip),
            Err(_) => Destination::Name(name.into(), port),
        }),
    };
    match destination {
        Some(destination) => Parsed::Complete(destination, at + host_at + host_len + 2),
        None => Parsed::Invalid(code::FAILED),
    }
}

/// `HOST:PORT`, with brackets around IPv6; a port may have the name of a service of the web.
pub fn destination(text: &str) -> Option<Destination> {
    let (host, port) = text.rsplit_once(':')?;
    let port = match port {
        "http" => 80,
        "https" => 443,
        number if number.bytes().all(|byte| byte.is_ascii_digit()) => number.parse().ok()?,
        _ => return None,
    };
    if let Some(ip) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return Some(Destination::Address(SocketAddr::new(IpAddr::V6(ip.parse().ok()?), port)));
    }
    match host.parse() {
        Ok(ip) => Some(Destination::Address(SocketAddr::new(IpAddr::V4(ip), port))),
        Err(_) if is_name(host) => Some(Destination::Name(host.into(), port)),
        Err(_) => None,
    }
}

/// Whether this can be the name of a host; those of other scripts are in ASCII here, as in DNS.
fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=255).contains(&text.len()) && text.bytes().all(fits)
}

/// The request for a destination, in one frame, as kcptunB reads it.
pub fn encode(destination: &Destination) -> Vec<u8> {
    let mut bytes = vec![5, 1, 0];
    let port = match destination {
        Destination::Address(address) => {
            match address.ip() {
                IpAddr::V4(ip) => bytes.extend([1].into_iter().chain(ip.octets())),
                IpAddr::V6(ip) => bytes.extend([4].into_iter().chain(ip.octets())),
            }
            address.port()
        }
        Destination::Name(name, port) => {
            bytes.extend([3, name.len().min(255) as u8]);
            bytes.extend(name.bytes().take(255));
            *port
        }
    };
    bytes.extend(port.to_be_bytes());
    bytes
}

/// The answer to a request, and to an application of SOCKS5.
pub const fn answer(code: u8) -> [u8; ANSWER_BYTES] {
    [5, code, 0, 1, 0, 0, 0, 0, 0, 0]
}
