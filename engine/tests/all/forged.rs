//! Forged TCP: packets, numbers, handshakes. Two ends joined by hand.

use engine::forged::{
    Arrival, Checksum, Connection, Control, DATA, FLOWS_MAX, Flags, Flow, HEADERS_MAX, HOP_LIMIT, Header,
    Listener, Numbers, Options, ParseError, Segment, Variant, WINDOW, WINDOW_SCALE, WriteError,
};
use engine::{Entropy, Instant};
use proptest::prelude::*;
use std::net::SocketAddr;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn client_address() -> SocketAddr {
    address("10.1.0.2:40000")
}

fn server_address() -> SocketAddr {
    address("10.2.0.2:29900")
}

fn at(ms: u64) -> Instant {
    Instant::from_millis(1000 + ms)
}

fn packet(
    from: SocketAddr,
    to: SocketAddr,
    numbers: Numbers,
    flags: Flags,
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let Numbers { seq, ack, id } = numbers;
    let header = Header {
        from,
        to,
        traffic_class: 0,
        hop_limit: HOP_LIMIT,
        id,
        flow_label: 0,
        seq,
        ack,
        flags,
        window: WINDOW,
        options,
    };
    let mut out = [0; HEADERS_MAX];
    let len = header.write(payload, &mut out).unwrap();
    [&out[..len], payload].concat()
}

fn of(control: Control, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let Control { seq, ack, id, flags, .. } = control;
    packet(from, to, Numbers { seq, ack, id }, flags, control.options(), &[])
}

fn arrival(seq: u32, ack: u32, len: u32) -> Arrival {
    Arrival { seq, ack, window: WINDOW, len, variant: Variant::Upstream }
}

/// A client and a server, and everything that was sent between them.
struct Pair {
    client: Connection,
    server: Listener<()>,
}

impl Pair {
    fn new(variant: Variant) -> Self {
        let mut entropy = Entropy::from_seed([3; 32]);
        let client = Connection::new(at(0), server_address(), variant, &mut entropy);
        Self { client, server: Listener::new(&mut entropy) }
    }

    /// Carries a segment of the client to the server, and the answer back.
    fn exchange(&mut self, now: Instant, syn: Control) -> Option<Control> {
        let up = of(syn, client_address(), server_address());
        let answer = self.server.handle_control(&Segment::parse(&up).unwrap())?;
        let down = of(answer, server_address(), client_address());
        self.client.handle_control(now, &Segment::parse(&down).unwrap())
    }

    fn open(&mut self) {
        let syn = self.client.poll(at(0)).unwrap();
        let ack = self.exchange(at(0), syn).unwrap();
        assert_eq!((ack.flags, ack.seq), (Flags::ACK, syn.seq + 1));
    }

    /// A datagram of the client, which the server opens.
    fn up(&mut self, now: Instant, len: usize) -> Segment<'static> {
        let numbers = self.client.next(now, len).unwrap();
        let bytes = packet(client_address(), server_address(), numbers, DATA, &[], &vec![7; len]).leak();
        let segment = Segment::parse(bytes).unwrap();
        self.server.handle_opened(now, segment.to, segment.from, &Arrival::of(&segment), ((), true));
        segment
    }

    /// A datagram of the server, which the client opens.
    fn down(&mut self, now: Instant, len: usize) -> Segment<'static> {
        let numbers = self.server.flow_mut(client_address()).unwrap().0.next(now, len);
        let bytes = packet(server_address(), client_address(), numbers, DATA, &[], &vec![9; len]).leak();
        let segment = Segment::parse(bytes).unwrap();
        self.client.handle_opened(now, &Arrival::of(&segment), true);
        segment
    }
}

