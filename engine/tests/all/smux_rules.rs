//! The rules of smux: answers of one session to given frames and calls.
use engine::mux::{
    Mux, OpenError, ProtocolError, ReadError, Role, Settings, SettingsError, Smux, WriteError,
};
use engine::{CloseReason, Event, Instant, StreamId, Timer};

const SYN: u8 = 0;
const FIN: u8 = 1;
const PSH: u8 = 2;
const NOP: u8 = 3;
const UPD: u8 = 4;

fn session(role: Role, change: impl FnOnce(&mut Settings)) -> Smux {
    let mut settings = Settings::default();
    change(&mut settings);
    Smux::new(settings, role, Instant::ZERO)
}

fn server() -> Smux {
    session(Role::Server, |_| {})
}

fn frame(version: u8, command: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![version, command];
    bytes.extend((payload.len() as u16).to_le_bytes());
    bytes.extend(id.to_le_bytes());
    bytes.extend(payload);
    bytes
}

fn update(id: u32, consumed: u32, window: u32) -> Vec<u8> {
    frame(2, UPD, id, &[consumed.to_le_bytes(), window.to_le_bytes()].concat())
}

fn feed(mux: &mut Smux, bytes: &[u8]) {
    assert_eq!(mux.input(bytes), Ok(bytes.len()));
}

/// All frames a session has to send, each on its own.
fn frames(mux: &mut Smux) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let mut one = Vec::new();
        assert_eq!(mux.has_frames(), mux.poll_frame(&mut one));
        if one.is_empty() {
            return all;
        }
        all.push(one);
    }
}

fn events(mux: &mut Smux) -> Vec<Event> {
    std::iter::from_fn(|| mux.poll_event()).collect()
}

fn read(mux: &mut Smux, id: u32, n: usize) -> Vec<u8> {
    let data = mux.peek(StreamId(id)).unwrap()[..n].to_vec();
    mux.consume(StreamId(id), n);
    data
}

/// SMUX-2, SMUX-9
#[test]
fn another_version_or_command_breaks_the_session() {
    for (bad, error) in [
        (frame(1, NOP, 0, &[]), ProtocolError::Version(1)),
        (frame(0xff, NOP, 0, &[]), ProtocolError::Version(0xff)),
        (frame(2, 5, 0, &[]), ProtocolError::Command(5)),
    ] {
        let mut mux = server();
        feed(&mut mux, &frame(2, SYN, 3, &[]));
        feed(&mut mux, &frame(2, PSH, 3, b"left"));
        assert_eq!(mux.input(&bad), Err(error));
        assert_eq!(mux.input(&frame(2, NOP, 0, &[])), Err(error));
        assert_eq!(read(&mut mux, 3, 4), b"left");
        assert_eq!(mux.peek(StreamId(3)), Err(ReadError::Closed));
        assert_eq!(mux.write(StreamId(3), b"still sent"), Ok(10));
        assert_eq!(frames(&mut mux).len(), 2);
    }
}

/// SMUX-3
#[test]
fn ids_count_up_by_two() {
    for (role, first) in [(Role::Client, 3), (Role::Server, 2)] {
        let mut mux = session(role, |_| {});
        assert_eq!(mux.open(), Ok(StreamId(first)));
        assert_eq!(mux.open(), Ok(StreamId(first + 2)));
    }
    let mut mux = session(Role::Client, |settings| settings.streams_max = 1);
    mux.open().unwrap();
    assert_eq!(mux.open(), Err(OpenError::TooManyStreams));
}

/// SMUX-3: a stream of the peer with our next id is not replaced.
#[test]
fn an_id_used_by_the_peer_is_skipped() {
    let mut mux = session(Role::Client, |_| {});
    feed(&mut mux, &frame(2, SYN, 3, &[]));
    assert_eq!(mux.open(), Ok(StreamId(5)));
}

/// SMUX-4
#[test]
fn a_second_syn_is_ignored() {
    let mut mux = server();
    feed(&mut mux, &frame(2, SYN, 8, &[]));
    feed(&mut mux, &frame(2, PSH, 8, b"kept"));
    feed(&mut mux, &frame(2, SYN, 8, &[]));
    assert_eq!(mux.stream_count(), 1);
    assert_eq!(events(&mut mux), [Event::Opened(StreamId(8)), Event::Readable(StreamId(8))]);
    assert_eq!(read(&mut mux, 8, 4), b"kept");
}

