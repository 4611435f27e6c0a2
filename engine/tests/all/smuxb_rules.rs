//! kcptunB's smux, call by call, against frames written from its description (kcptunb.md).

use engine::mux::{self, Dialect, Mux, ProtocolError, ReadError, Role, Settings, WriteError};
use engine::{CloseReason, Event, Instant, StreamId};

const NOP: u8 = 3;
const ACK: u8 = 4;
const FUL: u8 = 5;
const EMP: u8 = 6;

fn settings() -> Settings {
    Settings {
        dialect: Dialect::Smuxb,
        version: 1,
        frame_bytes_max: 32_767,
        stream_bytes_max: 6000,
        peer_timeout_ms: 75_000,
        half_close: true,
        announce: true,
        ..Settings::default()
    }
}

fn end(role: Role) -> Box<dyn Mux> {
    mux::start_session(settings(), role, Instant::ZERO)
}

fn frame(command: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![1, command];
    bytes.extend_from_slice(&(payload.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&id.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Command, id and length of every frame that waits.
fn sent(mux: &mut dyn Mux) -> Vec<(u8, u32, usize)> {
    let mut frames = Vec::new();
    let mut out = Vec::new();
    while mux.poll_frame(&mut out) {
        assert_eq!(out[0], 1);
        frames.push((out[1], u32::from_le_bytes(out[4..8].try_into().unwrap()), out.len() - 8));
        out.clear();
    }
    mux.assert_invariants();
    frames
}

fn input(mux: &mut dyn Mux, command: u8, id: u32, payload: &[u8]) {
    let bytes = frame(command, id, payload);
    assert_eq!(mux.input(&bytes), Ok(bytes.len()));
}

/// A server whose peer has answered its first NOP after 20 ms, with stream 3 open and nothing left to send.
fn server_with_stream() -> Box<dyn Mux> {
    let mut mux = end(Role::Server);
    input(&mut *mux, NOP, 1, b"");
    sent(&mut *mux);
    mux.advance(Instant::from_millis(20));
    input(&mut *mux, ACK, 1, b"");
    input(&mut *mux, 0, 3, b"");
    assert_eq!(mux.poll_event(), Some(Event::Opened(StreamId(3))));
    assert_eq!(mux.peek(StreamId(3)), Err(ReadError::Blocked));
    assert_eq!(sent(&mut *mux), []);
    mux
}

/// SMUXB-2
#[test]
fn both_ends_begin_with_a_numbered_nop() {
    for role in [Role::Client, Role::Server] {
        let mut mux = end(role);
        let mut first = Vec::new();
        assert!(mux.poll_frame(&mut first));
        assert_eq!(first, [1, 3, 0, 0, 1, 0, 0, 0]);
        assert_eq!(sent(&mut *mux), []);
        mux.probe();
        mux.probe();
        assert_eq!(sent(&mut *mux), [(NOP, 2, 0)], "one waits at most");
    }
    let mut client = end(Role::Client);
    assert_eq!(client.open().unwrap(), StreamId(3));
    assert_eq!(client.open().unwrap(), StreamId(5));
    assert_eq!(sent(&mut *client), [(NOP, 1, 0), (0, 3, 0), (0, 5, 0)]);
}

/// SMUXB-3
#[test]
fn nops_are_frequent_until_the_peer_answers() {
    let mut mux = end(Role::Client);
    sent(&mut *mux);
    let mut at = mux.poll_timeout().unwrap().at;
    assert_eq!(at, Instant::from_millis(3333));
    mux.handle_timeout(at);
    assert_eq!(sent(&mut *mux), [(NOP, 2, 0)]);
    mux.advance(at);
    input(&mut *mux, ACK, 2, b"");
    for number in 3..6 {
        let next = mux.poll_timeout().unwrap().at;
        assert_eq!(next.since(at).as_millis(), 10_000);
        at = next;
        mux.handle_timeout(at);
        assert_eq!(sent(&mut *mux), [(NOP, number, 0)]);
    }
}

/// SMUXB-3
#[test]
fn a_silent_peer_ends_the_session_at_the_timeout() {
    let mut mux = end(Role::Client);
    let mut ended_at = None;
    while let Some(deadline) = mux.poll_timeout() {
        mux.handle_timeout(deadline.at);
        sent(&mut *mux);
        ended_at = Some(deadline.at);
    }
    assert_eq!(ended_at, Some(Instant::from_millis(75_000)));
    assert_eq!(mux.poll_event(), Some(Event::Closed(CloseReason::PeerTimeout)));
}

/// SMUXB-4
#[test]
fn the_second_answer_waits_until_the_peer_answers() {
    let mut mux = end(Role::Server);
    sent(&mut *mux);
    input(&mut *mux, NOP, 1, b"");
    assert_eq!(sent(&mut *mux), [(ACK, 1, 0)]);
    input(&mut *mux, NOP, 2, b"");
    assert_eq!(sent(&mut *mux), [], "a peer with --streambuf-en=0 would stop reading");
    input(&mut *mux, ACK, 1, b"");
    input(&mut *mux, NOP, 3, b"");
    assert_eq!(sent(&mut *mux), [(ACK, 3, 0)]);
}

/// SMUXB-4: NOPs of kcptun, and karst's announcement.
#[test]
fn nops_of_other_programs_are_not_answered() {
    let mut mux = end(Role::Server);
    sent(&mut *mux);
    input(&mut *mux, NOP, 0, b"");
    input(&mut *mux, NOP, 0x6b61_7273, b"");
    assert_eq!(sent(&mut *mux), []);
}

/// SMUXB-1
#[test]
fn payloads_of_other_commands_are_discarded() {
    let mut mux = server_with_stream();
    for command in [0, 1, NOP, ACK, FUL, EMP] {
        input(&mut *mux, command, if command == 0 { 7 } else { 9 }, b"ignored");
    }
    input(&mut *mux, 2, 3, b"read");
    assert_eq!(mux.peek(StreamId(3)).unwrap(), b"read");
    input(&mut *mux, 2, 1000, b"unknown stream");
    mux.assert_invariants();
}

/// SMUXB-1
#[test]
fn other_versions_and_commands_are_errors() {
    for (bytes, error) in [
        ([2, 0, 0, 0, 3, 0, 0, 0], ProtocolError::Version(2)),
        ([0, 1, 0, 1, 0, 0, 0, 1], ProtocolError::Version(0)),
        ([1, 7, 0, 0, 3, 0, 0, 0], ProtocolError::Command(7)),
    ] {
        let mut mux = end(Role::Server);
        assert_eq!(mux.input(&bytes), Err(error));
        assert_eq!(mux.input(b"x"), Err(error));
    }
}

/// SMUXB-5: more than `streambuf` is unread.
#[test]
fn a_full_stream_is_paused_once_and_resumed_once() {
    let mut mux = server_with_stream();
    input(&mut *mux, 2, 3, &[7; 6000]);
    assert_eq!(sent(&mut *mux), [], "as much as the buffer holds");
    input(&mut *mux, 2, 3, &[7; 1]);
    input(&mut *mux, 2, 3, &[7; 9000]);
    assert_eq!(sent(&mut *mux), [(FUL, 3, 0)]);
    mux.advance(Instant::from_millis(2000));
    mux.consume(StreamId(3), 5000);
    assert_eq!(sent(&mut *mux), [], "a slow reader with much left");
    mux.consume(StreamId(3), 10_001);
    assert_eq!(sent(&mut *mux), [(EMP, 3, 0)]);
    assert_eq!(mux.peek(StreamId(3)), Err(ReadError::Blocked));
    assert_eq!(sent(&mut *mux), []);
}

/// SMUXB-5: a fast reader is resumed early, by the estimate: it takes its bytes many times in a round trip of 20 ms.
#[test]
fn a_fast_reader_resumes_before_its_buffer_is_empty() {
    let mut mux = server_with_stream();
    mux.advance(Instant::from_millis(21));
    input(&mut *mux, 2, 3, &[7; 1000]);
    mux.consume(StreamId(3), 1000);
    input(&mut *mux, 2, 3, &[7; 7000]);
    assert_eq!(sent(&mut *mux), [(FUL, 3, 0)]);
    mux.consume(StreamId(3), 3000);
    assert_eq!(sent(&mut *mux), [(EMP, 3, 0)]);
}

/// SMUXB-5: a reader that takes little lowers the estimate until the stream is paused far below `streambuf`, unless boosted.
#[test]
fn a_slow_reader_is_paused_early() {
    for boost_ms in [0, 3_600_000] {
        let settings = Settings { stream_bytes_max: 1 << 18, boost_ms, ..settings() };
        let mut mux = mux::start_session(settings, Role::Server, Instant::ZERO);
        sent(&mut *mux);
        input(&mut *mux, ACK, 1, b"");
        input(&mut *mux, 0, 3, b"");
        let mut paused_at = None;
        for round in 1..200u64 {
            mux.advance(Instant::from_millis(round * 1000));
            input(&mut *mux, 2, 3, &[7; 1000]);
            mux.consume(StreamId(3), 10);
            if sent(&mut *mux).contains(&(FUL, 3, 0)) {
                paused_at = Some(round);
                break;
            }
        }
        assert_eq!(paused_at.is_some(), boost_ms == 0, "boost {boost_ms}: {paused_at:?}");
        assert!(paused_at.is_none_or(|round| round < 40));
    }
}

/// SMUXB-5, SMUXB-4: smux version 1 of other programs ends the session at a FUL.
#[test]
fn a_peer_that_does_not_answer_is_not_paused() {
    let mut mux = end(Role::Server);
    sent(&mut *mux);
    input(&mut *mux, 0, 3, b"");
    input(&mut *mux, 2, 3, &[7; 20_000]);
    assert_eq!(sent(&mut *mux), []);
}

/// SMUXB-6
#[test]
fn a_paused_stream_sends_nothing_until_resumed() {
    let mut mux = end(Role::Client);
    let (paused, other) = (mux.open().unwrap(), mux.open().unwrap());
    sent(&mut *mux);
    input(&mut *mux, FUL, paused.0, b"");
    mux.write(paused, b"later").unwrap();
    mux.finish(paused).unwrap();
    mux.write(other, b"now").unwrap();
    assert_eq!(sent(&mut *mux), [(2, other.0, 3)]);
    input(&mut *mux, EMP, paused.0, b"");
    assert_eq!(sent(&mut *mux), [(2, paused.0, 5), (1, paused.0, 0)]);
}

/// SMUXB-7, SMUXB-6
#[test]
fn without_stream_buffers_only_commands_of_smux_are_sent() {
    let settings = Settings { stream_buffers: false, ..settings() };
    let mut mux = mux::start_session(settings, Role::Server, Instant::ZERO);
    input(&mut *mux, NOP, 1, b"");
    input(&mut *mux, ACK, 1, b"");
    input(&mut *mux, NOP, 2, b"");
    input(&mut *mux, 0, 3, b"");
    input(&mut *mux, 2, 3, &[7; 20_000]);
    mux.write(StreamId(3), b"x").unwrap();
    assert_eq!(sent(&mut *mux), [(NOP, 1, 0), (2, 3, 1)]);
    input(&mut *mux, FUL, 3, b"");
    mux.write(StreamId(3), b"y").unwrap();
    assert_eq!(sent(&mut *mux), []);
}

/// SMUXB-8
#[test]
fn the_end_of_the_peer_ends_both_directions() {
    let mut mux = server_with_stream();
    input(&mut *mux, 2, 3, b"last");
    input(&mut *mux, 1, 3, b"");
    assert_eq!(mux.write(StreamId(3), b"x"), Err(WriteError::PeerFinished));
    assert_eq!(mux.peek(StreamId(3)).unwrap(), b"last");
    mux.consume(StreamId(3), 4);
    assert_eq!(mux.peek(StreamId(3)).unwrap(), b"");
    input(&mut *mux, 2, 3, b"late frames are dropped");
    mux.close(StreamId(3));
    assert_eq!(sent(&mut *mux), [(1, 3, 0)]);
    assert_eq!(mux.stream_count(), 0);
}
