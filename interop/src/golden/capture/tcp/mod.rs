//! The TCP layer of forged-TCP captures: every recorded figure of every connection, every segment written again, and karst in
//! the place of either program.

mod figures;
mod groups;
mod numbers;
mod replay;

use super::file::{CaptureFile, Leg};
use super::pcap::Frame;
use super::{Checked, broken, differs};
use engine::forged::{Checksum, HEADERS_MAX, Header, ParseError, Segment, Variant};
use serde_json::Value;

/// Implementation by which the JSON names kcptun(tcp).
const KCPTUN_TCP: &str = "libpcap";

/// A captured segment.
#[derive(Debug, Clone)]
struct Captured<'f> {
    frame: usize,
    at_us: u64,
    /// Whether the client sent it.
    up: bool,
    /// The frame is longer than its IP packet.
    padded: bool,
    /// Length of the IP packet.
    ip_len: usize,
    segment: Segment<'f>,
}

impl Captured<'_> {
    /// Sequence number after the segment; SYN and FIN count.
    const fn end(&self) -> u32 {
        let Segment { seq, flags, payload, .. } = self.segment;
        let control = (flags.0 & 1) as u32 + (flags.0 >> 1 & 1) as u32;
        seq.wrapping_add(payload.len() as u32).wrapping_add(control)
    }

    const fn is_data(&self) -> bool {
        self.segment.flags.0 & 0x18 == 0x18 && !self.segment.payload.is_empty()
    }
}

/// Checks the TCP layer of a leg; returns the number of comparisons, 0 for UDP.
pub(super) fn check(file: &CaptureFile, leg: &Leg, frames: &[Frame<'_>]) -> Checked<usize> {
    if file.format != super::FORMATS[1] {
        return Ok(0);
    }
    let Some(transport) = file.transport.as_ref().filter(|_| !leg.tcp.is_empty()) else {
        return broken("lacks transport or tcp[]");
    };
    let mut compared = 0;
    for (at, connection) in leg.tcp.iter().enumerate() {
        let segments = captured(frames, connection.client_port, leg.server_port)?;
        compared += written_again(&segments)?;
        let start_us = frames.first().map_or(0, |frame| frame.at_us);
        let first_ms = rounded_ms(segments.first().map_or(0, |first| first.at_us) - start_us);
        if first_ms != connection.first_frame_ms {
            return differs(format!(
                "tcp[{at}]: first_frame_ms: {} recorded, {first_ms} found",
                connection.first_frame_ms
            ));
        }
        let named = |name: &str| format!("tcp[{at}] {name}");
        for (name, up, recorded) in [("c2s", true, &connection.c2s), ("s2c", false, &connection.s2c)] {
            let found = figures::direction(&segments, up, start_us).map_err(|flaw| flaw.at(&named(name)))?;
            compared += figures::compare(&named(name), recorded, &found)?;
        }
        let programs = [&transport.client, &transport.server].map(|program| program == KCPTUN_TCP);
        compared += variants(&segments, programs)?;
        compared += replay::check(&segments).map_err(|flaw| flaw.at(&format!("tcp[{at}]")))?;
    }
    Ok(compared)
}

/// The segments between two ports, in order.
fn captured<'f>(frames: &[Frame<'f>], client: u16, server: u16) -> Checked<Vec<Captured<'f>>> {
    let mut segments = Vec::new();
    for frame in frames {
        let Some(packet) = frame.bytes.get(14..) else { continue };
        let segment = match Segment::parse(packet) {
            Ok(segment) => segment,
            // Other traffic.
            Err(ParseError::Version | ParseError::Protocol) => continue,
            Err(error) => return differs(format!("frame {}: {error}", frame.number)),
        };
        let ports = (segment.from.port(), segment.to.port());
        if ports != (client, server) && ports != (server, client) {
            continue;
        }
        let ip_header = if segment.from.is_ipv4() { usize::from(packet[0] & 15) * 4 } else { 40 };
        let ip_len = ip_header + 20 + segment.options.len() + segment.payload.len();
        segments.push(Captured {
            frame: frame.number,
            at_us: frame.at_us,
            up: ports.0 == client,
            padded: packet.len() > ip_len,
            ip_len,
            segment,
        });
    }
    match segments.is_empty() {
        true => broken(format!("no segment of client port {client}")),
        false => Ok(segments),
    }
}

/// Milliseconds, rounded as the recorder rounds them: halves to even.
const fn rounded_ms(us: u64) -> u64 {
    let (ms, rest) = (us / 1000, us % 1000);
    if rest > 500 || rest == 500 && ms % 2 == 1 { ms + 1 } else { ms }
}

/// The engine writes every segment as it was recorded; returns their number (FTCP-1).
fn written_again(segments: &[Captured<'_>]) -> Checked<usize> {
    let mut written = 0;
    for captured in segments {
        let s = captured.segment;
        if s.checksum != Checksum::Valid || s.flags.0 & 0xe0 != 0 || s.urgent != 0 || !s.dont_fragment {
            continue;
        }
        let Segment {
            from,
            to,
            traffic_class,
            hop_limit,
            id,
            flow_label,
            seq,
            ack,
            flags,
            window,
            options,
            ..
        } = s;
        let header =
            Header { from, to, traffic_class, hop_limit, id, flow_label, seq, ack, flags, window, options };
        let mut out = [0; HEADERS_MAX];
        let place = format!("frame {}", captured.frame);
        let len = header.write(s.payload, &mut out).or_else(|error| differs(format!("{place}: {error}")))?;
        let packet = [&out[..len], s.payload].concat();
        // Checksums are part of it, so that equal fields mean equal bytes.
        if Segment::parse(&packet) != Ok(s) {
            return differs(format!("{place}: the engine writes {}", super::hex(&out[..len])));
        }
        written += 1;
    }
    Ok(written)
}

/// The engine recognises the programs; returns the number of segments that show them (FTCP-7).
fn variants(segments: &[Captured<'_>], kcptun_tcp: [bool; 2]) -> Checked<usize> {
    let mut shown = 0;
    for captured in segments {
        let s = &captured.segment;
        let found = match s.flags.0 & 0x02 {
            0 if captured.is_data() => Variant::of_data(s),
            0 => continue,
            _ => Variant::of_handshake(s),
        };
        let recorded =
            if kcptun_tcp[usize::from(!captured.up)] { Variant::KcptunTcp } else { Variant::Upstream };
        if found != recorded {
            return differs(format!(
                "frame {}: {} recorded, {} found",
                captured.frame,
                recorded.name(),
                found.name()
            ));
        }
        shown += 1;
    }
    Ok(shown)
}

/// `Value` of a count.
fn count(n: usize) -> Value {
    Value::from(n as u64)
}
