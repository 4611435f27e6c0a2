//! Any schedule of calls over two joined sessions preserves the order of every stream's bytes, loses no wake-up and leaks no
//! state; any bytes from a hostile peer are handled within bounds.
use engine::mux::{Mux, ReadError, Role, Settings, Smux, WriteError};
use engine::{Event, Instant, StreamId};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::collections::{BTreeMap, BTreeSet};

fn config(cases: u32, seed: u64) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Default::default() }
}

/// One call on one side; `stream` selects one of its streams.
#[derive(Clone, Debug)]
enum Op {
    Open,
    Write { stream: usize, len: usize },
    Read { stream: usize, len: usize },
    Finish { stream: usize },
    Close { stream: usize },
    Reset { stream: usize },
    Frames { count: usize },
    Deliver { bytes: usize },
}

fn op() -> impl Strategy<Value = (usize, Op)> {
    let stream = 0..6usize;
    let op = prop_oneof![
        1 => Just(Op::Open),
        4 => (stream.clone(), 0..20_000usize).prop_map(|(stream, len)| Op::Write { stream, len }),
        4 => (stream.clone(), 0..20_000usize).prop_map(|(stream, len)| Op::Read { stream, len }),
        1 => stream.clone().prop_map(|stream| Op::Finish { stream }),
        1 => stream.clone().prop_map(|stream| Op::Close { stream }),
        1 => stream.prop_map(|stream| Op::Reset { stream }),
        4 => (0..8usize).prop_map(|count| Op::Frames { count }),
        6 => (0..9000usize).prop_map(|bytes| Op::Deliver { bytes }),
    ];
    (0..2usize, op)
}

fn settings() -> impl Strategy<Value = Settings> {
    let closing = (any::<bool>(), any::<bool>());
    (1..=2u8, 1..5000usize, 1..50_000usize, 1..100usize, closing, 1..8usize, 1..30_000usize).prop_map(
        |(version, frame_bytes_max, receive_bytes_max, share, closing, streams_max, send_bytes_max)| {
            let (half_close, announce) = closing;
            Settings {
                version,
                frame_bytes_max,
                receive_bytes_max,
                stream_bytes_max: (receive_bytes_max * share / 100).max(1),
                half_close,
                announce,
                streams_max,
                send_bytes_max,
                ..Settings::default()
            }
        },
    )
}

/// Expected state of one direction of a stream.
#[derive(Default)]
struct Flow {
    written: u64,
    read: u64,
    reader_gone: bool,
    writer_gone: bool,
    /// The writer reset the stream before it had finished.
    cut: bool,
    writer_waits: bool,
}

/// One application over one session. It reads only after a readable event.
struct Side {
    mux: Smux,
    wire: Vec<u8>,
    streams: Vec<StreamId>,
    readable: BTreeSet<StreamId>,
}

struct World {
    sides: [Side; 2],
    /// By writing side and stream.
    flows: BTreeMap<(usize, StreamId), Flow>,
    accepted: BTreeSet<StreamId>,
    /// Both ends announce half-close.
    extended: bool,
    settings: Settings,
}

fn pattern(side: usize, id: StreamId, at: u64) -> u8 {
    (at.wrapping_mul(2_654_435_761) >> 13) as u8 ^ (id.0 as u8).wrapping_mul(29) ^ (side as u8)
}

impl World {
    fn new(settings: &Settings) -> Self {
        let side = |role| Side {
            mux: Smux::new(settings.clone(), role, Instant::ZERO),
            wire: Vec::new(),
            streams: Vec::new(),
            readable: BTreeSet::new(),
        };
        Self {
            sides: [side(Role::Client), side(Role::Server)],
            flows: BTreeMap::new(),
            accepted: BTreeSet::new(),
            extended: settings.announce && settings.half_close,
            settings: settings.clone(),
        }
    }

