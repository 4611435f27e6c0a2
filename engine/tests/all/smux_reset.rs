//! Between two ends that half-close, a stream that was cut short ends with an error, never as if it were complete
//! (SMUX-33). Any other peer reads an ordinary end.
use engine::mux::{Mux, OpenError, ReadError, Role, Settings, Smux, WriteError};
use engine::{Event, Instant, StreamId};

const NOP: u8 = 3;
const FIN: u8 = 1;

fn ends(version: u8, client_announces: bool, server_announces: bool) -> [Smux; 2] {
    let settings = |announce| Settings {
        version,
        half_close: announce,
        announce,
        streams_max: 3,
        unread_bytes_max: 50_000,
        ..Settings::default()
    };
    [(client_announces, Role::Client), (server_announces, Role::Server)]
        .map(|(announce, role)| Smux::new(settings(announce), role, Instant::ZERO))
}

/// Carries every frame of one end to the other; commands and lengths of those without payload.
fn carry(ends: &mut [Smux; 2], from: usize) -> Vec<(u8, u16)> {
    let mut frames = Vec::new();
    let mut frame = Vec::new();
    while ends[from].poll_frame(&mut frame) {
        if frame.len() == 8 {
            frames.push((frame[1], u16::from_le_bytes([frame[2], frame[3]])));
        }
        assert_eq!(ends[1 - from].input(&frame), Ok(frame.len()));
        ends.iter().for_each(Smux::assert_invariants);
        frame.clear();
    }
    frames
}

fn settle(ends: &mut [Smux; 2]) {
    while !(carry(ends, 0).is_empty() && carry(ends, 1).is_empty()) {}
}

fn events(end: &mut Smux) -> Vec<Event> {
    std::iter::from_fn(|| end.poll_event()).collect()
}

fn read(end: &mut Smux, id: StreamId) -> Result<Vec<u8>, ReadError> {
    let bytes = end.peek(id)?.to_vec();
    end.consume(id, bytes.len());
    Ok(bytes)
}

/// An open stream between two ends that half-close.
fn open_stream(version: u8) -> ([Smux; 2], StreamId) {
    let mut ends = ends(version, true, true);
    let id = ends[0].open().unwrap();
    settle(&mut ends);
    assert_eq!(events(&mut ends[1]), [Event::Opened(id)]);
    (ends, id)
}

/// SMUX-33: in both versions and directions.
#[test]
fn a_reset_is_read_behind_what_was_written() {
    for version in [1, 2] {
        for from in [0, 1] {
            let (mut ends, id) = open_stream(version);
            assert_eq!(ends[from].write(id, b"part"), Ok(4));
            ends[from].reset(id);
            assert_eq!(carry(&mut ends, from), [(NOP, 65_535), (NOP, 65_534), (FIN, 0)]);
            let reader = &mut ends[1 - from];
            assert!(events(reader).contains(&Event::Reset(id)));
            assert_eq!(read(reader, id), Ok(b"part".to_vec()));
            assert_eq!(read(reader, id), Err(ReadError::Reset));
            assert_eq!(reader.write(id, b"more"), Err(WriteError::PeerFinished));
            reader.close(id);
            settle(&mut ends);
            assert_eq!(ends.each_ref().map(Smux::stream_count), [0, 0]);
        }
    }
}

/// SMUX-33
#[test]
fn a_direction_that_was_finished_before_the_reset_is_complete() {
    for version in [1, 2] {
        let (mut ends, id) = open_stream(version);
        assert_eq!(ends[0].write(id, b"whole"), Ok(5));
        ends[0].finish(id).unwrap();
        ends[0].reset(id);
        settle(&mut ends);
        assert_eq!(read(&mut ends[1], id), Ok(b"whole".to_vec()));
        assert_eq!(read(&mut ends[1], id), Ok(Vec::new()));
    }
}

/// SMUX-33: a reset ends the other direction, too, even while its reader has paused it.
#[test]
fn a_writer_stops_at_the_reset_of_its_peer() {
    for version in [1, 2] {
        let (mut ends, id) = open_stream(version);
        while ends[0].write(id, &[7; 30_000]).is_ok() {
            settle(&mut ends);
        }
        assert!(ends[0].queued_bytes() > 0, "nothing waits");
        ends[1].finish(id).unwrap();
        settle(&mut ends);
        ends[1].reset(id);
        settle(&mut ends);
        assert_eq!(ends[0].queued_bytes(), 0);
        assert_eq!(ends[0].write(id, b"more"), Err(WriteError::PeerFinished));
    }
}

/// SMUX-33: a reset waits behind data for a paused reader until that is dropped.
#[test]
fn a_reset_does_not_have_to_wait_for_a_paused_reader() {
    for version in [1, 2] {
        let (mut ends, id) = open_stream(version);
        while ends[0].write(id, &[7; 30_000]).is_ok() {
            settle(&mut ends);
        }
        ends[0].reset(id);
        settle(&mut ends);
        assert!(!ends[0].is_flushed());
        assert!(!events(&mut ends[1]).contains(&Event::Reset(id)));
        ends[0].drop_unsent();
        settle(&mut ends);
        assert!(ends[0].is_flushed());
        assert!(events(&mut ends[1]).contains(&Event::Reset(id)));
        while read(&mut ends[1], id).is_ok_and(|bytes| !bytes.is_empty()) {}
        assert_eq!(read(&mut ends[1], id), Err(ReadError::Reset));
    }
}

