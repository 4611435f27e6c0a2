//! IP packets with one TCP segment: parsing, and the headers of a segment to send.
//!
//! IPv4 without fragments, and IPv6 without extension headers. `benches/forged.rs` compares it with `pnet_packet`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest headers that [`Header::write`] writes: IPv6 and TCP with all its options.
pub const HEADERS_MAX: usize = 40 + 60;

/// The IP packets of this module have the hop limit that Linux uses.
pub const HOP_LIMIT: u8 = 64;

const TCP: u8 = 6;
const DONT_FRAGMENT: u16 = 0x4000;

/// Flags of a segment, the lower byte of the field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push: set on every datagram.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgement number is valid.
    pub const ACK: Self = Self(0x10);

    /// All flags of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Whether the checksum of a segment is correct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// It is.
    Valid,
    /// Only the pseudo header is summed: the segment comes from the kernel of a host that shares this link, which left the
    /// rest to hardware that does not exist.
    Unfinished,
    /// It is not.
    Wrong,
}

/// Why bytes are no TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Shorter than its headers, or than its length fields.
    #[error("truncated")]
    Truncated,
    /// Neither IPv4 nor IPv6.
    #[error("neither IPv4 nor IPv6")]
    Version,
    /// A length field smaller than the header it belongs to.
    #[error("invalid header length")]
    HeaderLength,
    /// The checksum of the IPv4 header is wrong.
    #[error("wrong IPv4 header checksum")]
    HeaderChecksum,
    /// A fragment.
    #[error("fragment")]
    Fragment,
    /// Another protocol than TCP, or IPv6 with extension headers.
    #[error("not TCP")]
    Protocol,
}

/// One TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'p> {
    /// Sender.
    pub from: SocketAddr,
    /// Receiver.
    pub to: SocketAddr,
    /// IPv4 type of service or IPv6 traffic class.
    pub traffic_class: u8,
    /// IPv4 time to live or IPv6 hop limit.
    pub hop_limit: u8,
    /// IPv4 identification; 0 in IPv6.
    pub id: u16,
    /// IPv4 don't-fragment flag; always set in IPv6.
    pub dont_fragment: bool,
    /// IPv6 flow label; 0 in IPv4.
    pub flow_label: u32,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Flags.
    pub flags: Flags,
    /// Window as sent, not scaled.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// Whether the checksum is correct.
    pub checksum: Checksum,
    /// Bytes of the options, padding included.
    pub options: &'p [u8],
    /// Bytes after the header.
    pub payload: &'p [u8],
}

impl<'p> Segment<'p> {
    /// Parses an IP packet; bytes after its end are ignored (padding of short frames).
    ///
    /// # Errors
    /// See [`ParseError`]. A wrong TCP checksum is none: see [`Segment::checksum`].
    pub fn parse(packet: &'p [u8]) -> Result<Self, ParseError> {
        match packet.first().ok_or(ParseError::Truncated)? >> 4 {
            4 => Self::parse_v4(packet),
            6 => Self::parse_v6(packet),
            _ => Err(ParseError::Version),
        }
    }