/// SMUX-5, SMUX-14: dropped data does not reduce the bucket.
#[test]
fn frames_of_unknown_streams_are_dropped() {
    let mut mux = session(Role::Server, |settings| {
        (settings.receive_bytes_max, settings.stream_bytes_max) = (10, 10);
    });
    for _ in 0..5 {
        feed(&mut mux, &frame(2, PSH, 99, b"nobody there"));
        feed(&mut mux, &frame(2, FIN, 99, &[]));
        feed(&mut mux, &update(99, 1, 1));
    }
    assert_eq!((mux.stream_count(), mux.input_ready()), (0, true));
    assert_eq!(events(&mut mux), []);
}

/// SMUX-6
#[test]
fn empty_and_largest_pushes_are_taken() {
    let mut mux = session(Role::Server, |settings| settings.frame_bytes_max = 10);
    feed(&mut mux, &frame(2, SYN, 3, &[]));
    feed(&mut mux, &frame(2, PSH, 3, &[]));
    assert_eq!(mux.peek(StreamId(3)), Err(ReadError::Blocked));
    feed(&mut mux, &frame(2, PSH, 3, &[9; 65_535]));
    assert_eq!(read(&mut mux, 3, 65_535), vec![9; 65_535]);
}

/// SMUX-7
#[test]
fn lengths_of_frames_without_payload_are_ignored() {
    let mut mux = server();
    for (command, id) in [(NOP, 0), (SYN, 3), (FIN, 3)] {
        let mut odd = frame(2, command, id, &[]);
        odd[2..4].copy_from_slice(&999u16.to_le_bytes());
        feed(&mut mux, &odd);
    }
    let mut odd = update(3, 0, 7);
    odd[2..4].copy_from_slice(&999u16.to_le_bytes());
    feed(&mut mux, &odd);
    feed(&mut mux, &frame(2, SYN, 5, &[]));
    assert_eq!(mux.stream_count(), 2);
}

/// SMUX-8
#[test]
fn version_1_has_no_updates() {
    let mut mux = session(Role::Server, |settings| settings.version = 1);
    feed(&mut mux, &frame(1, SYN, 3, &[]));
    feed(&mut mux, &frame(1, PSH, 3, b"read"));
    read(&mut mux, 3, 4);
    assert_eq!(frames(&mut mux), [] as [Vec<u8>; 0]);
    assert_eq!(mux.input(&frame(1, UPD, 3, &[0; 8])), Err(ProtocolError::Command(UPD)));
}

/// SMUX-10
#[test]
fn a_writer_without_update_stops_at_262144_bytes() {
    let mut mux = session(Role::Client, |_| {});
    let id = mux.open().unwrap();
    let mut written = 0;
    loop {
        match mux.write(id, &[7; 5000]) {
            Ok(n) => written += n,
            Err(error) => break assert_eq!(error, WriteError::Blocked),
        }
        frames(&mut mux);
    }
    assert_eq!(written, 262_144);
    assert_eq!(mux.write_room(id), Ok(0));
    assert_eq!(events(&mut mux), []);
    feed(&mut mux, &update(3, 262_144, 100));
    assert_eq!(events(&mut mux), [Event::Writable(id)]);
    assert_eq!(mux.write(id, &[7; 5000]), Ok(100));
}

/// SMUX-10: counters wrap at 2^32; a window of 2^31 and more is negative in Go and blocks.
#[test]
fn window_arithmetic_is_modular() {
    let mut mux = session(Role::Client, |settings| settings.send_bytes_max = 1 << 30);
    let id = mux.open().unwrap();
    let mut written = 0u32;
    let chunk = vec![1; 1 << 18];
    for _ in 0..(1 << 14) + 1 {
        assert_eq!(mux.write(id, &chunk), Ok(chunk.len()));
        written = written.wrapping_add(1 << 18);
        let mut out = Vec::new();
        while mux.poll_frame(&mut out) {
            out.clear();
        }
        feed(&mut mux, &update(3, written, 1 << 18));
    }
    assert!(written < 1 << 20, "the counter has wrapped");
    feed(&mut mux, &update(3, written, 1 << 31));
    assert_eq!(mux.write(id, b"x"), Err(WriteError::Blocked));
    feed(&mut mux, &update(3, written, (1 << 31) - 1));
    assert_eq!(mux.write(id, b"x"), Ok(1));
}