// FTCP-1, FTCP-12
#[test]
fn packets_of_both_families_agree_with_an_independent_implementation() {
    use pnet_packet::{ipv4, ipv6, tcp};
    let payload: Vec<u8> = (0..201).map(|n| n as u8).collect();
    let numbers = Numbers { seq: 0xfffffff0, ack: 77, id: 999 };
    let v4 = packet(client_address(), server_address(), numbers, DATA, &[1, 1, 1, 0], &payload);
    let header = ipv4::Ipv4Packet::new(&v4).unwrap();
    assert_eq!(header.get_checksum(), ipv4::checksum(&header));
    assert_eq!((header.get_total_length() as usize, header.get_flags(), header.get_ttl()), (v4.len(), 2, 64));
    let segment = tcp::TcpPacket::new(&v4[20..]).unwrap();
    let checksum = tcp::ipv4_checksum(&segment, &header.get_source(), &header.get_destination());
    assert_eq!((segment.get_checksum(), segment.get_sequence()), (checksum, 0xfffffff0));
    let (from, to) = (address("[fd00::1]:5"), address("[fd00::2]:6"));
    let v6 = packet(from, to, numbers, DATA, &[], &payload);
    let header = ipv6::Ipv6Packet::new(&v6).unwrap();
    let segment = tcp::TcpPacket::new(&v6[40..]).unwrap();
    let checksum = tcp::ipv6_checksum(&segment, &header.get_source(), &header.get_destination());
    assert_eq!((segment.get_checksum(), usize::from(header.get_payload_length())), (checksum, v6.len() - 40));
    for bytes in [&v4, &v6] {
        let parsed = Segment::parse(bytes).unwrap();
        assert_eq!((parsed.checksum, parsed.datagram()), (Checksum::Valid, Some(&payload[..])));
        assert_eq!((parsed.seq, parsed.ack, parsed.window), (0xfffffff0, 77, WINDOW));
    }
}

// FTCP-12
#[test]
fn damaged_packets_are_refused_or_marked() {
    let whole =
        packet(client_address(), server_address(), Numbers { seq: 1, ack: 2, id: 3 }, DATA, &[], b"datagram");
    for len in 0..whole.len() {
        assert!(Segment::parse(&whole[..len]).is_err(), "{len} bytes");
    }
    // Ethernet pads short frames.
    let padded = [&whole[..], &[0; 6]].concat();
    assert_eq!(Segment::parse(&padded), Segment::parse(&whole));
    let damaged = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        Segment::parse(&bytes).map(|segment| segment.checksum)
    };
    assert_eq!(damaged(0, 0x55), Err(ParseError::Version));
    assert_eq!(damaged(0, 0x44), Err(ParseError::HeaderLength));
    assert_eq!(damaged(8, 1), Err(ParseError::HeaderChecksum));
    assert_eq!(damaged(9, 17), Err(ParseError::Protocol));
    assert_eq!(damaged(32, 0x40), Err(ParseError::HeaderLength));
    assert_eq!(damaged(32, 0xf0), Err(ParseError::Truncated));
    assert_eq!(damaged(45, b'X'), Ok(Checksum::Wrong));
    let mut fragment = whole.clone();
    fragment[6] = 0x20;
    // The checksum of the header changes with it.
    fragment[10..12]
        .copy_from_slice(&u16::from_be_bytes([whole[10], whole[11]]).wrapping_add(0x2000).to_be_bytes());
    assert_eq!(Segment::parse(&fragment), Err(ParseError::Fragment));
    let unfinished = {
        let mut bytes = whole.clone();
        // 10.1.0.2, 10.2.0.2, TCP, 28 bytes.
        let pseudo: u16 = 0x0a01 + 2 + 0x0a02 + 2 + 6 + 28;
        bytes[36..38].copy_from_slice(&pseudo.to_be_bytes());
        Segment::parse(&bytes).unwrap().checksum
    };
    assert_eq!(unfinished, Checksum::Unfinished);
}

// FTCP-1
#[test]
fn only_psh_and_ack_with_a_payload_is_a_datagram() {
    let of = |flags: Flags, payload: &[u8]| {
        let numbers = Numbers { seq: 1, ack: 2, id: 3 };
        let bytes = packet(client_address(), server_address(), numbers, flags, &[], payload);
        Segment::parse(&bytes).unwrap().datagram().is_some()
    };
    assert!(of(DATA, b"x"));
    for flags in [Flags::PSH, Flags::ACK, DATA.and(Flags::SYN), DATA.and(Flags::FIN), DATA.and(Flags::RST)] {
        assert!(!of(flags, b"x"), "{flags:?}");
    }
    assert!(!of(DATA, b""));
}

