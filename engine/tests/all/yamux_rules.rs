//! yamux, call by call, against frames written from its specification.

use engine::mux::{self, Dialect, Mux, OpenError, ProtocolError, ReadError, Role, Settings, WriteError};
use engine::{Event, Instant, StreamId};

const DATA: u8 = 0;
const UPDATE: u8 = 1;
const PING: u8 = 2;
const GO_AWAY: u8 = 3;
const SYN: u16 = 1;
const ACK: u16 = 2;
const FIN: u16 = 4;
const RST: u16 = 8;

const MIB: usize = 1 << 20;

fn settings() -> Settings {
    Settings {
        dialect: Dialect::Yamux,
        receive_bytes_max: 16 * MIB,
        stream_bytes_max: 16 * MIB,
        half_close: true,
        announce: true,
        ..Settings::default()
    }
}

fn end(role: Role) -> Box<dyn Mux> {
    mux::start_session(settings(), role, Instant::ZERO)
}

fn frame(kind: u8, flags: u16, id: u32, len: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, kind];
    bytes.extend_from_slice(&flags.to_be_bytes());
    bytes.extend_from_slice(&id.to_be_bytes());
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn input(mux: &mut dyn Mux, kind: u8, flags: u16, id: u32, payload: &[u8]) {
    let bytes = frame(kind, flags, id, payload.len() as u32, payload);
    assert_eq!(mux.input(&bytes), Ok(bytes.len()));
}

fn update(mux: &mut dyn Mux, flags: u16, id: u32, delta: u32) {
    assert_eq!(mux.input(&frame(UPDATE, flags, id, delta, b"")), Ok(12));
}

/// Type, flags, id and length of every frame that waits.
fn sent(mux: &mut dyn Mux) -> Vec<(u8, u16, u32, u32)> {
    let mut frames = Vec::new();
    let mut out = Vec::new();
    while mux.poll_frame(&mut out) {
        let word = |at: usize| u32::from_be_bytes(out[at..at + 4].try_into().unwrap());
        let flags = u16::from_be_bytes([out[2], out[3]]);
        assert_eq!((out[0], out.len()), (0, 12 + if out[1] == DATA { word(8) as usize } else { 0 }));
        frames.push((out[1], flags, word(4), word(8)));
        out.clear();
    }
    mux.assert_invariants();
    frames
}

/// A server with stream 1, which it has accepted.
fn server_with_stream() -> Box<dyn Mux> {
    let mut mux = end(Role::Server);
    update(&mut *mux, SYN, 1, 0);
    assert_eq!(mux.poll_event(), Some(Event::Opened(StreamId(1))));
    assert_eq!(mux.peek(StreamId(1)), Err(ReadError::Blocked));
    assert_eq!(sent(&mut *mux).len(), 1);
    mux
}

/// YAMUX-2, YAMUX-3: as in the recordings of 2016.
#[test]
fn streams_are_opened_and_accepted_by_window_updates() {
    let mut client = end(Role::Client);
    assert_eq!([client.open().unwrap(), client.open().unwrap()], [StreamId(1), StreamId(3)]);
    let rest = 16 * MIB as u32 - 262_144;
    assert_eq!(sent(&mut *client), [(UPDATE, SYN, 1, rest), (UPDATE, SYN, 3, rest)]);
    let mut server = end(Role::Server);
    update(&mut *server, SYN, 1, rest);
    assert_eq!(sent(&mut *server), [(UPDATE, ACK, 1, rest)]);
    assert_eq!(server.open().unwrap(), StreamId(2));
}

/// YAMUX-3
#[test]
fn a_stream_sends_what_its_window_allows() {
    let settings = Settings { send_bytes_max: MIB, frame_bytes_max: 65_535, ..settings() };
    let mut mux = mux::start_session(settings, Role::Client, Instant::ZERO);
    let id = mux.open().unwrap();
    assert_eq!(mux.write(id, &vec![1; MIB]), Ok(262_144));
    assert_eq!(mux.write(id, b"x"), Err(WriteError::Blocked));
    let data: u32 = sent(&mut *mux).iter().filter(|frame| frame.0 == DATA).map(|frame| frame.3).sum();
    assert_eq!(data, 262_144);
    update(&mut *mux, ACK, id.0, 5);
    assert_eq!(mux.poll_event(), Some(Event::Writable(id)));
    assert_eq!(mux.write(id, b"0123456789"), Ok(5));
}

