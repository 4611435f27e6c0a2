//! Two ends that support it pause, pace and stop single streams (SMUX-27, SMUX-29).
use engine::mux::{Mux, ReadError, Role, Settings, Smux, WriteError};
use engine::{Instant, StreamId};

const BUFFER: usize = 4 << 20;
const NOP: u8 = 3;

fn ends(version: u8, client_announces: bool) -> [Smux; 2] {
    ends_with(version, client_announces, BUFFER)
}

fn ends_with(version: u8, client_announces: bool, receive_bytes_max: usize) -> [Smux; 2] {
    let settings = |announce| Settings {
        version,
        receive_bytes_max,
        stream_bytes_max: BUFFER,
        half_close: announce,
        announce,
        ..Settings::default()
    };
    [(client_announces, Role::Client), (true, Role::Server)]
        .map(|(announce, role)| Smux::new(settings(announce), role, Instant::ZERO))
}

/// Carries every frame both ways until none moves; the ids of the NOPs about streams, with the side that sent them.
fn settle(ends: &mut [Smux; 2]) -> Vec<(usize, u32, u16)> {
    let mut holds = Vec::new();
    let mut moved = true;
    while moved {
        moved = false;
        for index in [0, 1] {
            let mut frame = Vec::new();
            while ends[1 - index].input_ready() && ends[index].poll_frame(&mut frame) {
                let id = u32::from_le_bytes(frame[4..8].try_into().unwrap());
                if frame[1] == NOP && id != 0x6b61_7273 {
                    holds.push((index, id, u16::from_le_bytes([frame[2], frame[3]])));
                }
                assert_eq!(ends[1 - index].input(&frame), Ok(frame.len()));
                frame.clear();
                moved = true;
            }
            ends.iter().for_each(Smux::assert_invariants);
        }
    }
    holds
}

/// Writes until the stream blocks, while delivering frames; returns the accepted bytes.
fn fill(ends: &mut [Smux; 2], id: StreamId) -> usize {
    let mut taken = 0;
    for _ in 0..200 {
        match ends[0].write(id, &[7; 30_000]) {
            Ok(n) => taken += n,
            Err(error) => {
                assert_eq!(error, WriteError::Blocked);
                return taken;
            }
        }
        settle(ends);
    }
    taken
}

fn drain(end: &mut Smux, id: StreamId) -> usize {
    let mut read = 0;
    while let Ok(bytes) = end.peek(id)
        && !bytes.is_empty()
    {
        let n = bytes.len();
        end.consume(id, n);
        read += n;
    }
    read
}

/// SMUX-27
#[test]
fn stopped_readers_leave_room_for_the_others() {
    for version in [1, 2] {
        let mut ends = ends(version, true);
        let stopped: Vec<StreamId> = (0..20).map(|_| ends[0].open().unwrap()).collect();
        let lively = ends[0].open().unwrap();
        settle(&mut ends);
        for id in &stopped {
            assert!(fill(&mut ends, *id) > 0);
        }
        for _ in 0..50 {
            assert_eq!(ends[0].write(lively, &[1; 1000]), Ok(1000), "version {version}");
            settle(&mut ends);
            assert_eq!(drain(&mut ends[1], lively), 1000, "version {version}");
        }
    }
}

/// SMUX-27: a stream that is read empty while another's frame overdraws the buffer has no unread data whose reading would end a pause.
#[test]
fn an_overdrawn_buffer_pauses_no_empty_stream() {
    for version in [1, 2] {
        let mut ends = ends_with(version, true, 10_000);
        let (small, large) = (ends[0].open().unwrap(), ends[0].open().unwrap());
        settle(&mut ends);
        assert_eq!(ends[0].write(small, &[1; 1000]), Ok(1000));
        settle(&mut ends);
        // The second frame is sent before the pause arrives.
        assert_eq!(ends[0].write(large, &[2; 16_000]), Ok(16_000));
        let mut frame = Vec::new();
        while ends[0].poll_frame(&mut frame) {}
        assert_eq!(ends[1].input(&frame), Ok(frame.len()));
        assert!(!ends[1].input_ready(), "overdrawn");
        assert_eq!(drain(&mut ends[1], small), 1000);
        assert_eq!(drain(&mut ends[1], large), 16_000);
        settle(&mut ends);
        assert_eq!(ends[0].write(small, &[3; 1000]), Ok(1000));
        settle(&mut ends);
        assert_eq!(drain(&mut ends[1], small), 1000, "version {version}");
    }
}

/// SMUX-27: without the announcement all stand still, as between Go ends.
#[test]
fn a_peer_without_announcement_is_not_paused() {
    let mut ends = ends(1, false);
    let (stopped, lively) = (ends[0].open().unwrap(), ends[0].open().unwrap());
    assert_eq!(settle(&mut ends), []);
    fill(&mut ends, stopped);
    ends[0].write(lively, &[1; 1000]).unwrap();
    assert_eq!(settle(&mut ends), []);
    assert!(!ends[1].input_ready());
    assert_eq!(ends[1].peek(lively), Err(ReadError::Blocked));
}