// FTCP-12
#[test]
fn headers_that_cannot_be_are_refused() {
    let header = |to, options| {
        let (from, flags) = (client_address(), DATA);
        Header {
            from,
            to,
            traffic_class: 0,
            hop_limit: 64,
            id: 0,
            flow_label: 0,
            seq: 0,
            ack: 0,
            flags,
            window: 1,
            options,
        }
    };
    let mut out = [0; HEADERS_MAX];
    assert_eq!(header(address("[::1]:1"), &[]).write(b"", &mut out), Err(WriteError::Family));
    assert_eq!(header(server_address(), &[1; 44]).write(b"", &mut out), Err(WriteError::Options));
    assert_eq!(header(server_address(), &[1; 3]).write(b"", &mut out), Err(WriteError::Options));
    assert_eq!(header(server_address(), &[]).write(&[0; 65_496], &mut out), Err(WriteError::Payload));
    assert_eq!(header(server_address(), &[]).write(&[0; 65_495], &mut out), Ok(40));
}

// FTCP-2
#[test]
fn a_syn_is_repeated_until_it_is_acknowledged() {
    let mut pair = Pair::new(Variant::Upstream);
    let mut sent = Vec::new();
    for ms in (0..12_000).step_by(100) {
        if let Some(syn) = pair.client.poll(at(ms)) {
            assert!(sent.last().is_none_or(|(_, seq)| *seq == syn.seq));
            sent.push((ms, syn.seq));
        }
        assert!(pair.client.next(at(ms), 10).is_none(), "no datagram before the handshake");
    }
    assert_eq!(sent.iter().map(|(ms, _)| *ms).collect::<Vec<_>>(), [0, 1000, 3000, 6000, 9000]);
    let syn = pair.client.poll(at(12_000)).unwrap();
    // Of another host, or for another SYN: not an answer.
    let segment = |from, ack| {
        let answer = packet(
            from,
            client_address(),
            Numbers { seq: 5, ack, id: 0 },
            Flags::SYN.and(Flags::ACK),
            &[],
            &[],
        );
        Segment::parse(answer.leak()).unwrap()
    };
    assert!(
        pair.client.handle_control(at(12_001), &segment(address("10.2.0.3:29900"), syn.seq + 1)).is_none()
    );
    assert!(pair.client.handle_control(at(12_001), &segment(server_address(), syn.seq)).is_none());
    assert!(!pair.client.is_open());
    let ack = pair.client.handle_control(at(12_001), &segment(server_address(), syn.seq + 1)).unwrap();
    assert_eq!((ack.flags, ack.seq, ack.ack), (Flags::ACK, syn.seq + 1, 6));
    // The server did not receive the ACK and repeats its answer.
    let again = pair.client.handle_control(at(13_000), &segment(server_address(), syn.seq + 1)).unwrap();
    assert_eq!((again.seq, again.ack), (ack.seq, ack.ack));
    assert_eq!(
        (pair.client.poll_timeout(), pair.client.next(at(13_000), 10).map(|n| n.ack)),
        (None, Some(6))
    );
}

// FTCP-3
#[test]
fn a_server_answers_every_syn_alike_and_keeps_nothing() {
    let mut pair = Pair::new(Variant::Upstream);
    let syn = pair.client.poll(at(0)).unwrap();
    let bytes = of(syn, client_address(), server_address());
    let segment = Segment::parse(&bytes).unwrap();
    let answers = [(); 3].map(|()| pair.server.handle_control(&segment).unwrap());
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!((answers[0].flags, answers[0].ack), (Flags::SYN.and(Flags::ACK), syn.seq.wrapping_add(1)));
    let options = Options::parse(answers[0].options());
    assert_eq!((options.mss, options.window_scale), (Some(1460), Some(WINDOW_SCALE)));
    for port in 1..5000 {
        let from = SocketAddr::new(client_address().ip(), port);
        let other = Segment { from, ..segment };
        assert!(pair.server.handle_control(&other).is_some_and(|other| other.seq != answers[0].seq));
    }
    assert!(pair.server.is_empty());
    let wrong = Segment { checksum: Checksum::Wrong, ..segment };
    assert_eq!(pair.server.handle_control(&wrong), None);
    // Another server's numbers are others.
    let mut other = Listener::<()>::new(&mut Entropy::from_seed([4; 32]));
    assert_ne!(other.handle_control(&segment).unwrap().seq, answers[0].seq);
}

