//! The sender under a controller: loss detection by time, pacing, window, silence, acknowledgements, redundant copies.

use engine::arq::{Arq, Command, Flush, Header, OVERHEAD, Recovery, Source, Tuning};
use engine::congestion::{AckEvent, ControlState, Controller, Load, Tally};
use engine::{Generation, Instant};
use std::collections::VecDeque;

const MTU: usize = 1_000;
const ONE_WAY_US: u64 = 50_000;

/// A controller with a constant window and a constant rate.
#[derive(Debug)]
struct Fixed {
    bytes_s: u64,
    window_bytes: u64,
}

impl Controller for Fixed {
    fn on_ack(&mut self, _: &AckEvent) {}
    fn on_timeout(&mut self) {}
    fn load(&self) -> Load {
        Load::At
    }
    fn pacing_bytes_s(&self) -> u64 {
        self.bytes_s
    }
    fn window_bytes(&self) -> u64 {
        self.window_bytes
    }
    fn state(&self) -> ControlState {
        ControlState::default()
    }
}

fn arq(control: Option<Fixed>) -> Arq {
    let mut arq = Arq::new(1, Generation::Go2026);
    arq.set_tuning(Tuning { nodelay: true, interval_ms: 10, resend: 2, nc: true });
    arq.set_windows(4_096, 4_096);
    assert!(arq.set_mtu(MTU));
    if let Some(control) = control {
        arq.set_controller(Box::new(control), Recovery::Timed);
    }
    arq
}

fn paced(bytes_s: u64, window_bytes: u64) -> Arq {
    arq(Some(Fixed { bytes_s, window_bytes }))
}

/// As [`paced`], with those tuning numbers.
fn tuned(bytes_s: u64, window_bytes: u64, tuning: Tuning) -> Arq {
    let mut arq = arq(None);
    arq.set_tuning(tuning);
    arq.set_controller(Box::new(Fixed { bytes_s, window_bytes }), Recovery::Tuned);
    arq
}

const FAST: Tuning = Tuning { nodelay: false, interval_ms: 30, resend: 2, nc: true };

/// Two ends, and the datagrams on their way between them.
struct Line {
    now: Instant,
    ends: [Arq; 2],
    under_way: [VecDeque<(u64, Vec<u8>)>; 2],
    /// Every PUSH of the first end: time of transmission, microseconds, and sn.
    sent: Vec<(u64, u32)>,
    read: usize,
}

impl Line {
    fn new(sender: Arq, receiver: Arq) -> Self {
        let now = Instant::from_millis(10_000);
        Self { now, ends: [sender, receiver], under_way: Default::default(), sent: Vec::new(), read: 0 }
    }

    fn us(&self) -> u64 {
        self.now.as_micros() - 10_000_000
    }

    /// Runs in steps of 200 microseconds; datagrams for which `passes` returns `false` are lost.
    fn run(&mut self, ms: u64, mut passes: impl FnMut(usize, &[u8]) -> bool) {
        for _ in 0..ms * 5 {
            self.now = Instant::from_micros(self.now.as_micros() + 200);
            for side in 0..2 {
                self.drain(side, &mut passes);
                let us = self.us();
                let due = |queue: &VecDeque<(u64, Vec<u8>)>| queue.front().is_some_and(|(at, _)| *at <= us);
                while due(&self.under_way[side]) {
                    let (_, datagram) = self.under_way[side].pop_front().unwrap();
                    self.ends[1 - side].input(self.now, &datagram, Source::Regular, false).unwrap();
                    self.drain(1 - side, &mut passes);
                }
            }
            while let Some(bytes) = self.ends[1].take() {
                self.read += bytes.len();
            }
            self.ends.iter().for_each(Arq::assert_invariants);
        }
    }

    fn drain(&mut self, side: usize, passes: &mut impl FnMut(usize, &[u8]) -> bool) {
        self.ends[side].handle_timeout(self.now);
        if self.us().is_multiple_of(10_000) {
            self.ends[side].flush(self.now, Flush::Full);
        }
        let mut out = [0; MTU];
        while let Some(len) = self.ends[side].poll_transmit(self.now, &mut out) {
            let at = self.us();
            if side == 0 {
                self.sent.extend(pushes(&out[..len]).into_iter().map(|sn| (at, sn)));
            }
            if passes(side, &out[..len]) {
                self.under_way[side].push_back((at + ONE_WAY_US, out[..len].to_vec()));
            }
        }
    }