/// SMUX-11
#[test]
fn a_peer_that_consumed_too_much_fails_writes_until_it_corrects_itself() {
    let mut mux = session(Role::Client, |_| {});
    let id = mux.open().unwrap();
    mux.write(id, b"hello").unwrap();
    feed(&mut mux, &update(3, 6, 1000));
    assert_eq!(mux.write(id, b"x"), Err(WriteError::PeerOverrun));
    assert_eq!(mux.write_room(id), Err(WriteError::PeerOverrun));
    feed(&mut mux, &update(3, 5, 1000));
    assert_eq!(mux.write_room(id), Ok(1000));
}

/// SMUX-11: a blocked writer receives the error of the overrun.
#[test]
fn an_overrun_wakes_a_waiting_writer() {
    let mut mux = session(Role::Client, |_| {});
    let id = mux.open().unwrap();
    feed(&mut mux, &update(3, 0, 0));
    assert_eq!(mux.write(id, b"x"), Err(WriteError::Blocked));
    feed(&mut mux, &update(3, 1, 0));
    assert_eq!(events(&mut mux), [Event::Writable(id)]);
}

/// SMUX-12: consumed 4000, 40000, 76000, 112000, 148000 with a stream buffer of 65536 and reads of 4000.
#[test]
fn updates_follow_the_first_read_and_every_half_buffer() {
    let mut mux = session(Role::Server, |settings| settings.stream_bytes_max = 65_536);
    feed(&mut mux, &frame(2, SYN, 3, &[]));
    let mut sent = Vec::new();
    for _ in 0..40 {
        feed(&mut mux, &frame(2, PSH, 3, &[1; 4000]));
        read(&mut mux, 3, 4000);
        sent.extend(frames(&mut mux));
    }
    let expected = [4000, 40_000, 76_000, 112_000, 148_000].map(|consumed| update(3, consumed, 65_536));
    assert_eq!(sent, expected);
}

/// SMUX-12: a window larger than kcptun's is extended as often as that one.
#[test]
fn a_large_window_is_extended_after_every_mebibyte() {
    let mut mux = session(Role::Server, |settings| {
        (settings.receive_bytes_max, settings.stream_bytes_max) = (1 << 25, 1 << 25);
    });
    feed(&mut mux, &frame(2, SYN, 3, &[]));
    let mut sent = Vec::new();
    for _ in 0..160 {
        feed(&mut mux, &frame(2, PSH, 3, &[1; 1 << 14]));
        read(&mut mux, 3, 1 << 14);
        sent.extend(frames(&mut mux));
    }
    let consumed = [1 << 14, (1 << 20) + (1 << 14), (1 << 21) + (1 << 14)];
    assert_eq!(sent, consumed.map(|consumed| update(3, consumed, 1 << 25)));
}

/// SMUX-13
#[test]
fn the_announced_window_is_not_enforced() {
    let mut mux = session(Role::Server, |settings| settings.stream_bytes_max = 10);
    feed(&mut mux, &frame(2, SYN, 3, &[]));
    feed(&mut mux, &frame(2, PSH, 3, &[1; 4000]));
    assert_eq!(read(&mut mux, 3, 4000).len(), 4000);
}

/// SMUX-14: bucket 65536, frames of 10000: 70000 bytes are taken.
#[test]
fn one_frame_may_overdraw_the_bucket() {
    let mut mux = session(Role::Server, |settings| {
        (settings.version, settings.receive_bytes_max, settings.stream_bytes_max) = (1, 65_536, 65_536);
    });
    feed(&mut mux, &frame(1, SYN, 3, &[]));
    let push = frame(1, PSH, 3, &[1; 10_000]);
    for _ in 0..7 {
        assert!(mux.input_ready());
        feed(&mut mux, &push);
    }
    assert!(!mux.input_ready());
    assert_eq!(mux.input(&push), Ok(0));
    read(&mut mux, 3, 70_000 - 65_536);
    assert_eq!(mux.input(&push), Ok(0));
    read(&mut mux, 3, 1);
    feed(&mut mux, &push);
    assert_eq!(mux.input(&push), Ok(0));
    mux.close(StreamId(3));
    assert!(mux.input_ready(), "closing gives back what was not read");
}

