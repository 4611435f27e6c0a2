//! Captures in pcapng, for tshark and Wireshark: packets that start with their IP header, with comments.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Packets start with an IPv4 or IPv6 header (LINKTYPE_RAW).
const LINKTYPE_RAW: u32 = 101;
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

const COMMENT: u16 = 1;
const NAME: u16 = 2;
const TIME_RESOLUTION: u16 = 9;

/// Maximum length of a comment, bytes; longer ones are cut.
const COMMENT_BYTES_MAX: usize = 4_000;

/// A pcapng writer.
#[derive(Debug)]
pub struct Pcapng<W: Write> {
    out: W,
}

impl<W: Write> Pcapng<W> {
    /// Starts a capture with these interfaces, numbered from 0.
    ///
    /// # Errors
    /// `out` cannot be written.
    pub fn new(mut out: W, interfaces: &[&str]) -> io::Result<Self> {
        // Version 1.0, length of the section unknown.
        let mut section = BYTE_ORDER_MAGIC.to_le_bytes().to_vec();
        section.extend([1, 0, 0, 0]);
        section.extend(u64::MAX.to_le_bytes());
        block(&mut out, SECTION_HEADER, &[&section])?;
        for name in interfaces {
            let mut interface = LINKTYPE_RAW.to_le_bytes().to_vec();
            interface.extend(0_u32.to_le_bytes());
            option(&mut interface, NAME, name.as_bytes());
            // Timestamps count nanoseconds.
            option(&mut interface, TIME_RESOLUTION, &[9]);
            option(&mut interface, 0, &[]);
            block(&mut out, INTERFACE_DESCRIPTION, &[&interface])?;
        }
        Ok(Self { out })
    }

    /// Writes a packet, given as its headers and the rest, at `at_ns` nanoseconds. An empty comment is left out.
    ///
    /// # Errors
    /// `out` cannot be written.
    pub fn write(
        &mut self,
        interface: u32,
        at_ns: u64,
        [headers, bytes]: [&[u8]; 2],
        comment: &str,
    ) -> io::Result<()> {
        let len = headers.len() + bytes.len();
        let fields =
            [interface, (at_ns >> 32) as u32, at_ns as u32, len as u32, len as u32].map(u32::to_le_bytes);
        let mut options = Vec::new();
        if !comment.is_empty() {
            options.resize(len.next_multiple_of(4) - len, 0);
            option(&mut options, COMMENT, &comment.as_bytes()[..comment.len().min(COMMENT_BYTES_MAX)]);
            option(&mut options, 0, &[]);
        }
        block(&mut self.out, ENHANCED_PACKET, &[fields.as_flattened(), headers, bytes, &options])
    }

    /// Flushes the output.
    ///
    /// # Errors
    /// `out` cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// An IP and a UDP header before `len` bytes, without a UDP checksum.
pub fn udp_headers(from: SocketAddr, to: SocketAddr, len: usize) -> Vec<u8> {
    let udp_len = (8 + len) as u16;
    let mut bytes = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ipv4(from, to, udp_len),
        (from, to) => ipv6(mapped(from), mapped(to), udp_len),
    };
    for number in [from.port(), to.port(), udp_len, 0] {
        bytes.extend(number.to_be_bytes());
    }
    bytes
}

/// A block: type, length, body filled up to four bytes, length.
fn block(out: &mut impl Write, kind: u32, parts: &[&[u8]]) -> io::Result<()> {
    let body: usize = parts.iter().map(|part| part.len()).sum();
    let padding = body.next_multiple_of(4) - body;
    let total = (12 + body + padding) as u32;
    out.write_all(&kind.to_le_bytes())?;
    out.write_all(&total.to_le_bytes())?;
    for part in parts {
        out.write_all(part)?;
    }
    out.write_all(&[0; 3][..padding])?;
    out.write_all(&total.to_le_bytes())
}

/// An option: code, length, value filled up to four bytes.
fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend(value);
    body.extend(&[0; 3][..value.len().next_multiple_of(4) - value.len()]);
}

fn ipv4(from: Ipv4Addr, to: Ipv4Addr, udp_len: u16) -> Vec<u8> {
    let mut header = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0];
    header[2..4].copy_from_slice(&(20 + udp_len).to_be_bytes());
    header.extend(from.octets());
    header.extend(to.octets());
    let words = header.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !((folded & 0xffff) + (folded >> 16)) as u16;
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header
}

fn ipv6(from: Ipv6Addr, to: Ipv6Addr, udp_len: u16) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend(udp_len.to_be_bytes());
    header.extend([17, 64]);
    header.extend(from.octets());
    header.extend(to.octets());
    header
}

fn mapped(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(at: usize, from: &[u8]) -> u32 {
        u32::from_le_bytes(from[at..at + 4].try_into().unwrap())
    }

    #[test]
    fn blocks_are_whole_words_and_say_their_length_twice() {
        let mut capture = Pcapng::new(Vec::new(), &["one", "two"]).unwrap();
        capture.write(1, 7 << 32 | 9, [&[1, 2], &[3, 4, 5]], "").unwrap();
        capture.write(0, 0, [&[1, 2], &[3]], "lost").unwrap();
        let mut rest = capture.out.as_slice();
        let mut kinds = Vec::new();
        while !rest.is_empty() {
            let total = word(4, rest) as usize;
            assert_eq!((total % 4, word(total - 4, rest) as usize), (0, total));
            kinds.push(word(0, rest));
            if kinds.len() == 4 {
                assert_eq!((word(8, rest), word(12, rest), word(16, rest), word(20, rest)), (1, 7, 9, 5));
                assert_eq!((&rest[28..33], total), (&[1, 2, 3, 4, 5][..], 40));
            }
            if kinds.len() == 5 {
                assert_eq!(&rest[28..44], b"\x01\x02\x03\0\x01\0\x04\0lost\0\0\0\0");
            }
            rest = &rest[total..];
        }
        assert_eq!(kinds, [SECTION_HEADER, 1, 1, ENHANCED_PACKET, ENHANCED_PACKET]);
    }

    /// RFC 1071: the checksum over a valid header is all ones.
    #[test]
    fn the_ipv4_checksum_is_right() {
        let header = ipv4([192, 168, 0, 1].into(), [192, 168, 0, 199].into(), 95);
        let sum: u32 = header.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    }
}
