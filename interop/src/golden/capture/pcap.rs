//! Classic pcap files, and extraction of tunnel datagrams from Ethernet frames.

use engine::forged::Segment;
use std::net::{IpAddr, SocketAddr};

/// Why a file is not a usable packet capture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PcapError {
    /// The first bytes are not those of a classic pcap file.
    #[error("not a classic pcap file")]
    Magic,
    /// The link type is not Ethernet.
    #[error("link type {0} is not Ethernet")]
    LinkType(u32),
    /// The file ends inside a record.
    #[error("ends inside record {0}")]
    Truncated(usize),
}

/// One recorded frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'f> {
    /// Position in the file, from 1 as in capture viewers.
    pub number: usize,
    /// Wall-clock time of the recording, microseconds.
    pub at_us: u64,
    /// Bytes from the Ethernet header on.
    pub bytes: &'f [u8],
}

/// All frames of a file.
///
/// # Errors
/// [`PcapError`]; also when the file ends inside a record.
pub fn frames(file: &[u8]) -> Result<Vec<Frame<'_>>, PcapError> {
    let order = ByteOrder::of(file).ok_or(PcapError::Magic)?;
    let link_type = order.u32_at(file, 20).ok_or(PcapError::Magic)?;
    if link_type & 0xffff != 1 {
        return Err(PcapError::LinkType(link_type));
    }
    let mut frames = Vec::new();
    let mut rest = file.get(24..).ok_or(PcapError::Magic)?;
    while !rest.is_empty() {
        let number = frames.len() + 1;
        let (frame, after) = order.record(number, rest).ok_or(PcapError::Truncated(number))?;
        frames.push(frame);
        rest = after;
    }
    Ok(frames)
}

/// Byte order and resolution, given by the magic number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByteOrder {
    pub(crate) big_endian: bool,
    pub(crate) nanoseconds: bool,
}

impl ByteOrder {
    pub(crate) fn of(file: &[u8]) -> Option<Self> {
        let (big_endian, nanoseconds) = match file.first_chunk()? {
            [0xd4, 0xc3, 0xb2, 0xa1] => (false, false),
            [0x4d, 0x3c, 0xb2, 0xa1] => (false, true),
            [0xa1, 0xb2, 0xc3, 0xd4] => (true, false),
            [0xa1, 0xb2, 0x3c, 0x4d] => (true, true),
            _ => return None,
        };
        Some(Self { big_endian, nanoseconds })
    }

    pub(crate) fn u32_at(self, bytes: &[u8], at: usize) -> Option<u32> {
        let four = *bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
    }

    fn record(self, number: usize, bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
        let seconds = u64::from(self.u32_at(bytes, 0)?);
        let fraction = u64::from(self.u32_at(bytes, 4)?);
        let len = usize::try_from(self.u32_at(bytes, 8)?).ok()?;
        let (frame, after) = bytes.get(16..)?.split_at_checked(len)?;
        let at_us = seconds * 1_000_000 + if self.nanoseconds { fraction / 1000 } else { fraction };
        Some((Frame { number, at_us, bytes: frame }, after))
    }
}

/// One datagram of the tunnel, from UDP or forged TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram<'f> {
    /// Number of its frame.
    pub frame: usize,
    /// Wall-clock time of the recording, microseconds.
    pub at_us: u64,
    /// Sender.
    pub from: SocketAddr,
    /// Receiver.
    pub to: SocketAddr,
    /// IPv4 type of service or IPv6 traffic class.
    pub tos: u8,
    /// UDP payload, or payload of a forged TCP segment.
    pub bytes: &'f [u8],
}

impl<'f> Datagram<'f> {
    /// The datagram in a frame: UDP, or TCP with PSH and ACK and a payload. None for other frames.
    pub fn in_frame(frame: &Frame<'f>) -> Option<Self> {
        let is_ip = matches!(frame.bytes.get(12..14)?, [0x08, 0x00] | [0x86, 0xdd]);
        is_ip.then(|| Self::in_packet(frame.number, frame.at_us, &frame.bytes[14..])).flatten()
    }

    /// As [`Self::in_frame`], in an IP packet of frame `number` at `at_us`.
    pub fn in_packet(number: usize, at_us: u64, ip: &'f [u8]) -> Option<Self> {
        let packet = Packet::parse(ip)?;
        let (ports, bytes) = match packet.protocol {
            17 => udp_payload(packet.body)?,
            6 => forged_payload(ip)?,
            _ => return None,
        };
        Some(Self {
            frame: number,
            at_us,
            from: SocketAddr::new(packet.from, ports.0),
            to: SocketAddr::new(packet.to, ports.1),
            tos: packet.tos,
            bytes,
        })
    }
}

/// An IP packet without its header and without trailing padding.
struct Packet<'f> {
    from: IpAddr,
    to: IpAddr,
    tos: u8,
    protocol: u8,
    body: &'f [u8],
}

impl<'f> Packet<'f> {
    fn parse(packet: &'f [u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => Self::v4(packet),
            6 => Self::v6(packet),
            _ => None,
        }
    }

    fn v4(packet: &'f [u8]) -> Option<Self> {
        let header = packet.first_chunk::<20>()?;
        let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let header_len = usize::from(header[0] & 0x0f) * 4;
        Some(Self {
            from: IpAddr::from(*packet.get(12..)?.first_chunk::<4>()?),
            to: IpAddr::from(*packet.get(16..)?.first_chunk::<4>()?),
            tos: header[1],
            protocol: header[9],
            body: packet.get(header_len.max(20)..total)?,
        })
    }

    fn v6(packet: &'f [u8]) -> Option<Self> {
        let header = packet.first_chunk::<40>()?;
        let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
        Some(Self {
            from: IpAddr::from(*packet.get(8..)?.first_chunk::<16>()?),
            to: IpAddr::from(*packet.get(24..)?.first_chunk::<16>()?),
            tos: (header[0] << 4) | (header[1] >> 4),
            protocol: header[6],
            body: packet.get(40..40 + len)?,
        })
    }
}

type Ports = (u16, u16);

fn ports(body: &[u8]) -> Option<Ports> {
    let [a, b, c, d] = *body.first_chunk()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

fn udp_payload(body: &[u8]) -> Option<(Ports, &[u8])> {
    let len = usize::from(u16::from_be_bytes(*body.get(4..)?.first_chunk()?));
    Some((ports(body)?, body.get(8..len)?))
}

fn forged_payload(packet: &[u8]) -> Option<(Ports, &[u8])> {
    let segment = Segment::parse(packet).ok()?;
    Some(((segment.from.port(), segment.to.port()), segment.datagram()?))
}