/// SMUX-27
#[test]
fn a_reader_that_resumes_receives_all_data() {
    let mut ends = ends(1, true);
    let id = ends[0].open().unwrap();
    settle(&mut ends);
    fill(&mut ends, id);
    drain(&mut ends[1], id);
    settle(&mut ends);
    let written = fill(&mut ends, id);
    assert!(written > 262_144);
    ends[0].finish(id).unwrap();
    assert_eq!(settle(&mut ends), [], "it is paused already");
    let mut read = 0;
    let mut holds = Vec::new();
    while read < written {
        let now = drain(&mut ends[1], id);
        assert!(now > 0, "stuck at {read} of {written}");
        read += now;
        holds.extend(settle(&mut ends));
    }
    assert_eq!(read, written);
    assert!(holds.contains(&(1, id.0, 0)), "the reader asks to go on");
    assert!(ends[1].peek(id).unwrap().is_empty(), "the end follows the last byte");
}

/// SMUX-29: otherwise the writer would wait without limit.
#[test]
fn closing_a_stream_stops_its_writer() {
    let mut ends = ends(1, true);
    let id = ends[0].open().unwrap();
    settle(&mut ends);
    fill(&mut ends, id);
    ends[1].close(id);
    assert_eq!(settle(&mut ends), [(1, id.0, 65_535)]);
    assert_eq!(ends[0].write(id, b"to nobody"), Err(WriteError::PeerFinished));
    assert!(!ends[0].has_frames());
    ends[0].close(id);
    settle(&mut ends);
    assert_eq!(ends.map(|end| end.stream_count()), [0, 0]);
}

/// SMUX-27: version 1 has the windows of version 2.
#[test]
fn credits_open_the_window_of_version_1() {
    let mut ends = ends(1, true);
    let id = ends[0].open().unwrap();
    settle(&mut ends);
    for window in [262_144, BUFFER / 2, BUFFER / 2] {
        let mut wire = Vec::new();
        let mut taken = 0;
        while let Ok(n) = ends[0].write(id, &[7; 30_000]) {
            taken += n;
            while ends[0].poll_frame(&mut wire) {}
        }
        assert_eq!(taken, window);
        assert_eq!(ends[1].input(&wire), Ok(wire.len()));
        assert_eq!(drain(&mut ends[1], id), window);
        let credits: u32 = settle(&mut ends).iter().map(|(_, _, len)| u32::from(*len)).sum();
        assert_eq!(credits, window as u32 / 1024);
    }
}

/// SMUX-27: a peer that reports more consumed bytes than were sent is detected, as in version 2.
#[test]
fn credit_for_unsent_bytes_is_refused() {
    let mut ends = ends(1, true);
    let id = ends[0].open().unwrap();
    settle(&mut ends);
    ends[0].input(&[&[1, NOP, 9, 0][..], &id.0.to_le_bytes()].concat()).unwrap();
    assert_eq!(ends[0].write(id, b"x"), Err(WriteError::PeerOverrun));
}

/// SMUX-27: NOPs for unknown streams, or from a peer without announcement, are ignored.
#[test]
fn other_nops_are_ignored() {
    let nop = |id: u32| [&[1, NOP, 0, 0][..], &id.to_le_bytes()].concat();
    let mut ends = ends(1, false);
    let id = ends[0].open().unwrap();
    settle(&mut ends);
    ends[0].input(&nop(id.0)).unwrap();
    ends[0].input(&nop(99)).unwrap();
    ends[0].write(id, b"x").unwrap();
    assert!(ends[0].has_frames());
}

/// SMUX-27: ends with other buffers agree all the same.
#[test]
fn windows_of_different_size_do_not_wait_for_each_other() {
    for buffers in [[1 << 16, 1 << 24], [1 << 24, 1 << 16]] {
        let mut ends = ends(1, true);
        for (end, role, buffer) in [(0, Role::Client, buffers[0]), (1, Role::Server, buffers[1])] {
            let settings = Settings {
                version: 1,
                receive_bytes_max: buffer,
                stream_bytes_max: buffer,
                half_close: true,
                announce: true,
                ..Settings::default()
            };
            ends[end] = Smux::new(settings, role, Instant::ZERO);
        }
        let id = ends[0].open().unwrap();
        let mut read = 0;
        for _ in 0..400 {
            let _ = ends[0].write(id, &[7; 30_000]);
            settle(&mut ends);
            read += drain(&mut ends[1], id);
            settle(&mut ends);
        }
        assert!(read > 11_000_000, "{buffers:?}: {read}");
    }
}
