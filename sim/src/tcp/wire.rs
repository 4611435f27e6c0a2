//! TCP segments as IPv4 packets (RFC 9293 section 3.1, RFC 7323, RFC 2018).

/// Most blocks that fit beside the timestamps.
pub(super) const SACK_BLOCKS_MAX: usize = 3;

const IP_BYTES: usize = 20;
const TCP_BYTES: usize = 20;
const PROTOCOL: u8 = 6;

/// A range of sequence numbers, its end excluded.
pub(super) type Block = (u64, u64);

/// The header of a segment. Sequence numbers count from the initial ones of their direction, so that the SYN is number 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    /// Number of the first byte.
    pub(super) seq: u64,
    /// The next number that the sender expects; absent in the first segment.
    pub(super) ack: Option<u64>,
    /// It opens the connection.
    pub(super) syn: bool,
    /// It ends its direction, behind its data.
    pub(super) fin: bool,
    /// Receive window, bytes; on the wire in KiB, but in a SYN as it is.
    pub(super) window_bytes: u64,
    /// The sender's clock and the echoed one, milliseconds.
    pub(super) ts: (u32, u32),
    /// What arrived beyond `ack`; the first block may be below it and is then a duplicate (RFC 2883).
    pub(super) sacks: Vec<Block>,
}

/// Scale of windows (RFC 7323 section 2): enough for 64 MiB.
const WINDOW_SHIFT: u32 = 10;

/// Addresses of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Last byte of the addresses in 10.0.0.0/24, source and destination.
    pub hosts: [u8; 2],
    /// Source and destination port.
    pub ports: [u16; 2],
}

const SYN: u8 = 0x02;
const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// A packet with `header` and the two parts of `payload`. The initial sequence numbers are the sender's own and the peer's.
pub(super) fn encode(
    header: &Header,
    endpoints: Endpoints,
    initial: [u32; 2],
    payload: [&[u8]; 2],
) -> Vec<u8> {
    let options = options(header, initial[1]);
    let head = IP_BYTES + TCP_BYTES + options.len();
    let len = head + payload[0].len() + payload[1].len();
    let mut packet = Vec::with_capacity(len);
    packet.extend_from_slice(&[0x45, 0]);
    packet.extend_from_slice(&(len as u16).to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0x40, 0, 64, PROTOCOL, 0, 0]);
    for host in endpoints.hosts {
        packet.extend_from_slice(&[10, 0, 0, host]);
    }
    let sum = !folded(sum(&packet));
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    for port in endpoints.ports {
        packet.extend_from_slice(&port.to_be_bytes());
    }
    packet.extend_from_slice(&initial[0].wrapping_add(header.seq as u32).to_be_bytes());
    let ack = header.ack.map_or(0, |ack| initial[1].wrapping_add(ack as u32));
    packet.extend_from_slice(&ack.to_be_bytes());
    let has_data = len > head;
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let flags =
        flag(header.syn, SYN) | flag(header.fin, FIN) | flag(has_data, PSH) | flag(header.ack.is_some(), ACK);
    packet.extend_from_slice(&[((TCP_BYTES + options.len()) * 4) as u8, flags]);
    let shift = if header.syn { 0 } else { WINDOW_SHIFT };
    let window = (header.window_bytes >> shift).min(u64::from(u16::MAX)) as u16;
    packet.extend_from_slice(&window.to_be_bytes());
    packet.extend_from_slice(&[0; 4]);
    packet.extend_from_slice(&options);
    payload.iter().for_each(|part| packet.extend_from_slice(part));
    let sum = !folded(pseudo_sum(&packet) + sum_of_segment(&packet));
    packet[IP_BYTES + 16..IP_BYTES + 18].copy_from_slice(&sum.to_be_bytes());
    packet
}

fn options(header: &Header, initial: u32) -> Vec<u8> {
    let mut options = Vec::with_capacity(40);
    if header.syn {
        options.extend_from_slice(&[2, 4, 0x05, 0xb4, 4, 2]);
    } else {
        options.extend_from_slice(&[1, 1]);
    }
    options.extend_from_slice(&[8, 10]);
    options.extend_from_slice(&header.ts.0.to_be_bytes());
    options.extend_from_slice(&header.ts.1.to_be_bytes());
    if header.syn {
        options.extend_from_slice(&[1, 3, 3, WINDOW_SHIFT as u8]);
    }
    if !header.sacks.is_empty() {
        options.extend_from_slice(&[1, 1, 5, 2 + 8 * header.sacks.len() as u8]);
        for &(start, end) in &header.sacks {
            options.extend_from_slice(&initial.wrapping_add(start as u32).to_be_bytes());
            options.extend_from_slice(&initial.wrapping_add(end as u32).to_be_bytes());
        }
    }
    options
}

