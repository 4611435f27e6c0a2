//! Hostile IP packets for both ends of forged TCP, and what those send in between.

use super::Script;
use engine::forged::{
    Arrival, Checksum, Connection, FLOWS_MAX, Flags, HEADERS_MAX, Header, Listener, Options, Segment,
    Variant, WINDOW,
};
use engine::{Entropy, Instant};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// A script of packets, datagrams and time for a client and a server. Packets are raw, or well formed with chosen numbers.
///
/// Every packet is parsed or refused; what was parsed is written to the same segment; control segments change no flow
/// of a server; a sequence number never passes the announced window by more than one datagram.
pub fn tcp_frame(data: &[u8]) {
    let mut script = Script::new(data);
    let mut entropy = Entropy::from_seed([5; 32]);
    let server_at = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 2), 29_900));
    let variant = script.pick(Variant::ALL);
    let mut now = Instant::from_millis(1);
    let mut client = Connection::new(now, server_at, variant, &mut entropy);
    let mut server = Listener::<()>::new(&mut entropy);
    while !script.is_over() {
        now = now + Duration::from_millis(u64::from(script.byte()) * 16);
        match script.byte() % 4 {
            0 => packet(&mut client, &mut server, now, script.piece()),
            1 => {
                let bytes = well_formed(&mut script, server_at);
                packet(&mut client, &mut server, now, &bytes);
            }
            2 => drop(client.poll(now)),
            _ => send(&mut client, &mut server, now, &mut script),
        }
        assert!(server.len() <= FLOWS_MAX);
        assert!(client.poll_timeout().is_some() || client.is_open());
    }
    packet(&mut client, &mut server, now, data);
}

fn packet(client: &mut Connection, server: &mut Listener<()>, now: Instant, bytes: &[u8]) {
    let Ok(segment) = Segment::parse(bytes) else { return };
    written_again(&segment);
    let _ = Options::parse(segment.options);
    if segment.datagram().is_some() {
        // As if its datagram had been opened.
        let arrival = Arrival::of(&segment);
        let advanced = segment.window & 1 == 0;
        client.handle_opened(now, &arrival, advanced);
        return server.handle_opened(now, segment.to, segment.from, &arrival, ((), advanced));
    }
    let before = server.len();
    let answer = server.handle_control(&segment);
    assert_eq!(before, server.len());
    assert!(answer.is_none_or(|answer| answer.ack == segment.seq.wrapping_add(1)));
    if let Some(answer) = client.handle_control(now, &segment) {
        assert_eq!((answer.flags, answer.seq), (Flags::ACK, segment.ack));
    }
}

fn written_again(segment: &Segment<'_>) {
    let Segment {
        from, to, traffic_class, hop_limit, id, flow_label, seq, ack, flags, window, options, ..
    } = *segment;
    let header =
        Header { from, to, traffic_class, hop_limit, id, flow_label, seq, ack, flags, window, options };
    let mut out = [0; HEADERS_MAX];
    // IPv4 options are not written, so the packet may be shorter, but never longer.
    let len = header.write(segment.payload, &mut out).expect("parsed segments can be written");
    let bytes = [&out[..len], segment.payload].concat();
    let again = Segment::parse(&bytes).expect("written segments can be parsed");
    let same = Segment { checksum: Checksum::Valid, dont_fragment: true, urgent: 0, ..*segment };
    assert_eq!(again, same);
}

/// A packet between the two, or of a third, with numbers near those in use.
fn well_formed(script: &mut Script<'_>, server_at: SocketAddr) -> Vec<u8> {
    let other = SocketAddr::from((Ipv4Addr::new(10, 0, 0, script.byte() % 4), 1 + u16::from(script.byte())));
    let (from, to) = if script.flag() { (other, server_at) } else { (server_at, other) };
    let (flags, window) = (Flags(script.byte()), script.short());
    let (seq, ack) = (script.word(), script.word());
    let options = script.pick(&[&[][..], &[2, 4, 5, 0xb4, 1, 3, 3, 10], &[3, 3, 255, 0], &[8, 10, 1, 1]]);
    let payload = script.piece();
    let header = Header {
        from,
        to,
        traffic_class: 0,
        hop_limit: 64,
        id: 0,
        flow_label: 0,
        seq,
        ack,
        flags,
        window,
        options,
    };
    let mut out = [0; HEADERS_MAX];
    let len = header.write(payload, &mut out).expect("one family, short options");
    [&out[..len], payload].concat()
}

fn send(client: &mut Connection, server: &mut Listener<()>, now: Instant, script: &mut Script<'_>) {
    let len = usize::from(script.short());
    let opened = client.is_open();
    assert_eq!(client.next(now, len).is_some(), opened);
    let peer = SocketAddr::from((Ipv4Addr::new(10, 0, 0, script.byte() % 4), 1 + u16::from(script.byte())));
    if let Some((flow, ())) = server.flow_mut(peer) {
        let numbers = flow.next(now, len);
        let beyond = numbers.seq.wrapping_sub(flow.edge()).cast_signed();
        assert!(
            beyond <= 0 || beyond.unsigned_abs() <= u32::from(WINDOW),
            "{beyond} bytes beyond the window"
        );
    }
}