/// SMUX-33: dropping leaves streams alone that end in order.
#[test]
fn what_ends_in_order_is_not_dropped() {
    let (mut ends, id) = open_stream(2);
    assert_eq!(ends[0].write(id, b"whole"), Ok(5));
    ends[0].close(id);
    ends[0].drop_unsent();
    settle(&mut ends);
    assert_eq!(read(&mut ends[1], id), Ok(b"whole".to_vec()));
    assert_eq!(read(&mut ends[1], id), Ok(Vec::new()));
}

/// SMUX-33: a client does not know its server before the first answer; until then a reset is neither an end nor a frame that
/// the server would not understand.
#[test]
fn a_reset_before_the_first_answer_waits_for_it() {
    for (announces, expected) in [(true, Err(ReadError::Reset)), (false, Ok(Vec::new()))] {
        let mut ends = ends(2, true, announces);
        let (cut, live) = (ends[0].open().unwrap(), ends[0].open().unwrap());
        assert_eq!(ends[0].write(cut, b"x"), Ok(1));
        ends[0].reset(cut);
        let sent = carry(&mut ends, 0);
        assert!(!sent.contains(&(FIN, 0)) && !ends[0].is_flushed(), "{sent:?}");
        assert_eq!(read(&mut ends[1], cut), Ok(b"x".to_vec()));
        assert_eq!(read(&mut ends[1], cut), Err(ReadError::Blocked));
        // An UPD of a server that announces nothing, or the announcement.
        ends[1].write(live, b"y").unwrap();
        carry(&mut ends, 1);
        let sent = carry(&mut ends, 0);
        assert_eq!(sent.contains(&(NOP, 65_534)), announces, "{sent:?}");
        assert_eq!(read(&mut ends[1], cut), expected);
        assert!(ends[0].is_flushed());
        assert_eq!(ends[0].stream_count(), 1);
    }
}

/// SMUX-33: its first segment may come after a keepalive interval, and a keepalive would come before the announcement.
#[test]
fn a_server_announces_before_its_first_keepalive() {
    let mut ends = ends(2, true, true);
    let id = ends[0].open().unwrap();
    assert_eq!(ends[0].write(id, b"x"), Ok(1));
    ends[0].reset(id);
    ends[1].handle_timeout(Instant::from_millis(10_000));
    assert_eq!(carry(&mut ends, 1), []);
    settle(&mut ends);
    assert_eq!(read(&mut ends[1], id), Ok(b"x".to_vec()));
    assert_eq!(read(&mut ends[1], id), Err(ReadError::Reset));
    ends[1].handle_timeout(Instant::from_millis(20_000));
    assert_eq!(carry(&mut ends, 1), [(NOP, 0)]);
}

/// SMUX-33: a peer that announced nothing sees no frame that it does not know.
#[test]
fn a_peer_without_half_close_reads_an_end() {
    for version in [1, 2] {
        let mut ends = ends(version, false, true);
        let id = ends[0].open().unwrap();
        settle(&mut ends);
        assert_eq!(ends[1].write(id, b"part"), Ok(4));
        ends[1].reset(id);
        assert_eq!(carry(&mut ends, 1), [(FIN, 0)]);
        assert_eq!(read(&mut ends[0], id), Ok(b"part".to_vec()));
        assert_eq!(read(&mut ends[0], id), Ok(Vec::new()));
    }
}

/// SMUX-22, SMUX-33
#[test]
fn a_refused_stream_is_reset() {
    let mut ends = ends(2, true, true);
    let held: Vec<StreamId> = (0..3).map(|_| ends[0].open().unwrap()).collect();
    settle(&mut ends);
    // The client may open one more as soon as it has forgotten one that the server still holds.
    ends[0].close(held[0]);
    carry(&mut ends, 0);
    let refused: Vec<StreamId> = (0..1).map(|_| ends[0].open().unwrap()).collect();
    settle(&mut ends);
    for id in refused {
        assert!(events(&mut ends[0]).contains(&Event::Reset(id)));
        assert_eq!(read(&mut ends[0], id), Err(ReadError::Reset));
    }
}

/// SMUX-33: a client that heard another frame first would take the mark of a reset for nothing, and its end for a complete one. A
/// probe is sent all the same: the client of a lossy path may send its first frame only once something was acknowledged.
#[test]
fn a_server_opens_no_stream_before_its_announcement() {
    for version in [1, 2] {
        let mut ends = ends(version, true, true);
        assert_eq!(ends[1].open(), Err(OpenError::Refused));
        ends[1].probe();
        assert!(ends[1].has_frames());
        carry(&mut ends, 0);
        let id = ends[1].open().unwrap();
        assert_eq!(ends[1].write(id, b"part"), Ok(4));
        settle(&mut ends);
        ends[1].reset(id);
        settle(&mut ends);
        assert_eq!(read(&mut ends[0], id), Ok(b"part".to_vec()));
        assert_eq!(read(&mut ends[0], id), Err(ReadError::Reset));
    }
}