/// Ports of a packet that is intact: its length and both of its checksums are right.
pub fn ports(packet: &[u8]) -> Option<[u16; 2]> {
    let intact = packet.len() >= IP_BYTES + TCP_BYTES
        && packet[0] == 0x45
        && packet[9] == PROTOCOL
        && usize::from(word(packet, 2)) == packet.len()
        && folded(sum(&packet[..IP_BYTES])) == u16::MAX
        && folded(pseudo_sum(packet) + sum_of_segment(packet)) == u16::MAX;
    intact.then(|| [word(packet, IP_BYTES), word(packet, IP_BYTES + 2)])
}

/// The header and payload of an intact packet. Numbers are those nearest to what is next in each direction: received, and sent.
pub(super) fn decode(packet: &[u8], initial: [u32; 2], next: [u64; 2]) -> Option<(Header, &[u8])> {
    let tcp = &packet[IP_BYTES..];
    let head = usize::from(tcp[12] >> 4) * 4;
    let flags = tcp[13];
    let number = |at: usize, way: usize| unwrapped(long(tcp, at), initial[way], next[way]);
    let shift = if flags & SYN != 0 { 0 } else { WINDOW_SHIFT };
    let mut header = Header {
        seq: number(4, 0),
        ack: (flags & ACK != 0).then(|| number(8, 1)),
        syn: flags & SYN != 0,
        fin: flags & FIN != 0,
        window_bytes: u64::from(word(tcp, 14)) << shift,
        ..Header::default()
    };
    let mut options = tcp.get(TCP_BYTES..head)?;
    while let [kind, rest @ ..] = options {
        match (kind, rest) {
            (0, _) => break,
            (1, _) => options = rest,
            (_, [len, ..]) => {
                let (option, after) = options.split_at_checked(usize::from(*len).max(2))?;
                match kind {
                    8 if option.len() == 10 => header.ts = (long(option, 2), long(option, 6)),
                    5 => {
                        let blocks = option[2..].chunks_exact(8);
                        let end = |block: &[u8], at| unwrapped(long(block, at), initial[1], next[1]);
                        header.sacks = blocks.map(|block| (end(block, 0), end(block, 4))).collect();
                    }
                    _ => {}
                }
                options = after;
            }
            _ => return None,
        }
    }
    Some((header, &tcp[head..]))
}

/// The number nearest to `next` with those low bits.
const fn unwrapped(value: u32, initial: u32, next: u64) -> u64 {
    let distance = value.wrapping_sub(initial).wrapping_sub(next as u32) as i32;
    next.saturating_add_signed(distance as i64)
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from(word(bytes, at)) << 16 | u32::from(word(bytes, at + 2))
}

fn pseudo_sum(packet: &[u8]) -> u64 {
    sum(&packet[12..20]) + u64::from(PROTOCOL) + (packet.len() - IP_BYTES) as u64
}

fn sum_of_segment(packet: &[u8]) -> u64 {
    sum(&packet[IP_BYTES..])
}

/// The sum of the 16-bit words; a last byte is the high one of its word.
fn sum(bytes: &[u8]) -> u64 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let whole: u64 = pairs.iter().map(|pair| u64::from(u16::from_be_bytes(*pair))).sum();
    whole + rest.first().map_or(0, |byte| u64::from(*byte) << 8)
}

const fn folded(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINTS: Endpoints = Endpoints { hosts: [1, 2], ports: [1024, 5201] };

    /// TCP-1.
    #[test]
    fn a_segment_survives_the_wire_across_the_wrap_of_its_numbers() {
        let initial = [u32::MAX - 5, 7];
        let header = Header {
            seq: 10,
            ack: Some((1 << 33) + 3),
            fin: true,
            window_bytes: 3 << 20,
            ts: (5, 6),
            sacks: vec![((1 << 33) + 9, (1 << 33) + 20)],
            ..Header::default()
        };
        let packet = encode(&header, ENDPOINTS, initial, [b"ab", b"c"]);
        assert_eq!(ports(&packet), Some([1024, 5201]));
        let (decoded, payload) = decode(&packet, initial, [12, 1 << 33]).unwrap();
        assert_eq!((decoded, payload), (header, &b"abc"[..]));
    }

    /// TCP-1.
    #[test]
    fn every_flipped_bit_is_detected() {
        let packet = encode(&Header { syn: true, ..Header::default() }, ENDPOINTS, [1, 2], [b"odd", b""]);
        for bit in 0..packet.len() * 8 {
            let mut damaged = packet.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(ports(&damaged), None, "{bit}");
        }
    }
}
