//! Properties of any two ARQs on any path: every byte arrives in order, the invariants hold at every step, and neither
//! wrapping numbers nor blocked sockets cause a retransmission.

use engine::arq::{Arq, Flush, Header, Source, State, Tuning};
use engine::{Entropy, Generation, Instant};
use proptest::prelude::*;

/// Loss and stalls end here, so that the remaining messages must be delivered.
const HEALED_AFTER_MS: u64 = 30_000;
/// Time limit for delivery of all data: window probes of the 2021 generation wait up to two minutes, timeouts up to one.
const LIMIT_MS: u64 = HEALED_AFTER_MS + 900_000;
const STEP_MS: u64 = 5;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(5),
        ..ProptestConfig::default()
    }
}

#[derive(Clone, Debug)]
struct EndPlan {
    generation: Generation,
    tuning: Tuning,
    snd_wnd: u32,
    rcv_wnd: u32,
    mtu: usize,
    ack_nodelay: bool,
    messages: Vec<u16>,
}

#[derive(Clone, Debug)]
struct PathPlan {
    seed: u64,
    delay_ms: u64,
    /// Probabilities, percent.
    loss: u32,
    duplicate: u32,
    reorder: u32,
    stall: u32,
    blocked: u32,
}

#[derive(Clone, Debug)]
struct Plan {
    stream: bool,
    ends: [EndPlan; 2],
    path: PathPlan,
    serials: [u32; 2],
    start_ms: u64,
}

fn generations() -> impl Strategy<Value = Generation> {
    prop_oneof![Just(Generation::Go2026), Just(Generation::Go2021)]
}

fn tunings() -> impl Strategy<Value = Tuning> {
    (any::<bool>(), 0..120u32, 0..4u32, any::<bool>()).prop_map(|(nodelay, interval_ms, resend, nc)| Tuning {
        nodelay,
        interval_ms,
        resend,
        nc,
    })
}

fn ends() -> impl Strategy<Value = EndPlan> {
    let messages = prop::collection::vec(1..1500u16, 0..24);
    (generations(), tunings(), 1..=128u32, 1..=128u32, 50..=1500usize, any::<bool>(), messages).prop_map(
        |(generation, tuning, snd_wnd, rcv_wnd, mtu, ack_nodelay, messages)| EndPlan {
            generation,
            tuning,
            snd_wnd,
            rcv_wnd,
            mtu,
            ack_nodelay,
            messages,
        },
    )
}

fn paths() -> impl Strategy<Value = PathPlan> {
    (any::<u64>(), 0..200u64, 0..40u32, 0..30u32, 0..50u32, 0..60u32, 0..60u32).prop_map(
        |(seed, delay_ms, loss, duplicate, reorder, stall, blocked)| PathPlan {
            seed,
            delay_ms,
            loss,
            duplicate,
            reorder,
            stall,
            blocked,
        },
    )
}

fn plans() -> impl Strategy<Value = Plan> {
    let serial = prop_oneof![Just(0), (0..60u32).prop_map(|back| u32::MAX - back), any::<u32>()];
    let start_ms = prop_oneof![Just(0u64), (0..40_000u64).prop_map(|back| (1 << 32) - back)];
    (any::<bool>(), ends(), ends(), paths(), serial.clone(), serial, start_ms).prop_map(
        |(stream, a, b, path, a_serial, b_serial, start_ms)| Plan {
            stream,
            ends: [a, b],
            path,
            serials: [a_serial, b_serial],
            start_ms,
        },
    )
}

struct End {
    arq: Arq,
    plan: EndPlan,
    /// Messages to be sent.
    outgoing: Vec<Vec<u8>>,
    wanted: Vec<u8>,
    /// Lengths of the messages that must be delivered.
    borders: Vec<usize>,
    got: Vec<u8>,
}

impl End {
    fn new(plan: &Plan, side: usize) -> Self {
        let own = &plan.ends[side];
        let mut arq = Arq::new(11, own.generation);
        arq.set_stream(plan.stream);
        arq.set_tuning(own.tuning);
        arq.set_windows(own.snd_wnd, own.rcv_wnd);
        assert!(arq.set_mtu(own.mtu));
        arq.set_serials(plan.serials[side], plan.serials[side], plan.serials[1 - side]);
        let outgoing = messages(plan, side);
        let incoming = messages(plan, 1 - side);
        let borders = incoming.iter().map(Vec::len).collect();
        Self { arq, plan: own.clone(), outgoing, wanted: incoming.concat(), borders, got: Vec::new() }
    }

    fn check(&self) {
        self.arq.assert_invariants();
        let state = self.arq.state();
        assert!(state.snd_buf <= self.plan.snd_wnd as usize, "{state:?}");
        assert!(state.rcv_queue <= self.plan.rcv_wnd as usize, "{state:?}");
        assert!(state.rcv_buf <= self.plan.rcv_wnd as usize, "{state:?}");
        assert!(self.wanted.starts_with(&self.got), "not the bytes that were sent, or not in order");
        assert!(!self.arq.peer_lost_state(), "a healthy peer is taken for a restarted one"); // KCP-23
    }