/// YAMUX-4
#[test]
fn the_window_grows_once_half_of_it_was_read() {
    let settings = Settings { stream_bytes_max: 262_144, ..settings() };
    let mut mux = mux::start_session(settings, Role::Server, Instant::ZERO);
    update(&mut *mux, SYN, 1, 0);
    assert_eq!(sent(&mut *mux), [(UPDATE, ACK, 1, 0)]);
    input(&mut *mux, DATA, 0, 1, &vec![7; 262_144]);
    mux.consume(StreamId(1), 131_071);
    assert_eq!(sent(&mut *mux), []);
    mux.consume(StreamId(1), 1);
    assert_eq!(sent(&mut *mux), [(UPDATE, 0, 1, 131_072)]);
    mux.consume(StreamId(1), 131_072);
    assert_eq!(sent(&mut *mux), [(UPDATE, 0, 1, 131_072)]);
}

/// YAMUX-4: windows shrink as the buffer that all streams share fills; none falls below its first size.
#[test]
fn windows_share_the_receive_buffer() {
    let settings = Settings { receive_bytes_max: 2 * MIB, stream_bytes_max: 2 * MIB, ..settings() };
    let mut mux = mux::start_session(settings, Role::Server, Instant::ZERO);
    update(&mut *mux, SYN, 1, 0);
    update(&mut *mux, SYN, 3, 0);
    assert_eq!(sent(&mut *mux).len(), 2);
    let mut buffered = 0;
    for _ in 0..28 {
        input(&mut *mux, DATA, 0, 1, &vec![7; 65_536]);
        buffered += 65_536;
    }
    let mut granted = 0;
    for _ in 0..40 {
        input(&mut *mux, DATA, 0, 3, &vec![7; 65_536]);
        mux.consume(StreamId(3), 65_536);
        granted += sent(&mut *mux).iter().map(|frame| frame.3).sum::<u32>();
    }
    assert_eq!(buffered, 28 * 65_536);
    // What was used, less the first window, and no more than a window ahead.
    assert!((40 * 65_536 - 2 * MIB as u32..40 * 65_536).contains(&granted), "{granted}");
}

/// YAMUX-5
#[test]
fn data_beyond_the_window_is_an_error() {
    let settings = Settings { stream_bytes_max: 262_144, ..settings() };
    let mut mux = mux::start_session(settings, Role::Server, Instant::ZERO);
    update(&mut *mux, SYN, 1, 0);
    input(&mut *mux, DATA, 0, 1, &vec![7; 262_144]);
    let more = frame(DATA, 0, 1, 1, b"x");
    assert_eq!(mux.input(&more), Err(ProtocolError::Violation("more data than the window allows")));
}

/// YAMUX-6
#[test]
fn streams_wait_until_the_peer_has_accepted_others() {
    let mut mux = end(Role::Client);
    let ids: Vec<StreamId> = (0..300).map(|_| mux.open().unwrap()).collect();
    mux.write(ids[299], b"data behind the SYN").unwrap();
    assert_eq!(sent(&mut *mux).iter().filter(|frame| frame.1 == SYN).count(), 256);
    mux.close(ids[298]); // never announced
    update(&mut *mux, ACK, ids[0].0, 0);
    assert_eq!(sent(&mut *mux).len(), 1);
    mux.reset(ids[1]);
    assert_eq!(sent(&mut *mux).len(), 2, "a reset, and the next SYN");
    ids[2..256].iter().for_each(|id| update(&mut *mux, ACK, id.0, 0));
    let rest = sent(&mut *mux);
    assert_eq!(rest.iter().filter(|frame| frame.1 == SYN).count(), 300 - 256 - 2 - 1);
    assert!(rest.ends_with(&[(DATA, 0, ids[299].0, 19)]), "{rest:?}");
}

/// YAMUX-7
#[test]
fn pings_are_answered_with_their_number() {
    let mut mux = end(Role::Server);
    assert_eq!(mux.input(&frame(PING, SYN, 0, 77, b"")), Ok(12));
    assert_eq!(mux.input(&frame(PING, ACK, 0, 0, b"")), Ok(12));
    assert_eq!(sent(&mut *mux), [(PING, ACK, 0, 77)]);
    let at = mux.poll_timeout().unwrap().at;
    mux.handle_timeout(at);
    assert_eq!((at, sent(&mut *mux)), (Instant::from_millis(10_000), vec![(PING, SYN, 0, 0)]));
}

/// YAMUX-8, YAMUX-1
#[test]
fn after_a_go_away_no_stream_is_opened() {
    let mut mux = end(Role::Client);
    let id = mux.open().unwrap();
    assert_eq!(mux.input(&frame(GO_AWAY, 0, 0, 0, b"")), Ok(12));
    assert_eq!(mux.open(), Err(OpenError::Refused));
    assert!(mux.write(id, b"goes on").is_ok());
    for code in [1, 2, 3] {
        let mut mux = end(Role::Client);
        assert!(mux.input(&frame(GO_AWAY, 0, 0, code, b"")).is_err());
    }
}