// FTCP-3, FTCP-5
#[test]
fn the_window_scale_comes_back_with_the_first_acknowledgement() {
    for (variant, scaled) in [(Variant::Upstream, true), (Variant::KcptunTcp, false)] {
        let mut pair = Pair::new(variant);
        pair.open();
        pair.up(at(1), 100);
        let (flow, ()) = pair.server.flow_mut(client_address()).unwrap();
        let start = flow.next(at(1), 1).seq;
        let window = if scaled { u32::from(WINDOW) << WINDOW_SCALE } else { u32::from(WINDOW) };
        assert_eq!(flow.edge().wrapping_sub(start), window);
    }
}

// FTCP-4, FTCP-5
#[test]
fn numbers_of_a_clean_exchange_are_those_of_a_connection() {
    let mut pair = Pair::new(Variant::Upstream);
    pair.open();
    let (mut next_up, mut next_down) = (None, None);
    for round in 0..50 {
        let up = pair.up(at(round), 100 + round as usize);
        assert!(next_up.is_none_or(|next| next == up.seq));
        assert!(next_down.is_none_or(|next| next == up.ack));
        next_up = Some(up.seq.wrapping_add(up.payload.len() as u32));
        let down = pair.down(at(round), 1350);
        assert_eq!(Some(down.ack), next_up);
        assert!(next_down.is_none_or(|next| next == down.seq));
        next_down = Some(down.seq.wrapping_add(1350));
    }
}

// FTCP-4
#[test]
fn the_acknowledgement_is_the_highest_end_whatever_the_order() {
    let mut flow = Flow::new(at(0), 1000, 500, WINDOW, Some(7), Variant::Upstream);
    for (seq, expected) in [(500, 600), (700, 800), (600, 800), (500, 800), (800, 900)] {
        flow.handle(at(1), &arrival(seq, 1000, 100), true);
        assert_eq!(flow.numbers().ack, expected);
    }
}

// FTCP-5
#[test]
fn a_burst_stays_inside_the_announced_window() {
    let mut flow = Flow::new(at(0), 1000, 500, 16_000, None, Variant::KcptunTcp);
    let mut wraps = 0;
    let mut before = 0;
    for _ in 0..300 {
        let numbers = flow.next(at(1), 1350);
        assert!((1000..=1000 + 16_000 - 1350).contains(&numbers.seq), "{numbers:?}");
        wraps += u32::from(numbers.seq < before);
        before = numbers.seq;
    }
    assert!(wraps > 20);
    // A window smaller than a segment: the same number for all.
    let mut flow = Flow::new(at(0), 1000, 500, 128, None, Variant::KcptunTcp);
    assert!((0..10).all(|_| flow.next(at(1), 1350).seq == 1000));
}

// FTCP-6
#[test]
fn a_standing_acknowledgement_is_returned_to() {
    let mut flow = Flow::new(at(0), 1000, 500, WINDOW, Some(7), Variant::Upstream);
    for n in 0..10 {
        assert_eq!(flow.next(at(n), 100).seq, 1000 + 100 * n as u32);
    }
    flow.handle(at(20), &arrival(500, 1300, 50), true);
    assert_eq!(flow.next(at(900), 100).seq, 2000);
    flow.handle(at(1000), &arrival(550, 1300, 50), true);
    assert_eq!(flow.next(at(1019), 100).seq, 2100);
    assert_eq!(flow.next(at(1020), 100).seq, 1300);
    assert_eq!(flow.next(at(1021), 100).seq, 1400);
    // Nothing is outstanding for as long as nothing is sent.
    let mut idle = Flow::new(at(0), 1000, 500, WINDOW, Some(7), Variant::Upstream);
    assert_eq!(idle.next(at(60_000), 100).seq, 1000);
    assert_eq!(idle.next(at(60_001), 100).seq, 1100);
}