    fn send(&mut self) {
        while self.arq.waitsnd() < self.plan.snd_wnd as usize && !self.outgoing.is_empty() {
            self.arq.send(&self.outgoing.remove(0)).unwrap();
        }
    }

    fn read(&mut self, stream: bool) {
        while let Some(size) = self.arq.peek_size() {
            let mut buf = vec![0; size];
            let n = self.arq.recv(&mut buf).unwrap();
            self.got.extend_from_slice(&buf[..n]);
            assert!(stream || n == self.borders.remove(0), "a message changed its length");
        }
    }

    fn done(&self) -> bool {
        self.got.len() == self.wanted.len() && self.outgoing.is_empty() && self.arq.waitsnd() == 0
    }
}

/// A message of more fragments than the peer's window would block the session, as in kcp-go.
fn messages(plan: &Plan, side: usize) -> Vec<Vec<u8>> {
    let own = &plan.ends[side];
    let fragments = plan.ends[1 - side].rcv_wnd.min(100) as usize;
    let longest = (own.mtu - 24) * fragments;
    let mut next = side as u8;
    let lengths = own.messages.iter().map(|len| if own.mtu < 200 { len / 8 + 1 } else { *len });
    lengths
        .map(|len| {
            let bytes = std::iter::repeat_with(|| {
                next = next.wrapping_mul(5).wrapping_add(3);
                next
            });
            bytes.take(usize::from(len).min(longest)).collect()
        })
        .collect()
}

struct Flight {
    at_ms: u64,
    to: usize,
    bytes: Vec<u8>,
}

struct World {
    plan: Plan,
    ends: [End; 2],
    flights: Vec<Flight>,
    entropy: Entropy,
    elapsed_ms: u64,
}

impl World {
    fn new(plan: Plan) -> Self {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&plan.path.seed.to_le_bytes());
        let ends = [End::new(&plan, 0), End::new(&plan, 1)];
        Self { plan, ends, flights: Vec::new(), entropy: Entropy::from_seed(seed), elapsed_ms: 0 }
    }

    /// Faults of a share of `percent`, until the path is healed.
    fn chance(&mut self, percent: u32) -> bool {
        self.elapsed_ms < HEALED_AFTER_MS && self.entropy.next_u32() % 100 < percent
    }

    fn run(&mut self) {
        while !self.ends.iter().all(End::done) {
            assert!(
                self.elapsed_ms < LIMIT_MS,
                "stuck: {:?}",
                self.ends.each_ref().map(|end| end.arq.state())
            );
            self.step();
        }
    }

    fn step(&mut self) {
        let now = Instant::from_millis(self.plan.start_ms + self.elapsed_ms);
        let elapsed_ms = self.elapsed_ms;
        let (due, later) = std::mem::take(&mut self.flights).into_iter().partition(|f| f.at_ms <= elapsed_ms);
        self.flights = later;
        let due: Vec<Flight> = due;
        for flight in due {
            let end = &mut self.ends[flight.to];
            let nodelay = end.plan.ack_nodelay;
            end.arq.input(now, &flight.bytes, Source::Regular, nodelay).unwrap();
            end.check();
        }
        for side in [0, 1] {
            let stalled = self.chance(self.plan.path.stall);
            let end = &mut self.ends[side];
            end.send();
            if !stalled {
                end.read(self.plan.stream);
            }
            end.arq.update(now);
            self.transmit(side, now);
            self.ends[side].check();
        }
        self.elapsed_ms += STEP_MS;
    }

    /// A blocked socket accepts a few datagrams or none; the flush continues in a later step.
    fn transmit(&mut self, side: usize, now: Instant) {
        let room = if self.chance(self.plan.path.blocked) { self.entropy.next_u32() % 3 } else { u32::MAX };
        let mut out = [0; 1500];
        for _ in 0..room {
            let Some(len) = self.ends[side].arq.poll_transmit(now, &mut out) else { return };
            if self.chance(self.plan.path.loss) {
                continue;
            }
            for _ in 0..=u32::from(self.chance(self.plan.path.duplicate)) {
                let extra_ms =
                    if self.chance(self.plan.path.reorder) { self.entropy.next_u64() % 100 } else { 0 };
                let at_ms = self.elapsed_ms + self.plan.path.delay_ms + extra_ms;
                self.flights.push(Flight { at_ms, to: 1 - side, bytes: out[..len].to_vec() });
            }
        }
    }
}

proptest! {
    #![proptest_config(config(1000))]

    // KCP-2, KCP-5, KCP-15, KCP-16, KCP-18, KCP-23
    #[test]
    fn every_byte_arrives_in_order(plan in plans()) {
        World::new(plan).run();
    }
}