    fn times(&self, sn: u32) -> Vec<u64> {
        self.sent.iter().filter(|(_, of)| *of == sn).map(|(at, _)| *at).collect()
    }
}

fn segments(mut datagram: &[u8]) -> Vec<Header> {
    let mut all = Vec::new();
    while let Some((header, rest)) = Header::parse(datagram) {
        datagram = &rest[header.len as usize..];
        all.push(header);
    }
    all
}

fn pushes(datagram: &[u8]) -> Vec<u32> {
    segments(datagram).iter().filter(|s| s.command() == Some(Command::Push)).map(|s| s.sn).collect()
}

fn full() -> Vec<u8> {
    vec![7; MTU - OVERHEAD]
}

// CC-1, CC-2
#[test]
fn a_lost_segment_and_its_lost_retransmission_are_found_within_a_round_trip_each() {
    for receiver in [arq(None), paced(1_000_000, 100_000)] {
        let mut line = Line::new(paced(1_000_000, 300_000), receiver);
        (0..400).for_each(|_| line.ends[0].send(&full()).unwrap());
        let mut copies = 0;
        line.run(1_500, |side, datagram| {
            let hit = side == 0 && pushes(datagram).contains(&30);
            copies += usize::from(hit);
            !hit || copies > 2
        });
        assert_eq!(line.read, 400 * full().len());
        let times = line.times(30);
        assert_eq!(times.len(), 3, "{times:?}");
        for pair in times.windows(2) {
            let waited = pair[1] - pair[0];
            assert!((100_000..170_000).contains(&waited), "{waited} us");
        }
        let again = line.sent.len() - 400;
        assert_eq!(again, 2, "nothing else was sent again");
    }
}

/// Twin of the above: without loss no segment is retransmitted, even with late acknowledgements (the receiver's flush, 10 ms).
// CC-2
#[test]
fn no_segment_is_retransmitted_without_loss() {
    let mut line = Line::new(paced(2_000_000, 500_000), arq(None));
    (0..1_000).for_each(|_| line.ends[0].send(&full()).unwrap());
    line.run(1_500, |_, _| true);
    assert_eq!((line.read, line.sent.len()), (1_000 * full().len(), 1_000));
}

// CC-3
#[test]
fn segments_leave_at_the_rate_in_trains_of_a_millisecond() {
    let mut line = Line::new(paced(5_000_000, 2_000_000), paced(1, 2_000));
    (0..3_000).for_each(|_| line.ends[0].send(&full()).unwrap());
    // The initial window of the peer is 32 segments.
    line.run(400, |_, _| true);
    let from = line.us();
    line.run(200, |_, _| true);
    let burst = |us: u64, over: u64| line.sent.iter().filter(|(at, _)| (us..us + over).contains(at)).count();
    let count = burst(from, 200_000);
    assert!((980..=1_020).contains(&count), "{count} segments of 1,000 bytes in 200 ms");
    let most = (0..199).map(|ms| burst(from + ms * 1_000, 1_000)).max().unwrap();
    assert!(most <= 9, "{most} segments in a millisecond of 5");
}

// CC-4, CC-5
#[test]
fn during_silence_single_probes_leave_at_growing_intervals() {
    let mut line = Line::new(paced(10_000_000, 20_000), arq(None));
    (0..100).for_each(|_| line.ends[0].send(&full()).unwrap());
    line.run(300, |_, _| true);
    let before = line.sent.len();
    let from = line.us();
    line.run(6_000, |_, _| false);
    let all: Vec<u64> = line.sent[before..].iter().map(|(at, _)| at - from).collect();
    let window = all.iter().filter(|at| **at < 100_000).count();
    assert!(window <= 20, "{window} segments of 1,000 bytes into a window of 20,000");
    let probes: Vec<u64> = all.into_iter().filter(|at| *at > 120_000).collect();
    assert!((18..=30).contains(&probes.len()), "{probes:?}");
    let waits: Vec<u64> = probes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.is_sorted() && *waits.last().unwrap() <= 251_000, "{waits:?}");
    // After the outage all data is delivered within three seconds.
    line.run(3_000, |_, _| true);
    assert_eq!(line.read, 100 * full().len());
}