/// SMUX-15
#[test]
fn streams_alternate_and_control_frames_come_first() {
    let mut mux = session(Role::Client, |settings| settings.frame_bytes_max = 4);
    let (a, b) = (mux.open().unwrap(), mux.open().unwrap());
    mux.write(a, b"aaaaaaaa").unwrap();
    mux.finish(a).unwrap();
    mux.write(b, b"bbbb").unwrap();
    feed(&mut mux, &frame(2, PSH, 5, b"1"));
    read(&mut mux, 5, 1);
    let sent: Vec<_> = frames(&mut mux).iter().map(|frame| (frame[4], frame[1])).collect();
    assert_eq!(sent, [(3, SYN), (5, SYN), (3, PSH), (5, UPD), (3, PSH), (5, PSH), (3, FIN)]);
}

/// SMUX-15
#[test]
fn waiting_updates_are_merged() {
    let mut mux = session(Role::Server, |settings| settings.stream_bytes_max = 2);
    feed(&mut mux, &frame(2, SYN, 3, &[]));
    feed(&mut mux, &frame(2, PSH, 3, b"abc"));
    for _ in 0..3 {
        read(&mut mux, 3, 1);
    }
    assert_eq!(frames(&mut mux), [update(3, 3, 2)]);
}

/// SMUX-16
#[test]
fn frames_are_cut_at_the_frame_size() {
    let mut mux = session(Role::Client, |settings| settings.frame_bytes_max = 1000);
    let id = mux.open().unwrap();
    mux.write(id, &[1; 700]).unwrap();
    mux.write(id, &[2; 700]).unwrap();
    let lens: Vec<_> = frames(&mut mux).iter().map(|frame| frame.len() - 8).collect();
    assert_eq!(lens, [0, 1000, 400]);
}

/// SMUX-17
#[test]
fn after_the_peers_fin_data_is_read_and_writes_are_refused() {
    for half_close in [false, true] {
        let mut mux = session(Role::Server, |settings| settings.half_close = half_close);
        let id = StreamId(3);
        feed(&mut mux, &frame(2, SYN, 3, &[]));
        feed(&mut mux, &frame(2, PSH, 3, b"last"));
        feed(&mut mux, &frame(2, FIN, 3, &[]));
        let expected = [Event::Opened(id), Event::Readable(id), Event::Finished(id)];
        assert_eq!(events(&mut mux), expected);
        let refused = if half_close { Ok(1) } else { Err(WriteError::PeerFinished) };
        assert_eq!(mux.write(id, b"x"), refused);
        assert_eq!(read(&mut mux, 3, 4), b"last");
        assert_eq!(mux.peek(id), Ok(&mut [][..]));
        assert_eq!(mux.peek(id), Ok(&mut [][..]), "the end stays the end while this side is open");
        mux.close(id);
        frames(&mut mux);
        assert_eq!(mux.stream_count(), 0);
    }
}

/// SMUX-18
#[test]
fn a_closed_stream_sends_accepted_data_and_drops_arriving_data() {
    let mut mux = session(Role::Client, |_| {});
    let id = mux.open().unwrap();
    mux.write(id, b"bye").unwrap();
    mux.close(id);
    mux.close(id);
    assert_eq!(mux.stream_count(), 1);
    assert_eq!(mux.write(id, b"x"), Err(WriteError::UnknownStream));
    assert_eq!(mux.peek(id), Err(ReadError::UnknownStream));
    feed(&mut mux, &frame(2, PSH, 3, b"too late"));
    feed(&mut mux, &frame(2, FIN, 3, &[]));
    assert_eq!(events(&mut mux), []);
    assert_eq!(frames(&mut mux), [frame(2, SYN, 3, &[]), frame(2, PSH, 3, b"bye"), frame(2, FIN, 3, &[])]);
    assert_eq!(mux.stream_count(), 0);
}