/// Datagrams one end emits now, at most `limit`.
fn emitted(arq: &mut Arq, now: Instant, limit: usize) -> Vec<Vec<u8>> {
    let mut out = [0; 1500];
    let next = || arq.poll_transmit(now, &mut out).map(|len| out[..len].to_vec());
    std::iter::from_fn(next).take(limit).collect()
}

fn joined(generation: Generation, serial: u32, mtu: usize) -> [Arq; 2] {
    [(serial, 0), (0, serial)].map(|(snd, rcv)| {
        let mut arq = Arq::new(3, generation);
        arq.set_tuning(Tuning { nodelay: true, interval_ms: 10, resend: 2, nc: true });
        arq.set_windows(128, 128);
        assert!(arq.set_mtu(mtu));
        arq.set_serials(snd, snd, rcv);
        arq
    })
}

proptest! {
    #![proptest_config(config(200))]

    /// On a path without loss and within one millisecond no segment is sent twice, however the flush is interrupted.
    // KCP-6, KCP-11
    #[test]
    fn an_interrupted_flush_neither_loses_nor_repeats_segments(
        generation in generations(),
        serial in prop_oneof![Just(0), (0..50u32).prop_map(|back| u32::MAX - back)],
        mtu in 50..400usize,
        count in 1..120usize,
        batch in 1..6usize,
        ack_nodelay in any::<bool>(),
    ) {
        let now = Instant::from_millis(u64::from(u32::MAX));
        let [mut a, mut b] = joined(generation, serial, mtu);
        let wanted: Vec<Vec<u8>> = (0..count).map(|i| vec![i as u8; 1 + i % 20]).collect();
        let (first, second) = wanted.split_at(count / 2);
        first.iter().for_each(|message| a.send(message).unwrap());
        a.flush(now, Flush::Full);
        let mut rest = Some(second);
        let mut got = Vec::new();
        loop {
            let datagrams = emitted(&mut a, now, batch);
            if let Some(second) = rest.take() {
                second.iter().for_each(|message| a.send(message).unwrap());
                a.flush(now, Flush::Full);
            } else if datagrams.is_empty() {
                break;
            }
            for datagram in datagrams {
                b.input(now, &datagram, Source::Regular, ack_nodelay).unwrap();
            }
            b.flush(now, Flush::AckOnly);
            for acks in emitted(&mut b, now, usize::MAX) {
                a.input(now, &acks, Source::Regular, ack_nodelay).unwrap();
            }
            let mut buf = [0; 64];
            while let Ok(n) = b.recv(&mut buf) {
                got.push(buf[..n].to_vec());
            }
            a.assert_invariants();
            b.assert_invariants();
        }
        prop_assert_eq!(got, wanted);
        prop_assert_eq!(a.waitsnd(), 0);
        let counters = a.counters();
        let again = counters.lost_segs + counters.fast_retrans_segs + counters.early_retrans_segs;
        prop_assert_eq!((again, b.counters().repeat_segs), (0, 0));
    }

    /// The same datagrams, received or rebuilt, deliver the same data; rebuilt ones give no RTT sample.
    // KCP-19
    #[test]
    fn a_rebuilt_datagram_changes_neither_window_nor_rtt(
        generation in generations(),
        count in 1..100usize,
        wnd in any::<u16>(),
        later_ms in 0..5_000u64,
    ) {
        let start = Instant::from_millis(100);
        let [mut a, mut b] = joined(generation, 0, 200);
        let [mut peer, _] = joined(generation, 0, 200);
        for i in 0..count {
            a.send(&[i as u8; 30]).unwrap();
            peer.send(&[i as u8; 30]).unwrap();
        }
        a.flush(start, Flush::Full);
        for datagram in emitted(&mut a, start, usize::MAX) {
            b.input(start, &datagram, Source::Regular, false).unwrap();
        }
        b.send(b"data and acknowledgements").unwrap();
        b.flush(start, Flush::Full);
        let later = Instant::from_millis(100 + later_ms);
        peer.flush(start, Flush::Full);
        emitted(&mut peer, start, usize::MAX);
        let estimate = |state: State| (state.rmt_wnd, state.srtt_ms, state.rttvar_ms, state.rto_ms);
        for mut datagram in emitted(&mut b, start, usize::MAX) {
            datagram[6..8].copy_from_slice(&wnd.to_le_bytes());
            let (header, _) = Header::parse(&datagram).unwrap();
            prop_assert_eq!(header.wnd, wnd);
            let before = estimate(a.state());
            a.input(later, &datagram, Source::Recovered, false).unwrap();
            prop_assert_eq!(estimate(a.state()), before);
            peer.input(later, &datagram, Source::Regular, false).unwrap();
        }
        let (mut rebuilt, mut received) = ([0; 64], [0; 64]);
        prop_assert_eq!(a.recv(&mut rebuilt), peer.recv(&mut received));
        prop_assert_eq!(rebuilt, received);
        prop_assert_eq!(a.state().snd_una, peer.state().snd_una);
        // The twin shows that the same datagrams, received, are samples.
        prop_assert!(peer.state().srtt_ms == later_ms as i32);
    }
}