/// A retransmission is single as long as less than half the window waits behind the segment.
// CC-24
#[test]
fn a_segment_that_blocks_half_the_window_leaves_three_times() {
    let copies = |wnd: u32| {
        let mut sender = paced(1_000_000, 100_000);
        sender.set_windows(wnd, wnd);
        let mut line = Line::new(sender, arq(None));
        let mut lost = 0;
        for _ in 0..1_500 {
            if line.ends[0].waitsnd() < 400 {
                (0..4).for_each(|_| line.ends[0].send(&full()).unwrap());
            }
            line.run(1, |side, datagram| {
                let first = side == 0 && lost < 3 && pushes(datagram).contains(&10);
                lost += usize::from(first);
                !first
            });
        }
        line.times(10)
    };
    let (roomy, tight) = (copies(4_096), copies(300));
    assert_eq!(roomy.len(), 4, "{roomy:?}");
    // By the third transmission less than half the window waits, by the fourth more.
    assert_eq!(tight.len(), 6, "{tight:?}");
    let spacings = [tight[4] - tight[3], tight[5] - tight[4]];
    assert!(spacings.iter().all(|us| (1_000..10_000).contains(us)), "{tight:?}");
}

// CC-6
#[test]
fn acknowledgements_wait_four_milliseconds_or_for_32() {
    let mut receiver = paced(1_000_000, 100_000);
    let mut sender = arq(None);
    sender.set_windows(100, 100);
    let mut out = [0; MTU];
    let now = Instant::from_millis(1);
    (0..33).for_each(|_| sender.send(b"x").unwrap());
    sender.flush(now, Flush::Full);
    let mut acks = |receiver: &mut Arq, at: Instant| {
        receiver.handle_timeout(at);
        receiver.poll_transmit(at, &mut out).map_or(0, |len| segments(&out[..len]).len())
    };
    let mut datagram = [0; 64];
    let header = |sn: u32| {
        let mut bytes = vec![1, 0, 0, 0, 81, 0, 32, 0];
        [1, sn, 0, 1].iter().for_each(|word: &u32| bytes.extend_from_slice(&word.to_le_bytes()));
        bytes.push(b'x');
        bytes
    };
    let mut feed = |receiver: &mut Arq, sn: u32| {
        let bytes = header(sn);
        datagram[..bytes.len()].copy_from_slice(&bytes);
        receiver.input(now, &datagram[..bytes.len()], Source::Regular, false).unwrap();
    };
    // Beyond a gap each segment is acknowledged.
    feed(&mut receiver, 1);
    assert_eq!(acks(&mut receiver, now), 0);
    assert_eq!(receiver.poll_timeout(now), Some(Instant::from_millis(5)));
    assert_eq!(acks(&mut receiver, Instant::from_millis(5)), 1);
    (2..33).for_each(|sn| feed(&mut receiver, sn));
    assert_eq!(acks(&mut receiver, now), 0, "31 wait");
    feed(&mut receiver, 33);
    assert_eq!(acks(&mut receiver, now), 32);
}

// CC-17
#[test]
fn acknowledgements_of_tuned_senders_wait_for_their_interval() {
    let mut line = Line::new(paced(1_000_000, 100_000), tuned(1_000_000, 100_000, FAST));
    line.ends[0].send(&full()).unwrap();
    let mut acks = Vec::new();
    let began = line.now;
    for _ in 0..100 {
        let now = line.now;
        line.run(1, |side, _| {
            if side == 1 {
                acks.push(now.since(began).as_millis());
            }
            true
        });
    }
    assert!(matches!(acks[..], [79..=82]), "{acks:?}: a delay of 50 ms, and the interval of 30 ms");
}

// CC-17
#[test]
fn tuned_senders_retransmit_as_resend_says() {
    let again_after = |resend| {
        let mut line =
            Line::new(tuned(2_000_000, 500_000, Tuning { resend, interval_ms: 100, ..FAST }), arq(None));
        (0..200).for_each(|_| line.ends[0].send(&full()).unwrap());
        let mut lost = false;
        line.run(1_500, |side, datagram| {
            let first = side == 0 && !lost && pushes(datagram).contains(&100);
            lost |= first;
            !first
        });
        let of_lost: Vec<u64> = line.sent.iter().filter(|(_, sn)| *sn == 100).map(|(at, _)| *at).collect();
        assert_eq!(line.read, 200 * full().len());
        of_lost[1] - of_lost[0]
    };
    let (early, by_timeout) = (again_after(2), again_after(0));
    assert!(early < 140_000, "{early} us: a round trip of 110 ms and its eighth");
    assert!(by_timeout > 180_000, "{by_timeout} us: the timeout, a round trip and the interval");
}