/// YAMUX-1
#[test]
fn malformed_headers_are_errors() {
    let bad = |bytes: &[u8]| server_with_stream().input(bytes).unwrap_err();
    assert_eq!(bad(&[1; 12]), ProtocolError::Version(1));
    assert_eq!(bad(&frame(4, 0, 0, 0, b"")), ProtocolError::Command(4));
    assert_eq!(bad(&frame(UPDATE, SYN, 1, 0, b"")), ProtocolError::Violation("a stream was opened twice"));
    assert!(matches!(bad(&frame(DATA, SYN, 0, 0, b"")), ProtocolError::Violation(_)));
}

/// YAMUX-9
#[test]
fn a_reset_ends_both_directions_behind_what_arrived() {
    let mut mux = server_with_stream();
    input(&mut *mux, DATA, 0, 1, b"before");
    mux.write(StreamId(1), b"not sent").unwrap();
    update(&mut *mux, RST, 1, 0);
    let events: Vec<Event> = std::iter::from_fn(|| mux.poll_event()).collect();
    assert!(events.contains(&Event::Reset(StreamId(1))), "{events:?}");
    assert_eq!(mux.peek(StreamId(1)).unwrap(), b"before");
    mux.consume(StreamId(1), 6);
    assert_eq!(mux.write(StreamId(1), b"x"), Err(WriteError::PeerFinished));
    assert_eq!(mux.peek(StreamId(1)), Err(ReadError::Reset));
    assert_eq!((sent(&mut *mux), mux.stream_count()), (vec![], 0));
}

/// YAMUX-9: everything that was sent before FIN is there, so the end is clean; only writes fail.
#[test]
fn a_reset_behind_the_end_does_not_make_the_data_incomplete() {
    let mut mux = server_with_stream();
    input(&mut *mux, DATA, 0, 1, b"whole");
    update(&mut *mux, FIN, 1, 0);
    update(&mut *mux, RST, 1, 0);
    let events: Vec<Event> = std::iter::from_fn(|| mux.poll_event()).collect();
    assert!(
        events.contains(&Event::Finished(StreamId(1))) && !events.contains(&Event::Reset(StreamId(1))),
        "{events:?}"
    );
    assert_eq!(mux.peek(StreamId(1)).unwrap(), b"whole");
    mux.consume(StreamId(1), 5);
    assert_eq!(mux.write(StreamId(1), b"x"), Err(WriteError::PeerFinished));
    assert_eq!(mux.peek(StreamId(1)), Ok(&mut [][..]));
    assert_eq!((sent(&mut *mux), mux.stream_count()), (vec![], 0));
}

/// YAMUX-9
#[test]
fn failed_and_refused_streams_are_reset() {
    let mut mux = server_with_stream();
    mux.write(StreamId(1), b"last").unwrap();
    assert!(mux.reset(StreamId(1)));
    assert_eq!(sent(&mut *mux), [(DATA, 0, 1, 4), (UPDATE, RST, 1, 0)]);
    let settings = Settings { streams_max: 1, ..settings() };
    let mut mux = mux::start_session(settings, Role::Server, Instant::ZERO);
    update(&mut *mux, SYN, 1, 0);
    sent(&mut *mux);
    input(&mut *mux, DATA, SYN, 3, b"dropped");
    assert_eq!(sent(&mut *mux), [(UPDATE, RST, 3, 0)]);
    assert_eq!(mux.queued_bytes(), 0);
}

/// YAMUX-10
#[test]
fn an_end_applies_behind_the_data_of_its_frame() {
    let mut mux = server_with_stream();
    let bytes = frame(DATA, FIN, 1, 6, b"behind");
    for byte in &bytes[..15] {
        assert_eq!(mux.input(&[*byte]), Ok(1));
    }
    assert_eq!(mux.peek(StreamId(1)).unwrap(), b"beh");
    mux.consume(StreamId(1), 3);
    assert_eq!(mux.peek(StreamId(1)), Err(ReadError::Blocked), "more follows");
    assert_eq!(mux.input(&bytes[15..]), Ok(3));
    assert_eq!(mux.peek(StreamId(1)).unwrap(), b"ind");
    mux.consume(StreamId(1), 3);
    assert_eq!(mux.peek(StreamId(1)).unwrap(), b"");
    input(&mut *mux, DATA, FIN, 99, b"of an unknown stream");
    mux.assert_invariants();
}

/// YAMUX-11
#[test]
fn the_end_of_the_peer_ends_both_directions() {
    let mut mux = server_with_stream();
    update(&mut *mux, FIN, 1, 0);
    assert_eq!(mux.write(StreamId(1), b"x"), Err(WriteError::PeerFinished));
    assert_eq!(mux.peek(StreamId(1)).unwrap(), b"");
    mux.finish(StreamId(1)).unwrap();
    assert_eq!(sent(&mut *mux), [(UPDATE, FIN, 1, 0)]);
    assert_eq!(mux.stream_count(), 0);
}