    fn run(&mut self, index: usize, op: &Op) {
        let pick = |stream: &usize| {
            let streams = &self.sides[index].streams;
            (!streams.is_empty()).then(|| streams[stream % streams.len()])
        };
        match op {
            Op::Open => self.open(index),
            Op::Write { stream, len } => drop(pick(stream).map(|id| self.write(index, id, *len))),
            Op::Read { stream, len } => drop(pick(stream).map(|id| self.read(index, id, *len))),
            Op::Finish { stream } => drop(pick(stream).map(|id| self.finish(index, id))),
            Op::Close { stream } => drop(pick(stream).map(|id| self.close(index, id))),
            Op::Reset { stream } => drop(pick(stream).map(|id| self.reset(index, id))),
            Op::Frames { count } => (0..*count).for_each(|_| {
                self.frame(index);
            }),
            Op::Deliver { bytes } => drop(self.deliver(index, *bytes)),
        }
        self.take_events(index);
    }

    fn open(&mut self, index: usize) {
        let Ok(id) = self.sides[index].mux.open() else { return };
        self.sides[index].streams.push(id);
    }

    fn write(&mut self, index: usize, id: StreamId, len: usize) -> bool {
        let flow = self.flows.entry((index, id)).or_default();
        let data: Vec<u8> = (0..len as u64).map(|i| pattern(index, id, flow.written + i)).collect();
        let mux = &mut self.sides[index].mux;
        let room = mux.write_room(id);
        match mux.write(id, &data) {
            Ok(n) => {
                assert!(len == 0 || n == len.min(room.unwrap()));
                flow.written += n as u64;
                let window = 262_144.max(self.settings.stream_bytes_max as u64);
                assert!(self.settings.version == 1 || flow.written - flow.read <= window || flow.reader_gone);
                n > 0
            }
            Err(WriteError::Blocked) => {
                assert_eq!(room, Ok(0));
                flow.writer_waits = true;
                false
            }
            Err(error) => {
                assert_eq!(room, Err(error));
                let half_close = self.settings.half_close && !self.settings.announce;
                assert!(error != WriteError::PeerFinished || !half_close);
                false
            }
        }
    }

    fn read(&mut self, index: usize, id: StreamId, len: usize) -> bool {
        let side = &mut self.sides[index];
        if !side.readable.contains(&id) {
            return false;
        }
        match side.mux.peek(id) {
            Ok([]) => {
                side.readable.remove(&id);
                let flow = self.flows.entry((1 - index, id)).or_default();
                assert!(flow.writer_gone, "the end came before the writer ended");
                assert!(!flow.cut || !self.extended, "a cut stream looks complete");
                assert_eq!(flow.read, flow.written, "the end came early");
                false
            }
            Ok(bytes) => {
                let flow = self.flows.entry((1 - index, id)).or_default();
                let n = bytes.len().min(len);
                for (i, byte) in bytes[..n].iter().enumerate() {
                    assert_eq!(*byte, pattern(1 - index, id, flow.read + i as u64));
                }
                flow.read += n as u64;
                side.mux.consume(id, n);
                n > 0
            }
            Err(error) => {
                let flow = self.flows.entry((1 - index, id)).or_default();
                let refused = !self.accepted.contains(&id);
                assert!(error != ReadError::Reset || self.extended && (flow.cut || refused));
                assert!(
                    error != ReadError::Reset || flow.read == flow.written,
                    "bytes before the reset are lost"
                );
                assert!(matches!(error, ReadError::Blocked | ReadError::UnknownStream | ReadError::Reset));
                side.readable.remove(&id);
                false
            }
        }
    }

    fn finish(&mut self, index: usize, id: StreamId) {
        if self.sides[index].mux.finish(id).is_ok() {
            self.flows.entry((index, id)).or_default().writer_gone = true;
        }
    }

    fn close(&mut self, index: usize, id: StreamId) {
        self.sides[index].mux.close(id);
        self.sides[index].streams.retain(|other| *other != id);
        self.flows.entry((index, id)).or_default().writer_gone = true;
        self.flows.entry((1 - index, id)).or_default().reader_gone = true;
    }