// CC-18
#[test]
fn without_nc_the_congestion_window_is_a_further_bound() {
    let in_first_trips = |nc| {
        let mut line = Line::new(tuned(10_000_000, 1_000_000, Tuning { nc, ..FAST }), arq(None));
        (0..500).for_each(|_| line.ends[0].send(&full()).unwrap());
        line.run(100, |_, _| true);
        line.sent.len()
    };
    assert_eq!(
        (in_first_trips(true), in_first_trips(false)),
        (32, 1),
        "the peer's first window, or one segment"
    );
}

// CC-7
#[test]
fn redundant_acknowledgements_prevent_retransmissions() {
    let again = |repeats: bool| {
        let mut receiver = paced(1_000_000, 100_000);
        receiver.repeat_acks(repeats);
        let mut line = Line::new(paced(1_000_000, 300_000), receiver);
        (0..1_000).for_each(|_| line.ends[0].send(&full()).unwrap());
        let (mut pushed, mut acked) = (0, 0);
        line.run(3_000, |side, _| {
            let count = if side == 0 { &mut pushed } else { &mut acked };
            *count += 1;
            // Segments are lost now and then, so that there always is a gap; of the acknowledgements one datagram in eight.
            *count % if side == 0 { 25 } else { 8 } != 0
        });
        assert_eq!(line.read, 1_000 * full().len());
        line.sent.len() - 1_000
    };
    let (once, twice) = (again(false), again(true));
    assert!(twice < 60 && once > twice + 50, "{once} segments were sent again, {twice} with repetitions");
}

// CC-8
#[test]
fn datagrams_of_small_messages_carry_copies_of_the_ones_before() {
    let mut line = Line::new(paced(1_000_000, 300_000), paced(1_000_000, 300_000));
    for n in 0..20_usize {
        line.ends[0].send(&[n as u8; 60]).unwrap();
        let mut count = 0;
        line.run(20, |side, _| {
            count += usize::from(side == 0);
            // Every fourth one is lost.
            side == 1 || count > 1 || n % 4 != 3
        });
        if n > 8 && n % 4 == 2 {
            // All data was read three steps of 20 ms after a loss, in less than another round trip.
            assert_eq!(line.read, (n - 1) * 60, "after message {n}");
        }
    }
}

/// The loss rate of the path, percent, as known after an echo of small messages of which every tenth datagram is lost in both
/// directions.
fn loss_of_small_messages(receiver: Arq) -> u32 {
    let mut sender = paced(1_000_000, 300_000);
    sender.repeat_acks(true);
    let mut line = Line::new(sender, receiver);
    let mut counts = [0; 2];
    for n in 0..800 {
        line.ends[0].send(&[n as u8; 60]).unwrap();
        line.ends[1].send(&[n as u8; 60]).unwrap();
        line.run(20, |side, _| {
            counts[side] += 1;
            // Not the same ones in both directions, and not in step with the messages.
            (counts[side] * 7 + side * 3 + n / 10) % 10 != 0
        });
        while line.ends[0].take().is_some() {}
    }
    line.ends[0].path().unwrap().tally().loss_ppm() / 10_000
}

// CC-21
#[test]
fn copies_do_not_hide_the_loss_of_datagrams() {
    let mut receiver = paced(1_000_000, 300_000);
    receiver.repeat_acks(true);
    let percent = loss_of_small_messages(receiver);
    assert!((8..=13).contains(&percent), "{percent} %");
}

/// kcp-go's receiver acknowledges a part of what arrives only.
// CC-21
#[test]
fn a_peer_that_leaves_acknowledgements_out_does_not_feign_loss() {
    let percent = loss_of_small_messages(arq(None));
    assert!(percent <= 13, "{percent} %");
}