// FTCP-7
#[test]
fn the_variant_shows_in_the_handshake_and_in_data() {
    let segment = |flags, options: &'static [u8], window| {
        let bytes = packet(
            server_address(),
            client_address(),
            Numbers { seq: 1, ack: 2, id: 0 },
            flags,
            options,
            b"x",
        );
        let parsed = Segment::parse(bytes.leak()).unwrap();
        Segment { window, ..parsed }
    };
    let timestamp = &[1, 1, 8, 12, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0];
    for (options, window, variant) in [
        (&[][..], 16_411, Variant::KcptunTcp),
        (&[], 128, Variant::KcptunTcp),
        (&[], 32_768, Variant::Upstream),
        (&[], WINDOW, Variant::Upstream),
        (timestamp, 128, Variant::Upstream),
    ] {
        assert_eq!(Variant::of_data(&segment(DATA, options, window)), variant);
    }
    let answer = |options| Variant::of_handshake(&segment(Flags::SYN.and(Flags::ACK), options, 64_240));
    assert_eq!((answer(&[]), answer(&[2, 4, 5, 0xb4])), (Variant::KcptunTcp, Variant::Upstream));
    for variant in Variant::ALL {
        let mut pair = Pair::new(*variant);
        let syn = pair.client.poll(at(0)).unwrap();
        assert_eq!(syn.options().is_empty(), *variant == Variant::KcptunTcp);
        let bytes = of(syn, client_address(), server_address());
        let answer = pair.server.handle_control(&Segment::parse(&bytes).unwrap()).unwrap();
        assert_eq!(answer.options().is_empty(), *variant == Variant::KcptunTcp);
        pair.open_with(syn);
        assert_eq!(pair.client.variant(), *variant);
    }
}

impl Pair {
    fn open_with(&mut self, syn: Control) {
        self.exchange(at(1), syn).unwrap();
    }
}

// FTCP-8
#[test]
fn strangers_and_control_segments_change_nothing() {
    let mut pair = Pair::new(Variant::Upstream);
    pair.open();
    pair.up(at(1), 100);
    pair.down(at(2), 100);
    let (client, server) = (pair.client.clone(), format!("{:?}", pair.server.flow_mut(client_address())));
    for flags in [
        Flags::RST,
        Flags::RST.and(Flags::ACK),
        Flags::FIN.and(Flags::ACK),
        Flags::ACK,
        Flags(0),
        Flags(0xff),
    ] {
        for (from, to) in [(client_address(), server_address()), (server_address(), client_address())] {
            let bytes = packet(from, to, Numbers { seq: 7, ack: 9, id: 0 }, flags, &[], &[]);
            let segment = Segment::parse(&bytes).unwrap();
            if to == server_address() {
                assert_eq!(pair.server.handle_control(&segment), None);
            } else {
                assert_eq!(pair.client.handle_control(at(3), &segment), None);
            }
        }
    }
    assert_eq!(format!("{:?}", pair.client), format!("{client:?}"));
    assert_eq!(format!("{:?}", pair.server.flow_mut(client_address())), server);
    // An acknowledgement of what was never sent.
    let mut flow = Flow::new(at(0), 1000, 500, WINDOW, Some(7), Variant::Upstream);
    let edge = flow.edge();
    flow.handle(at(1), &arrival(500, 1001, 50), true);
    assert_eq!((flow.edge(), flow.next(at(1), 10).seq), (edge, 1000));
}

/// A RST of the server's host, to a SYN.
fn reset(ack: u32) -> Vec<u8> {
    let flags = Flags::RST.and(Flags::ACK);
    packet(server_address(), client_address(), Numbers { seq: 0, ack, id: 0 }, flags, &[], &[])
}

