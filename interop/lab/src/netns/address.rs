//! Addresses in IPv4 packets of UDP and TCP.

use std::net::{Ipv4Addr, SocketAddrV4};

/// A socket at the left end: protocol and port.
pub(super) type Socket = (u8, u16);

/// The address field of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// The sender's.
    Source,
    /// The receiver's.
    Destination,
}

const TCP: u8 = 6;
const UDP: u8 = 17;

impl Field {
    /// Offset in the IPv4 header.
    const fn ip_at(self) -> usize {
        match self {
            Self::Source => 12,
            Self::Destination => 16,
        }
    }

    /// Offset of the port in the UDP or TCP header.
    const fn port_at(self) -> usize {
        match self {
            Self::Source => 0,
            Self::Destination => 2,
        }
    }
}

/// Socket and source address of a packet; None unless it is UDP or TCP and not a fragment.
pub(super) fn sender(packet: &[u8]) -> Option<(Socket, Ipv4Addr)> {
    let payload_at = payload_at(packet)?;
    let address = address(packet, payload_at, Field::Source);
    Some(((packet[9], address.port()), *address.ip()))
}

/// Destination of a packet; None as for [`sender`].
pub(super) fn receiver(packet: &[u8]) -> Option<SocketAddrV4> {
    Some(address(packet, payload_at(packet)?, Field::Destination))
}

/// Replaces an address of a packet and updates its checksums incrementally (RFC 1624): a wrong checksum stays wrong.
pub(super) fn readdress(packet: &mut [u8], field: Field, to: SocketAddrV4) {
    let Some(payload_at) = payload_at(packet) else { return };
    let checksum_at = payload_at + if packet[9] == UDP { 6 } else { 16 };
    let ip = to.ip().octets();
    let port = to.port().to_be_bytes();
    let ip_at = field.ip_at();
    for (at, word, in_header) in [
        (ip_at, [ip[0], ip[1]], true),
        (ip_at + 2, [ip[2], ip[3]], true),
        (payload_at + field.port_at(), port, false),
    ] {
        let old = [packet[at], packet[at + 1]];
        packet[at..at + 2].copy_from_slice(&word);
        if in_header {
            adjust(packet, 10, old, word);
        }
        // In UDP, zero means that there is no checksum.
        if packet[9] != UDP || packet[checksum_at..checksum_at + 2] != [0, 0] {
            adjust(packet, checksum_at, old, word);
        }
    }
}

/// Offset of the UDP or TCP header; None for other packets and truncated headers.
fn payload_at(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    let header_bytes = usize::from(first & 15) * 4;
    let payload_bytes = match *packet.get(9)? {
        TCP => 20,
        UDP => 8,
        _ => return None,
    };
    let fragment = u16::from_be_bytes([packet[6], packet[7]]) & 0x3fff;
    let whole = first >> 4 == 4 && header_bytes >= 20 && packet.len() >= header_bytes + payload_bytes;
    (whole && fragment == 0).then_some(header_bytes)
}

fn address(packet: &[u8], payload_at: usize, field: Field) -> SocketAddrV4 {
    let ip = &packet[field.ip_at()..][..4];
    let port = &packet[payload_at + field.port_at()..][..2];
    SocketAddrV4::new(Ipv4Addr::new(ip[0], ip[1], ip[2], ip[3]), u16::from_be_bytes([port[0], port[1]]))
}

/// Updates a checksum for one changed word.
fn adjust(packet: &mut [u8], at: usize, old: [u8; 2], new: [u8; 2]) {
    let number = |word: [u8; 2]| u32::from(u16::from_be_bytes(word));
    let checksum = number([packet[at], packet[at + 1]]);
    let mut sum = (!checksum & 0xffff) + (!number(old) & 0xffff) + number(new);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    packet[at..at + 2].copy_from_slice(&(!sum as u16).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(bytes: &[u8]) -> u32 {
        let mut sum: u32 = bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum
    }

    /// A UDP packet with four bytes of payload and correct checksums.
    fn packet() -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 32, 0, 0, 0x40, 0, 64, UDP, 0, 0, 10, 77, 0, 1, 10, 77, 0, 2];
        packet.extend([0x12, 0x34, 0x74, 0xcc, 0, 12, 0, 0, 1, 2, 3, 4]);
        let header = !sum(&packet[..20]) as u16;
        packet[10..12].copy_from_slice(&header.to_be_bytes());
        let udp = !(sum(&[&packet[12..], &[0, UDP, 0, 12]].concat())) as u16;
        packet[26..28].copy_from_slice(&udp.to_be_bytes());
        packet
    }

    #[test]
    fn checksums_stay_correct() {
        let mut packet = packet();
        assert_eq!(sender(&packet), Some(((UDP, 0x1234), Ipv4Addr::new(10, 77, 0, 1))));
        let public = SocketAddrV4::new(Ipv4Addr::new(10, 0, 3, 1), 40_123);
        readdress(&mut packet, Field::Source, public);
        assert_eq!((&packet[12..16], &packet[20..22]), (&[10, 0, 3, 1][..], &40_123_u16.to_be_bytes()[..]));
        assert_eq!(sum(&packet[..20]), 0xffff);
        assert_eq!(sum(&[&packet[12..], &[0, UDP, 0, 12]].concat()), 0xffff);
        readdress(&mut packet, Field::Destination, public);
        assert_eq!(receiver(&packet), Some(public));
        assert_eq!(sum(&[&packet[12..], &[0, UDP, 0, 12]].concat()), 0xffff);
    }

    #[test]
    fn packets_without_ports_are_not_changed() {
        let whole = packet();
        for len in 0..28 {
            assert_eq!(sender(&whole[..len]), None);
        }
        let mut fragment = whole.clone();
        fragment[7] = 1;
        let mut icmp = whole.clone();
        icmp[9] = 1;
        assert_eq!((sender(&fragment), receiver(&icmp)), (None, None));
        let before = icmp.clone();
        readdress(&mut icmp, Field::Source, SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1));
        assert_eq!(icmp, before);
    }
}