// CC-8, CC-17
#[test]
fn copies_of_a_message_leave_spread_over_time() {
    let senders = || [paced(1_000_000, 300_000), tuned(1_000_000, 300_000, FAST)];
    for (sender, bytes) in senders().into_iter().zip([60; 2]).chain(senders().into_iter().zip([900; 2])) {
        let mut line = Line::new(sender, arq(None));
        line.ends[0].send(&vec![1; bytes]).unwrap();
        line.run(60, |_, _| true);
        let times = line.times(0);
        let after: Vec<u64> = times.iter().map(|at| (at - times[0]) / 1_000).collect();
        assert_eq!(after, [0, 4, 12], "a twentieth is assumed to be lost: {bytes} bytes");
    }
}

/// The budget of a narrow path with bulk has no room for datagrams of copies alone.
// CC-8
#[test]
fn copies_join_other_data_where_bulk_fills_a_narrow_path() {
    let mut line = Line::new(paced(1_000_000, 300_000), arq(None));
    for n in 0..2_u8 {
        line.ends[0].path().unwrap().note_bulk(line.now, 100_000);
        line.ends[0].send(&[n; 60]).unwrap();
        line.run(40, |_, _| true);
    }
    assert_eq!(line.times(0), [200, 40_200]);
    assert_eq!(line.times(1).len(), 1, "nothing followed");
}

// CC-8
#[test]
fn copies_keep_to_a_share_of_a_path_with_bulk() {
    const BULK_BYTES_S: u64 = 1_000_000;
    let mut line = Line::new(paced(1_000_000, 300_000), arq(None));
    line.ends[0].path().unwrap().add(Tally { delivered: 200, lost: 200, runs: 100 });
    for n in 0..400_u32 {
        line.ends[0].path().unwrap().note_bulk(line.now, BULK_BYTES_S);
        line.ends[0].send(&[n as u8; 120]).unwrap();
        line.run(10, |_, _| true);
    }
    let copies = line.sent.len() as u64 - 400;
    let bytes_s = copies * (120 + OVERHEAD as u64) / 4;
    assert!(bytes_s < BULK_BYTES_S / 64 + 2_000 && bytes_s > 8_000, "{bytes_s} bytes/s of copies");
}

/// The twin of the above.
// CC-8
#[test]
fn bulk_is_not_copied() {
    let mut line = Line::new(paced(1_000_000, 300_000), arq(None));
    for n in 0..200 {
        line.ends[0].send(&full()).unwrap();
        line.run(5, |_, _| true);
        if n == 99 {
            line.sent.clear();
        }
    }
    assert_eq!(line.sent.len(), 100);
}

/// Bursts of losses take all copies that independent losses call for.
// CC-8
#[test]
fn messages_that_were_lost_with_their_copies_add_one() {
    let mut line = Line::new(paced(1_000_000, 300_000), arq(None));
    let mut longest = 0;
    for n in 0..40_u8 {
        line.ends[0].send(&[n; 60]).unwrap();
        let from = line.us();
        line.run(200, |side, _| side == 1 || n % 8 != 3);
        longest = longest.max(line.sent.iter().filter(|(at, sn)| *sn == u32::from(n) && *at > from).count());
    }
    let extra = line.ends[0].path().unwrap().extra_copies();
    assert!((1..=4).contains(&extra) && longest > 3, "{extra} more, {longest} transmissions");
}

// CC-13
#[test]
fn few_segments_wait_without_a_number() {
    let mut arq = paced(1_000_000, 300_000);
    let mut taken = 0;
    while arq.wants_data() {
        arq.send(&full()).unwrap();
        taken += 1;
    }
    assert_eq!(taken, 32);
}

/// The acknowledgement of a segment is lost, and after a long silence una shows that it had arrived: that time is not a round
/// trip, or the next loss would wait for as long.
// CC-5
#[test]
fn a_lost_acknowledgement_is_not_a_round_trip() {
    let mut line = Line::new(paced(1_000_000, 100_000), arq(None));
    line.ends[0].send(&[1; 500]).unwrap();
    line.run(20_000, |side, _| side == 0);
    line.ends[0].send(&[2; 500]).unwrap();
    line.run(1_500, |_, _| true);
    line.ends[0].send(&[3; 500]).unwrap();
    let mut lost = 0;
    line.run(3_000, |side, datagram| {
        let first = side == 0 && lost < 1 && pushes(datagram).contains(&2);
        lost += usize::from(first);
        !first
    });
    assert_eq!((lost, line.read), (1, 1_500));
}