    fn parse_v4(packet: &'p [u8]) -> Result<Self, ParseError> {
        let fixed = packet.first_chunk::<20>().ok_or(ParseError::Truncated)?;
        let header_len = usize::from(fixed[0] & 15) * 4;
        let total_len = usize::from(u16_at(fixed, 2));
        if header_len < 20 || total_len < header_len {
            return Err(ParseError::HeaderLength);
        }
        let packet = packet.get(..total_len).ok_or(ParseError::Truncated)?;
        let (header, body) = packet.split_at(header_len);
        if fixed[9] != TCP {
            return Err(ParseError::Protocol);
        }
        if fold(sum(header)) != 0xffff {
            return Err(ParseError::HeaderChecksum);
        }
        let fragment = u16_at(fixed, 6);
        if fragment & 0x3fff != 0 {
            return Err(ParseError::Fragment);
        }
        let address =
            |at: usize| IpAddr::V4(Ipv4Addr::new(fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]));
        let segment = Self::parse_tcp(address(12), address(16), body)?;
        let (traffic_class, hop_limit, id) = (fixed[1], fixed[8], u16_at(fixed, 4));
        Ok(Self { traffic_class, hop_limit, id, dont_fragment: fragment & DONT_FRAGMENT != 0, ..segment })
    }

    fn parse_v6(packet: &'p [u8]) -> Result<Self, ParseError> {
        let header = packet.first_chunk::<40>().ok_or(ParseError::Truncated)?;
        let payload_len = usize::from(u16_at(header, 4));
        if header[6] != TCP {
            return Err(ParseError::Protocol);
        }
        let body = packet.get(40..40 + payload_len).ok_or(ParseError::Truncated)?;
        let address = |at: usize| {
            let mut octets = [0; 16];
            octets.copy_from_slice(&header[at..at + 16]);
            IpAddr::V6(Ipv6Addr::from(octets))
        };
        let segment = Self::parse_tcp(address(8), address(24), body)?;
        let first = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
        let traffic_class = (first >> 20) as u8;
        Ok(Self { traffic_class, hop_limit: header[7], flow_label: first & 0xf_ffff, ..segment })
    }

    fn parse_tcp(from: IpAddr, to: IpAddr, body: &'p [u8]) -> Result<Self, ParseError> {
        let fixed = body.first_chunk::<20>().ok_or(ParseError::Truncated)?;
        let header_len = usize::from(fixed[12] >> 4) * 4;
        if header_len < 20 {
            return Err(ParseError::HeaderLength);
        }
        let payload = body.get(header_len..).ok_or(ParseError::Truncated)?;
        let pseudo = pseudo_header(from, to, body.len());
        let checksum = match fold(pseudo + sum(body)) {
            0xffff => Checksum::Valid,
            _ if u16_at(fixed, 16) == fold(pseudo).to_be() => Checksum::Unfinished,
            _ => Checksum::Wrong,
        };
        Ok(Self {
            from: SocketAddr::new(from, u16_at(fixed, 0)),
            to: SocketAddr::new(to, u16_at(fixed, 2)),
            traffic_class: 0,
            hop_limit: 0,
            id: 0,
            dont_fragment: true,
            flow_label: 0,
            seq: u32_at(fixed, 4),
            ack: u32_at(fixed, 8),
            flags: Flags(fixed[13]),
            window: u16_at(fixed, 14),
            urgent: u16_at(fixed, 18),
            checksum,
            options: &body[20..header_len],
            payload,
        })
    }

    /// The datagram that it carries: PSH and ACK are set, SYN, FIN and RST are not, and there is a payload (FTCP-1).
    pub fn datagram(&self) -> Option<&'p [u8]> {
        let control = Flags::SYN.and(Flags::FIN).and(Flags::RST);
        let data = self.flags.has(Flags::PSH.and(Flags::ACK)) && self.flags.0 & control.0 == 0;
        (data && !self.payload.is_empty()).then_some(self.payload)
    }
}

/// Options of a SYN that matter to a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Maximum segment size.
    pub mss: Option<u16>,
    /// Window scale, at most 14.
    pub window_scale: Option<u8>,
    /// Whether selective acknowledgements are permitted.
    pub sack_permitted: bool,
    /// Timestamp: value and echo.
    pub timestamp: Option<(u32, u32)>,
}

impl Options {
    /// Reads the options of a header; what is malformed, and all after it, is ignored.
    pub fn parse(mut bytes: &[u8]) -> Self {
        let mut options = Self::default();
        while let Some(&kind) = bytes.first() {
            let len = match kind {
                0 => break,
                1 => 1,
                _ => bytes.get(1).map_or(0, |len| usize::from(*len)),
            };
            let Some(option) = bytes.get(..len).filter(|option| kind == 1 || option.len() >= 2) else {
                break;
            };
            match option {
                [2, 4, a, b] => options.mss = Some(u16::from_be_bytes([*a, *b])),
                // A larger scale counts as 14 (RFC 7323 section 2.3).
                [3, 3, scale] => options.window_scale = Some((*scale).min(14)),
                [4, 2] => options.sack_permitted = true,
                [8, 10, numbers @ ..] => options.timestamp = Some((u32_at(numbers, 0), u32_at(numbers, 4))),
                _ => {}
            }
            bytes = &bytes[len..];
        }
        options
    }
}

/// The headers of a segment to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'o> {
    /// Sender.
    pub from: SocketAddr,
    /// Receiver, of the same family.
    pub to: SocketAddr,
    /// IPv4 type of service or IPv6 traffic class.
    pub traffic_class: u8,
    /// IPv4 time to live or IPv6 hop limit.
    pub hop_limit: u8,
    /// IPv4 identification.
    pub id: u16,
    /// IPv6 flow label, 20 bits.
    pub flow_label: u32,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Flags.
    pub flags: Flags,
    /// Window, not scaled.
    pub window: u16,
    /// Options: a multiple of four bytes, at most 40.
    pub options: &'o [u8],
}