/// SMUX-18: also in the middle of a frame, whose remainder is neither parsed as a header nor charged to the bucket.
#[test]
fn a_stream_may_be_closed_in_the_middle_of_a_frame() {
    let mut mux = session(Role::Server, |settings| {
        (settings.receive_bytes_max, settings.stream_bytes_max) = (100, 100);
    });
    feed(&mut mux, &frame(2, SYN, 3, &[]));
    let push = frame(2, PSH, 3, &[0xee; 100]);
    feed(&mut mux, &push[..50]);
    mux.close(StreamId(3));
    feed(&mut mux, &push[50..]);
    assert!(mux.input_ready());
    feed(&mut mux, &frame(2, SYN, 5, &[]));
    frames(&mut mux);
    assert_eq!(mux.stream_count(), 1);
}

/// SMUX-19: every order of our finish, the peer's FIN and the reading of the end.
#[test]
fn a_finished_stream_is_removed_in_any_order() {
    let id = StreamId(3);
    for order in [[0, 1, 2], [1, 0, 2], [1, 2, 0]] {
        let mut mux = session(Role::Client, |settings| settings.half_close = true);
        mux.open().unwrap();
        feed(&mut mux, &frame(2, PSH, 3, b"rest"));
        for step in order {
            assert_eq!(mux.stream_count(), 1);
            match step {
                0 => {
                    mux.finish(id).unwrap();
                    assert_eq!(frames(&mut mux).last(), Some(&frame(2, FIN, 3, &[])));
                }
                1 => feed(&mut mux, &frame(2, FIN, 3, &[])),
                _ => {
                    assert_eq!(read(&mut mux, 3, 4), b"rest");
                    assert_eq!(mux.peek(id), Ok(&mut [][..]));
                }
            }
        }
        frames(&mut mux);
        assert_eq!(mux.stream_count(), 0, "order {order:?}");
        assert_eq!(mux.peek(id), Err(ReadError::UnknownStream));
    }
}

/// SMUX-19
#[test]
fn finishing_twice_is_refused() {
    let mut mux = session(Role::Client, |_| {});
    let id = mux.open().unwrap();
    assert_eq!(mux.finish(id), Ok(()));
    assert_eq!(mux.finish(id), Err(WriteError::Finished));
    assert_eq!(mux.write(id, b"x"), Err(WriteError::Finished));
    assert_eq!(mux.finish(StreamId(77)), Err(WriteError::UnknownStream));
}

/// SMUX-20
#[test]
fn nops_follow_the_grid_and_do_not_pile_up() {
    let mut mux = session(Role::Client, |_| {});
    let deadline = mux.poll_timeout().unwrap();
    assert_eq!((deadline.at, deadline.why), (Instant::from_millis(10_000), Timer::Keepalive));
    mux.handle_timeout(Instant::from_millis(9_999));
    assert!(!mux.has_frames());
    mux.handle_timeout(Instant::from_millis(10_000));
    mux.handle_timeout(Instant::from_millis(27_000));
    assert_eq!(frames(&mut mux), [frame(2, NOP, 0, &[])]);
    assert_eq!(mux.poll_timeout().unwrap().at, Instant::from_millis(30_000));
}

/// SMUX-21: a session without any frame closes at 30 s, one whose only frame arrived at the start at 60 s.
#[test]
fn a_silent_peer_is_given_up() {
    let mut mux = session(Role::Client, |_| {});
    let id = mux.open().unwrap();
    mux.handle_timeout(Instant::from_millis(29_999));
    assert_eq!(events(&mut mux), []);
    mux.handle_timeout(Instant::from_millis(30_000));
    assert_eq!(events(&mut mux), [Event::Closed(CloseReason::PeerTimeout)]);
    assert_eq!((mux.stream_count(), mux.has_frames(), mux.poll_timeout()), (0, false, None));
    assert_eq!(mux.open(), Err(OpenError::Closed));
    assert_eq!(mux.write(id, b"x"), Err(WriteError::Closed));
    assert_eq!(mux.peek(id), Err(ReadError::Closed));

    let mut mux = session(Role::Client, |_| {});
    feed(&mut mux, &frame(2, NOP, 0, &[]));
    mux.handle_timeout(Instant::from_millis(30_000));
    mux.handle_timeout(Instant::from_millis(59_999));
    assert_eq!(events(&mut mux), []);
    mux.handle_timeout(Instant::from_millis(60_000));
    assert_eq!(events(&mut mux), [Event::Closed(CloseReason::PeerTimeout)]);
}

