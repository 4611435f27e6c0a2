//! Work that a peer causes grows with what it sends, not with its square (SMUX-32).

use engine::mux::{Mux, Role, Settings, Smux};
use engine::{Instant, StreamId};

const NOP: u8 = 3;
const SYN: u8 = 0;
const FIN: u8 = 1;
const ANNOUNCEMENT: u32 = 0x6b61_7273;

fn frame(command: u8, id: u32) -> [u8; 8] {
    let [a, b, c, d] = id.to_le_bytes();
    [2, command, 0, 0, a, b, c, d]
}

fn frames(command: u8, streams: u32) -> Vec<u8> {
    (0..streams).flat_map(|n| frame(command, 3 + 2 * n)).collect()
}

/// A server whose client opened `streams` streams and reads none of the bytes written to each of them.
fn blocked(streams: u32) -> Smux {
    let settings = Settings { half_close: true, announce: true, ..Settings::default() };
    let mut server = Smux::new(settings, Role::Server, Instant::ZERO);
    server.input(&frame(NOP, ANNOUNCEMENT)).unwrap();
    assert!(server.poll_frame(&mut Vec::new()), "its own announcement");
    server.input(&frames(SYN, streams)).unwrap();
    for n in 0..streams {
        assert_eq!(server.write(StreamId(3 + 2 * n), &[7]), Ok(1));
    }
    while server.poll_event().is_some() {}
    server
}

/// The kernel adds to a thread's CPU time at its ticks.
const TICK_NS: u64 = 4_000_000;

/// CPU time of this thread, which waits for other programs do not add to.
fn cpu_ns() -> u64 {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    times.split(' ').next().unwrap().parse().unwrap()
}

/// The least CPU time of three runs.
fn cost_ns(streams: u32, attack: impl Fn(&mut Smux, u32)) -> u64 {
    let run = |_| {
        let mut server = blocked(streams);
        let before = cpu_ns();
        attack(&mut server, streams);
        cpu_ns() - before
    };
    (0..3).map(run).min().unwrap()
}

fn assert_linear(name: &str, attack: impl Fn(&mut Smux, u32)) {
    let [few, many] = [8_000, 64_000].map(|streams| cost_ns(streams, &attack).max(TICK_NS));
    // Eight times as much is linear, 64 times as much quadratic.
    assert!(many < 24 * few, "{name}: {few} ns for 8,000 streams, {many} ns for 64,000");
}

#[test]
fn pauses_and_resumptions_of_many_streams_cost_as_much_each() {
    assert_linear("pause and resume", |server, streams| {
        for _ in 0..2 {
            server.input(&frames(NOP, streams)).unwrap();
        }
        assert!(server.has_frames());
    });
}

#[test]
fn ends_of_many_paused_streams_cost_as_much_each() {
    assert_linear("FIN behind a closed window", |server, streams| {
        server.input(&frames(NOP, streams)).unwrap();
        assert!(!server.has_frames());
        server.input(&frames(FIN, streams)).unwrap();
        server.input(&frames(NOP, streams)).unwrap();
        let mut out = Vec::new();
        while server.poll_frame(&mut out) {}
    });
}