/// Why headers cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// Sender and receiver are of different families.
    #[error("addresses of different families")]
    Family,
    /// More options than a header holds, or not padded.
    #[error("options of an invalid length")]
    Options,
    /// The packet would exceed 65,535 bytes.
    #[error("payload too long")]
    Payload,
}

impl Header<'_> {
    /// Writes both headers for `payload`, which has to follow them, and returns their length. Don't-fragment is set.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn write(&self, payload: &[u8], out: &mut [u8; HEADERS_MAX]) -> Result<usize, WriteError> {
        if self.options.len() > 40 || !self.options.len().is_multiple_of(4) {
            return Err(WriteError::Options);
        }
        let tcp_len = 20 + self.options.len();
        let body_len = tcp_len + payload.len();
        let ip_len = match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let total = u16::try_from(20 + body_len).map_err(|_| WriteError::Payload)?;
                self.write_v4(from, to, total, out);
                20
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let len = u16::try_from(body_len).map_err(|_| WriteError::Payload)?;
                self.write_v6(from, to, len, out);
                40
            }
            _ => return Err(WriteError::Family),
        };
        let tcp = &mut out[ip_len..ip_len + tcp_len];
        tcp[0..2].copy_from_slice(&self.from.port().to_be_bytes());
        tcp[2..4].copy_from_slice(&self.to.port().to_be_bytes());
        tcp[4..8].copy_from_slice(&self.seq.to_be_bytes());
        tcp[8..12].copy_from_slice(&self.ack.to_be_bytes());
        tcp[12] = (tcp_len as u8 / 4) << 4;
        tcp[13] = self.flags.0;
        tcp[14..16].copy_from_slice(&self.window.to_be_bytes());
        tcp[16..20].fill(0);
        tcp[20..].copy_from_slice(self.options);
        let pseudo = pseudo_header(self.from.ip(), self.to.ip(), body_len);
        let checksum = !fold(pseudo + sum(tcp) + sum(payload));
        tcp[16..18].copy_from_slice(&checksum.to_ne_bytes());
        Ok(ip_len + tcp_len)
    }

    fn write_v4(&self, from: Ipv4Addr, to: Ipv4Addr, total: u16, out: &mut [u8; HEADERS_MAX]) {
        let header = &mut out[..20];
        header[0] = 0x45;
        header[1] = self.traffic_class;
        header[2..4].copy_from_slice(&total.to_be_bytes());
        header[4..6].copy_from_slice(&self.id.to_be_bytes());
        header[6..8].copy_from_slice(&DONT_FRAGMENT.to_be_bytes());
        header[8] = self.hop_limit;
        header[9] = TCP;
        header[10..12].fill(0);
        header[12..16].copy_from_slice(&from.octets());
        header[16..20].copy_from_slice(&to.octets());
        let checksum = !fold(sum(header));
        header[10..12].copy_from_slice(&checksum.to_ne_bytes());
    }

    fn write_v6(&self, from: Ipv6Addr, to: Ipv6Addr, len: u16, out: &mut [u8; HEADERS_MAX]) {
        let header = &mut out[..40];
        let first = 6 << 28 | u32::from(self.traffic_class) << 20 | self.flow_label & 0xf_ffff;
        header[0..4].copy_from_slice(&first.to_be_bytes());
        header[4..6].copy_from_slice(&len.to_be_bytes());
        header[6] = TCP;
        header[7] = self.hop_limit;
        header[8..24].copy_from_slice(&from.octets());
        header[24..40].copy_from_slice(&to.octets());
    }
}

/// Sum of the pseudo header, in the machine's byte order (RFC 9293 section 3.1, RFC 8200 section 8.1).
fn pseudo_header(from: IpAddr, to: IpAddr, len: usize) -> u64 {
    let addresses = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => sum(&from.octets()) + sum(&to.octets()),
        (IpAddr::V6(from), IpAddr::V6(to)) => sum(&from.octets()) + sum(&to.octets()),
        _ => 0,
    };
    addresses + sum(&[0, TCP]) + sum(&(len as u32).to_be_bytes())
}

/// Sum of the bytes as words of the machine's byte order, which the one's complement sum permits (RFC 1071 section 2).
/// Bounded by 2^32 times the number of words, so packets cannot overflow it.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let whole: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    whole + u64::from(u32::from_ne_bytes(last))
}

/// The one's complement sum of 16 bits, in the machine's byte order.
const fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