    fn reset(&mut self, index: usize, id: StreamId) {
        self.sides[index].mux.reset(id);
        self.sides[index].streams.retain(|other| *other != id);
        let flow = self.flows.entry((index, id)).or_default();
        flow.cut = !std::mem::replace(&mut flow.writer_gone, true);
        self.flows.entry((1 - index, id)).or_default().reader_gone = true;
    }

    /// Moves one frame onto the wire; it must be one whole frame within the limits.
    fn frame(&mut self, index: usize) -> bool {
        let side = &mut self.sides[index];
        let start = side.wire.len();
        let had = side.mux.has_frames();
        assert_eq!(side.mux.poll_frame(&mut side.wire), had);
        if had {
            let frame = &side.wire[start..];
            let len = usize::from(u16::from_le_bytes([frame[2], frame[3]]));
            // The length of a NOP is a message of its own (SMUX-27, SMUX-29, SMUX-33).
            let len = if frame[1] == 3 { 0 } else { len };
            assert_eq!(frame.len(), 8 + len);
            assert_eq!(frame[0], self.settings.version);
            assert!(frame[1] != 2 || (1..=self.settings.frame_bytes_max).contains(&len));
        }
        had
    }

    /// Delivers the bytes of side `index` to the other side.
    fn deliver(&mut self, index: usize, bytes: usize) -> bool {
        let [a, b] = &mut self.sides;
        let (from, to) = if index == 0 { (a, b) } else { (b, a) };
        let n = bytes.min(from.wire.len());
        let used = to.mux.input(&from.wire[..n]).unwrap();
        assert!(used == n || !to.mux.input_ready());
        from.wire.drain(..used);
        self.take_events(1 - index);
        used > 0
    }