/// SMUX-21
#[test]
fn silence_does_not_count_while_reading_is_blocked() {
    let mut mux = session(Role::Server, |settings| {
        (settings.receive_bytes_max, settings.stream_bytes_max) = (4, 4);
    });
    feed(&mut mux, &frame(2, SYN, 3, &[]));
    feed(&mut mux, &frame(2, PSH, 3, b"full"));
    for second in [30, 60, 90] {
        mux.handle_timeout(Instant::from_millis(second * 1000));
    }
    assert!(!events(&mut mux).contains(&Event::Closed(CloseReason::PeerTimeout)));
    read(&mut mux, 3, 1);
    mux.handle_timeout(Instant::from_millis(120_000));
    assert_eq!(events(&mut mux), [Event::Closed(CloseReason::PeerTimeout)]);
}

/// SMUX-30: a large frame on a slow path takes longer than the timeout.
#[test]
fn a_partial_frame_counts_as_activity() {
    let mut mux = session(Role::Server, |_| {});
    feed(&mut mux, &frame(2, SYN, 3, &[]));
    let slow = frame(2, PSH, 3, &[7; 40]);
    feed(&mut mux, &slow[..10]);
    for (piece, second) in slow[10..16].chunks(2).zip([30, 60, 90]) {
        mux.handle_timeout(Instant::from_millis(second * 1000));
        feed(&mut mux, piece);
    }
    let closed = Event::Closed(CloseReason::PeerTimeout);
    assert!(!events(&mut mux).contains(&closed));
    mux.handle_timeout(Instant::from_millis(120_000));
    assert!(!events(&mut mux).contains(&closed));
    mux.handle_timeout(Instant::from_millis(150_000));
    assert_eq!(events(&mut mux), [closed]);
}

/// SMUX-31: a late check is skipped, the next one is not.
#[test]
fn silence_does_not_count_while_this_end_was_suspended() {
    let mut mux = session(Role::Client, |_| {});
    mux.handle_timeout(Instant::from_millis(58_000));
    mux.handle_timeout(Instant::from_millis(87_999));
    assert_eq!(events(&mut mux), []);
    mux.handle_timeout(Instant::from_millis(88_000));
    assert_eq!(events(&mut mux), [Event::Closed(CloseReason::PeerTimeout)]);
}

/// SMUX-22
#[test]
fn streams_beyond_the_limit_are_refused() {
    let mut mux = session(Role::Server, |settings| settings.streams_max = 2);
    for id in [3, 5, 7, 9] {
        feed(&mut mux, &frame(2, SYN, id, &[]));
    }
    feed(&mut mux, &frame(2, PSH, 9, b"nobody"));
    assert_eq!(mux.stream_count(), 2);
    assert_eq!(frames(&mut mux), [frame(2, FIN, 7, &[]), frame(2, FIN, 9, &[])]);
    for id in 0..100_000 {
        feed(&mut mux, &frame(2, SYN, 1000 + id, &[]));
    }
    assert_eq!(frames(&mut mux).len(), 1024, "answers that wait are bounded");
}

/// SMUX-23
#[test]
fn settings_are_refused_in_gos_words() {
    let message = |change: &dyn Fn(&mut Settings)| {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.validate().map_err(|error: SettingsError| error.to_string())
    };
    let says = |text: &str| Err(text.to_owned());
    assert_eq!(message(&|_| {}), Ok(()));
    assert_eq!(message(&|s| s.version = 3), says("unsupported protocol version"));
    assert_eq!(message(&|s| s.keepalive_ms = 0), says("keep-alive interval must be positive"));
    assert_eq!(message(&|s| s.keepalive_ms = 30_000), Ok(()));
    assert_eq!(
        message(&|s| s.keepalive_ms = 31_000),
        says("keep-alive timeout must be larger than keep-alive interval")
    );
    assert_eq!(message(&|s| s.frame_bytes_max = 0), says("max frame size must be positive"));
    assert_eq!(message(&|s| s.frame_bytes_max = 65_535), Ok(()));
    assert_eq!(
        message(&|s| s.frame_bytes_max = 65_536),
        says("max frame size must not be larger than 65535")
    );
    assert_eq!(message(&|s| s.receive_bytes_max = 0), says("max receive buffer must be positive"));
    assert_eq!(message(&|s| s.stream_bytes_max = 0), says("max stream buffer must be positive"));
    assert_eq!(
        message(&|s| s.stream_bytes_max = s.receive_bytes_max + 1),
        says("max stream buffer must not be larger than max receive buffer")
    );
    assert!(message(&|s| s.receive_bytes_max = 1 << 31).is_err());
}