// FTCP-16: every refused SYN is reported, of the handshake and of its repetitions.
#[test]
fn a_refused_syn_is_reported_once() {
    let mut pair = Pair::new(Variant::Upstream);
    let syn = pair.client.poll(at(0)).unwrap();
    let refused = reset(syn.seq.wrapping_add(1));
    let report = |client: &mut Connection, bytes: &[u8]| {
        assert_eq!(client.handle_control(at(1), &Segment::parse(bytes).unwrap()), None);
        (client.take_refused(), client.take_refused())
    };
    assert_eq!(report(&mut pair.client, &reset(syn.seq)), (false, false));
    assert_eq!(report(&mut pair.client, &refused), (true, false));
    assert_eq!(report(&mut pair.client, &refused), (true, false));
    pair.open_with(syn);
    assert_eq!(report(&mut pair.client, &refused), (false, false), "the SYN was answered");
    for n in 0..3 {
        pair.client.next(at(1000 * n), 50).unwrap();
    }
    let again = pair.client.poll(at(4000)).unwrap();
    assert_eq!(report(&mut pair.client, &reset(again.seq.wrapping_add(1))), (true, false));
    assert!(!pair.client.was_refused() && pair.client.is_open());
}

// FTCP-16
#[test]
fn a_reset_of_the_next_segment_brings_the_handshake_forward() {
    let reset_at = |seq: u32| {
        packet(server_address(), client_address(), Numbers { seq, ack: 0, id: 0 }, Flags::RST, &[], &[])
    };
    let open = || {
        let mut pair = Pair::new(Variant::Upstream);
        pair.open();
        pair.up(at(1), 100);
        let next = pair.down(at(2), 100).seq.wrapping_add(100);
        (pair, next)
    };
    let due = |pair: &mut Pair, ms, seq| {
        pair.client.handle_control(at(ms), &Segment::parse(&reset_at(seq)).unwrap());
        pair.client.poll_timeout()
    };
    let (mut pair, next) = open();
    assert_eq!(due(&mut pair, 3, next), None, "nothing waits for an answer");
    pair.client.next(at(100), 60).unwrap();
    assert_eq!(due(&mut pair, 101, next.wrapping_sub(1)), None, "a guess");
    assert_eq!(due(&mut pair, 101, next), Some(at(1100)));
    // The server answers after all.
    pair.down(at(200), 10);
    assert_eq!(pair.client.poll_timeout(), None);
    let (mut pair, next) = open();
    pair.client.next(at(100), 60).unwrap();
    pair.client.next(at(1200), 60).unwrap();
    assert_eq!(pair.client.poll_timeout(), Some(at(3200)));
    assert_eq!(due(&mut pair, 1300, next), Some(at(1300)));
    let syn = pair.client.poll(at(1300)).unwrap();
    assert_eq!(due(&mut pair, 1400, next), Some(at(2300)), "one handshake at a time");
    assert!(pair.exchange(at(1500), syn).is_some());
    assert_eq!(pair.client.poll_timeout(), None);
}

// FTCP-19
#[test]
fn replays_under_other_numbers_change_nothing_while_the_conversation_advances() {
    let start = || Flow::new(at(0), 1000, 500, WINDOW, Some(7), Variant::Upstream);
    let wild = [arrival(500 + (1 << 26), 1000, 50), arrival(1 << 30, 1 << 30, 50), arrival(550, 1000, 50)];
    for replay in &wild {
        let mut flow = start();
        assert!(flow.handle(at(1), &arrival(500, 1000, 50), true));
        let before = flow;
        assert!(!flow.handle(at(1000), replay, false));
        assert_eq!(flow, before);
        // At a standstill the numbers may be wrong, so that they count; the next datagram that is no replay sets them right.
        assert!(flow.handle(at(1001), replay, false));
        assert_eq!(flow.ack(), replay.seq.wrapping_add(50));
        flow.next(at(1002), 10);
        assert!(flow.handle(at(1100), &arrival(550, 1000, 50), true));
        assert_eq!((flow.ack(), flow.next(at(1100), 10).seq), (600, 1000));
        let edge = 1000 + (u32::from(WINDOW) << 7);
        assert_eq!(flow.edge(), edge);
    }
}