    fn take_events(&mut self, index: usize) {
        let side = &mut self.sides[index];
        while let Some(event) = side.mux.poll_event() {
            match event {
                Event::Opened(id) => {
                    side.streams.push(id);
                    self.accepted.insert(id);
                }
                Event::Readable(id) => drop(side.readable.insert(id)),
                Event::Writable(id) => self.flows.entry((index, id)).or_default().writer_waits = false,
                Event::Reset(id) => {
                    let cut = self.flows.get(&(1 - index, id)).is_some_and(|flow| flow.cut);
                    assert!(self.extended && (cut || !self.accepted.contains(&id)));
                    self.flows.entry((index, id)).or_default().reader_gone = true;
                }
                Event::Finished(id) => {
                    let flow = self.flows.get(&(1 - index, id));
                    let ended = flow.is_some_and(|flow| flow.writer_gone && !(flow.cut && self.extended));
                    assert!(ended || !self.accepted.contains(&id));
                    self.flows.entry((1 - index, id)).or_default().writer_gone = true;
                }
                Event::Stopped(id) => {
                    assert!(self.flows.get(&(index, id)).is_some_and(|flow| flow.reader_gone));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Exchanges frames and reads until neither side makes progress.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            for index in [0, 1] {
                while self.frame(index) {
                    moved = true;
                }
                self.take_events(index);
                moved |= self.deliver(index, usize::MAX);
                for id in self.sides[index].readable.clone() {
                    while self.read(index, id, 3000) {
                        moved = true;
                    }
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// After settling every byte has arrived, and every writer that may write again was notified.
    fn check_liveness(&self) {
        for ((index, id), flow) in &self.flows {
            let refused = !self.accepted.contains(id);
            assert!(
                flow.read == flow.written || flow.reader_gone || refused,
                "{id:?} of side {index} is stuck"
            );
            let room = self.sides[*index].mux.write_room(*id);
            assert!(
                !flow.writer_waits || matches!(room, Ok(0) | Err(WriteError::UnknownStream)),
                "lost wake-up"
            );
        }
        for side in &self.sides {
            assert!(side.wire.is_empty() && side.mux.input_ready() && !side.mux.has_frames());
        }
    }

    fn finish_all(&mut self) {
        for index in [0, 1] {
            for id in self.sides[index].streams.clone() {
                self.finish(index, id);
            }
        }
        self.settle();
        for side in &self.sides {
            assert_eq!(side.mux.stream_count(), 0, "a stream was left behind");
        }
    }

    /// A new stream can use exactly the complete bucket, so none of it leaked.
    fn check_bucket(&mut self) {
        let id = self.sides[0].mux.open().unwrap();
        self.frame(0);
        self.deliver(0, usize::MAX);
        let max = self.settings.receive_bytes_max;
        let mut sent = 0;
        while sent < max {
            assert!(self.sides[1].mux.input_ready(), "{sent} of {max}");
            let n = (max - sent).min(65_535);
            let mut frame = vec![self.settings.version, 2];
            frame.extend((n as u16).to_le_bytes());
            frame.extend(id.0.to_le_bytes());
            frame.resize(8 + n, 0);
            assert_eq!(self.sides[1].mux.input(&frame), Ok(frame.len()));
            sent += n;
        }
        assert!(!self.sides[1].mux.input_ready());
    }
}

proptest! {
    #![proptest_config(config(192, 1))]

    /// SMUX-10, SMUX-14, SMUX-16, SMUX-18, SMUX-19, SMUX-27, SMUX-33
    #[test]
    fn any_schedule_preserves_order_and_leaks_no_state(
        settings in settings(),
        ops in prop::collection::vec(op(), 1..250),
    ) {
        let mut world = World::new(&settings);
        world.open(0);
        for (index, op) in &ops {
            world.run(*index, op);
        }
        world.settle();
        world.check_liveness();
        world.finish_all();
        world.check_bucket();
    }
}

/// Bytes similar to frames, so that they pass the first header.
fn hostile_frame() -> impl Strategy<Value = Vec<u8>> {
    let id = prop_oneof![4 => 0..5u32, 1 => any::<u32>()];
    let len = prop_oneof![4 => 0..20u16, 1 => any::<u16>()];
    let version = prop_oneof![60 => Just(2u8), 1 => any::<u8>()];
    (version, 0..5u8, len, id, prop::collection::vec(any::<u8>(), 0..40)).prop_map(
        |(version, command, len, id, body)| {
            let mut bytes = vec![version, command];
            bytes.extend(len.to_le_bytes());
            bytes.extend(id.to_le_bytes());
            bytes.extend(body);
            bytes
        },
    )
}

proptest! {
    #![proptest_config(config(512, 2))]

    /// SMUX-2, SMUX-14, SMUX-22: no panic, and never more held than the limits.
    #[test]
    fn hostile_frames_stay_within_bounds(
        frames in prop::collection::vec(hostile_frame(), 0..200),
        cut in 1..70_000usize,
    ) {
        let mut settings = Settings { streams_max: 3, ..Settings::default() };
        (settings.receive_bytes_max, settings.stream_bytes_max) = (50_000, 50_000);
        let mut mux = Smux::new(settings, Role::Server, Instant::ZERO);
        for (round, piece) in frames.concat().chunks(cut).enumerate() {
            let Ok(used) = mux.input(piece) else { return Ok(()) };
            prop_assert!(used == piece.len() || !mux.input_ready());
            prop_assert!(mux.stream_count() <= 3);
            let ids: Vec<_> = (0..5).map(StreamId).collect();
            let unread: usize = ids.iter().map(|id| mux.peek(*id).map_or(0, |bytes| bytes.len())).sum();
            prop_assert!(unread <= 50_000 + 65_535);
            let id = StreamId((round % 5) as u32);
            let _ = mux.write(id, b"answer");
            match round % 4 {
                0 => mux.close(id),
                1 => {
                    let half = mux.peek(id).map_or(0, |bytes| bytes.len() / 2);
                    mux.consume(id, half);
                }
                2 => drop(mux.finish(id)),
                _ => drop(mux.open()),
            }
            let events = std::iter::from_fn(|| mux.poll_event()).count();
            prop_assert!(events <= 4 * 3 + 1);
            let mut out = Vec::new();
            let sent = std::iter::from_fn(|| mux.poll_frame(&mut out).then_some(())).count();
            prop_assert!(sent <= 1024 + 3 * 4 + 1);
        }
    }
}