/// SMUX-24
#[test]
fn data_after_a_fin_counts_until_the_end_was_reported() {
    let mut mux = session(Role::Server, |settings| {
        (settings.receive_bytes_max, settings.stream_bytes_max) = (8, 8);
    });
    let id = StreamId(3);
    feed(&mut mux, &frame(2, SYN, 3, &[]));
    feed(&mut mux, &frame(2, FIN, 3, &[]));
    feed(&mut mux, &frame(2, PSH, 3, b"late"));
    assert_eq!(read(&mut mux, 3, 4), b"late");
    assert_eq!(mux.peek(id), Ok(&mut [][..]));
    feed(&mut mux, &frame(2, PSH, 3, b"too late"));
    assert_eq!(mux.peek(id), Ok(&mut [][..]));
    assert!(mux.input_ready());
}

/// SMUX-25
#[test]
fn a_frame_becomes_readable_as_a_whole() {
    let mut mux = server();
    feed(&mut mux, &frame(2, SYN, 3, &[]));
    let push = frame(2, PSH, 3, b"whole");
    for byte in &push[..push.len() - 1] {
        feed(&mut mux, &[*byte]);
        assert_eq!(mux.peek(StreamId(3)), Err(ReadError::Blocked));
    }
    events(&mut mux);
    feed(&mut mux, &push[push.len() - 1..]);
    assert_eq!(events(&mut mux), [Event::Readable(StreamId(3))]);
    assert_eq!(mux.peek(StreamId(3)).unwrap(), b"whole");
}

/// Readable is reported once per wait, so that the number of streams bounds the event queue.
#[test]
fn a_notified_reader_is_not_notified_again() {
    let mut mux = server();
    feed(&mut mux, &frame(2, SYN, 3, &[]));
    for _ in 0..1000 {
        feed(&mut mux, &frame(2, PSH, 3, b"x"));
    }
    assert_eq!(events(&mut mux), [Event::Opened(StreamId(3)), Event::Readable(StreamId(3))]);
    read(&mut mux, 3, 1000);
    assert_eq!(mux.peek(StreamId(3)), Err(ReadError::Blocked));
    feed(&mut mux, &frame(2, PSH, 3, b"x"));
    assert_eq!(events(&mut mux), [Event::Readable(StreamId(3))]);
}

/// A writer blocked by the queue is woken once half of it is free.
#[test]
fn a_waiting_writer_is_woken_when_half_the_queue_is_free() {
    let mut mux = session(Role::Client, |settings| {
        (settings.send_bytes_max, settings.frame_bytes_max) = (4000, 1000);
    });
    let id = mux.open().unwrap();
    assert_eq!(mux.write(id, &[0; 9000]), Ok(4000));
    assert_eq!(mux.write(id, &[0; 9000]), Err(WriteError::Blocked));
    let mut out = Vec::new();
    mux.poll_frame(&mut out); // SYN
    for left in [3000, 2000] {
        assert_eq!(mux.poll_event(), None);
        mux.poll_frame(&mut out);
        assert_eq!(mux.write_room(id), Ok(4000 - left));
    }
    assert_eq!(mux.poll_event(), Some(Event::Writable(id)));

    let mut mux = session(Role::Client, |settings| settings.send_bytes_max = 1);
    let id = mux.open().unwrap();
    assert_eq!(mux.write(id, b"ab"), Ok(1));
    assert_eq!(mux.write(id, b"b"), Err(WriteError::Blocked));
    frames(&mut mux);
    assert_eq!(events(&mut mux), [Event::Writable(id)]);
}

/// A session that was shut sends no frames and has no streams.
#[test]
fn shutting_ends_all_streams() {
    let mut mux = session(Role::Client, |_| {});
    mux.open().unwrap();
    mux.shut(CloseReason::Replaced);
    mux.shut(CloseReason::Local);
    assert_eq!(events(&mut mux), [Event::Closed(CloseReason::Replaced)]);
    assert_eq!((mux.stream_count(), mux.has_frames(), mux.poll_timeout()), (0, false, None));
    assert_eq!(mux.input(b"anything"), Ok(8));
}