// FTCP-19
#[test]
fn replays_are_no_answer_to_a_client_and_move_no_path_of_a_server() {
    let mut pair = Pair::new(Variant::Upstream);
    pair.open();
    pair.up(at(1), 100);
    let replay = Arrival::of(&pair.down(at(2), 100));
    for ms in [100, 1200] {
        pair.client.next(at(ms), 60).unwrap();
    }
    let due = pair.client.poll_timeout();
    assert!(due.is_some());
    pair.client.handle_opened(at(1300), &replay, false);
    assert_eq!(pair.client.poll_timeout(), due, "the handshake is renewed all the same");
    let mut server = Listener::new(&mut Entropy::from_seed([1; 32]));
    for (ms, path, advanced, expected) in [(0, 'a', true, 'a'), (10, 'b', false, 'a'), (20, 'c', true, 'c')] {
        server.handle_opened(at(ms), server_address(), client_address(), &arrival(1, 2, 3), (path, advanced));
        assert_eq!(server.flow_mut(client_address()).unwrap().1, expected);
    }
}

// FTCP-2, FTCP-8
#[test]
fn a_refusal_is_noted_only_before_the_handshake() {
    let mut pair = Pair::new(Variant::Upstream);
    let syn = pair.client.poll(at(0)).unwrap();
    pair.client.handle_control(at(1), &Segment::parse(&reset(syn.seq)).unwrap());
    assert!(!pair.client.was_refused());
    let bytes = reset(syn.seq.wrapping_add(1));
    assert_eq!(pair.client.handle_control(at(1), &Segment::parse(&bytes).unwrap()), None);
    assert!(pair.client.was_refused());
    pair.open_with(syn);
    pair.client.handle_control(at(2), &Segment::parse(&bytes).unwrap());
    assert!(!pair.client.was_refused() && pair.client.is_open());
}

// FTCP-9
#[test]
fn a_silent_path_gets_a_new_handshake_with_continuing_numbers() {
    let mut pair = Pair::new(Variant::Upstream);
    pair.open();
    pair.up(at(1), 100);
    pair.down(at(2), 100);
    // An acknowledgement that needs no answer, then nothing.
    let first = pair.client.next(at(100), 60).unwrap();
    assert_eq!(pair.client.poll_timeout(), None);
    pair.client.next(at(400), 60).unwrap();
    assert_eq!(pair.client.poll_timeout(), None);
    pair.client.next(at(1100), 60).unwrap();
    assert_eq!(pair.client.poll_timeout(), Some(at(3100)));
    assert_eq!(pair.client.poll(at(3000)), None);
    let syn = pair.client.poll(at(3100)).unwrap();
    let highest = first.seq.wrapping_add(120);
    assert_eq!(syn.seq.wrapping_add(1), highest);
    // Data goes on meanwhile.
    assert!(pair.client.next(at(3200), 10).is_some());
    let server = pair.server.flow_mut(client_address()).unwrap().0.numbers();
    let ack = pair.exchange(at(3300), syn).unwrap();
    assert_eq!((ack.seq, ack.ack), (syn.seq.wrapping_add(1), server.seq));
    assert_eq!(pair.client.poll_timeout(), None);
    // The SYN alone changed nothing at the server, the datagram after it does.
    let numbers = pair.server.flow_mut(client_address()).unwrap().0.numbers();
    assert_eq!((numbers.seq, numbers.ack), (server.seq, server.ack));
    let up = pair.up(at(3301), 10);
    let numbers = pair.server.flow_mut(client_address()).unwrap().0.numbers();
    assert_eq!(numbers.ack, up.seq.wrapping_add(10));
}

// FTCP-9
#[test]
fn a_new_client_behind_an_old_address_gets_its_own_numbers() {
    let mut pair = Pair::new(Variant::Upstream);
    pair.open();
    pair.up(at(1), 100);
    for n in 0..100 {
        pair.down(at(2 + n), 1000);
    }
    let mut entropy = Entropy::from_seed([9; 32]);
    pair.client = Connection::new(at(500), server_address(), Variant::Upstream, &mut entropy);
    let syn = pair.client.poll(at(500)).unwrap();
    pair.exchange(at(501), syn).unwrap();
    let up = pair.up(at(502), 77);
    assert_eq!(up.seq, syn.seq.wrapping_add(1));
    let down = pair.down(at(503), 10);
    assert_eq!((down.ack, down.seq), (up.seq.wrapping_add(77), up.ack));
}

// FTCP-9
#[test]
fn a_restarted_server_continues_a_flow_from_its_data() {
    let mut pair = Pair::new(Variant::Upstream);
    pair.open();
    pair.up(at(1), 100);
    pair.down(at(2), 100);
    pair.server = Listener::new(&mut Entropy::from_seed([8; 32]));
    assert!(pair.server.flow_mut(client_address()).is_none());
    let up = pair.up(at(3), 100);
    let down = pair.down(at(4), 100);
    assert_eq!((down.seq, down.ack), (up.ack, up.seq.wrapping_add(100)));
}

// FTCP-10
#[test]
fn a_client_ends_its_flow_with_a_fin() {
    let mut pair = Pair::new(Variant::Upstream);
    assert_eq!(pair.client.close(), None);
    pair.open();
    let last = pair.up(at(1), 100);
    let fin = pair.client.close().unwrap();
    assert_eq!((fin.flags, fin.seq), (Flags::FIN.and(Flags::ACK), last.seq.wrapping_add(100)));
    let bytes = of(fin, client_address(), server_address());
    assert_eq!(pair.server.handle_control(&Segment::parse(&bytes).unwrap()), None);
}

// FTCP-11
#[test]
fn the_table_of_flows_is_bounded() {
    let mut server = Listener::<u32>::new(&mut Entropy::from_seed([1; 32]));
    let peer = |n: u32| SocketAddr::from(([10, (n >> 16) as u8, (n >> 8) as u8, n as u8], 1000));
    let opened = |server: &mut Listener<u32>, ms: u64, n: u32| {
        server.handle_opened(at(ms), server_address(), peer(n), &arrival(1, 2, 3), (n, true));
    };
    for n in 0..FLOWS_MAX as u32 + 100 {
        opened(&mut server, 10_000 + u64::from(n), n);
    }
    assert_eq!(server.len(), FLOWS_MAX);
    assert!(server.flow_mut(peer(99)).is_none());
    assert_eq!(server.flow_mut(peer(100)).map(|(_, path)| path), Some(100));
    // All but the last are idle by then.
    opened(&mut server, 200_000, 7);
    assert_eq!(server.len(), 1);
}

fn segments() -> impl Strategy<Value = (bool, u32, u32, u8, Vec<u8>, Vec<u8>)> {
    let options = proptest::collection::vec(any::<u8>(), 0..=10).prop_map(|words| words.repeat(4));
    (
        any::<bool>(),
        any::<u32>(),
        any::<u32>(),
        any::<u8>(),
        options,
        proptest::collection::vec(any::<u8>(), 0..1500),
    )
}

proptest! {
    // FTCP-12
    #[test]
    fn what_is_written_parses_to_the_same((v6, seq, ack, flags, options, payload) in segments()) {
        let (from, to) = match v6 {
            true => (address("[fd00::1]:5"), address("[fe80::2]:60000")),
            false => (client_address(), server_address()),
        };
        let bytes = packet(from, to, Numbers { seq, ack, id: 0 }, Flags(flags), &options, &payload);
        let parsed = Segment::parse(&bytes).unwrap();
        prop_assert_eq!((parsed.from, parsed.to, parsed.seq, parsed.ack), (from, to, seq, ack));
        prop_assert_eq!((parsed.flags, parsed.options, parsed.payload), (Flags(flags), &options[..], &payload[..]));
        prop_assert_eq!(parsed.checksum, Checksum::Valid);
        let _ = Options::parse(&options);
    }
}
