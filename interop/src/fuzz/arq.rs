//! Two ARQs and a path that a script controls: raw and forged datagrams, sends, reads, flushes, time.

use super::Script;
use engine::arq::{Arq, Flush, Header, OVERHEAD, Source, State, Tuning};
use engine::{Generation, Instant};
use std::collections::VecDeque;

/// Datagrams on the path at most.
const PATH_MAX: usize = 64;
/// Acknowledgements an ARQ keeps at most.
const ACKS_MAX: usize = 1 << 16;

/// First bytes: settings of both ends; then operations.
///
/// Between any two operations the invariants hold, no queue exceeds its window, and what is emitted is well formed.
pub fn kcp_input(data: &[u8]) {
    let mut script = Script::new(data);
    let mut pair = Pair::new(&mut script);
    while !script.is_over() {
        pair.step(&mut script);
        pair.ends.iter().for_each(End::check);
    }
}

struct End {
    arq: Arq,
    rcv_wnd: usize,
    mtu: usize,
    ack_nodelay: bool,
}

struct Flight {
    to: usize,
    bytes: Vec<u8>,
}

struct Pair {
    now: Instant,
    ends: [End; 2],
    path: VecDeque<Flight>,
}

impl Pair {
    fn new(script: &mut Script<'_>) -> Self {
        let start_ms = script.pick(&[0, (1 << 32) - 3000, (1 << 31) - 100]);
        let back = u32::from(script.byte());
        let serial = script.pick(&[0, u32::MAX - back, (1 << 31) - back]);
        let ends = [End::new(script, serial, 0), End::new(script, 0, serial)];
        Self { now: Instant::from_millis(start_ms), ends, path: VecDeque::new() }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let op = script.byte();
        let side = usize::from(op >> 7);
        let now = self.now;
        let end = &mut self.ends[side];
        match op & 15 {
            0 => end.input(now, script.piece(), Source::Regular),
            1 => self.deliver(script, false, Source::Regular),
            2 => self.deliver(script, true, Source::Regular),
            3 => end.send(usize::from(script.short()) % (4 * end.arq.mss())),
            4 => end.arq.flush(now, Flush::Full),
            5 => end.arq.flush(now, Flush::AckOnly),
            6 => end.recv(usize::from(script.short())),
            7 => {
                if let Some(payload) = end.arq.take() {
                    end.arq.recycle(payload);
                }
            }
            8 => self.pass(u64::from(script.byte())),
            9 => self.pass(u64::from(script.byte()) * 256),
            10 => self.transmit(side, usize::from(script.byte())),
            11 => end.arq.update(now),
            12 => end.forged(now, script),
            13 => self.deliver(script, false, Source::Recovered),
            14 => self.transmit(side, usize::MAX),
            _ => {
                while let Some(flight) = self.path.pop_front() {
                    self.ends[flight.to].input(now, &flight.bytes, Source::Regular);
                }
            }
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now = Instant::from_millis(self.now.as_millis() + ms);
    }

    /// Any datagram of the path arrives, as it is or with one byte changed; it may arrive again.
    fn deliver(&mut self, script: &mut Script<'_>, damage: bool, source: Source) {
        let choice = usize::from(script.byte());
        if self.path.is_empty() {
            return;
        }
        let at = choice % self.path.len();
        let mut bytes = self.path[at].bytes.clone();
        let to = self.path[at].to;
        if choice & 64 == 0 {
            self.path.remove(at);
        }
        if damage {
            let at = usize::from(script.byte()) % bytes.len();
            bytes[at] ^= script.byte();
        }
        self.ends[to].input(self.now, &bytes, source);
    }

    fn transmit(&mut self, from: usize, limit: usize) {
        let end = &mut self.ends[from];
        let most = 4 + end.arq.waitsnd() + end.arq.state().acks;
        let mut out = [0; 2048];
        let mut count = 0;
        while count < limit {
            let Some(len) = end.arq.poll_transmit(self.now, &mut out) else { break };
            count += 1;
            assert!(count <= most, "a flush does not end");
            end.check_emitted(&out[..len]);
            self.path.push_back(Flight { to: 1 - from, bytes: out[..len].to_vec() });
        }
        while self.path.len() > PATH_MAX {
            self.path.pop_front();
        }
    }
}

impl End {
    fn new(script: &mut Script<'_>, snd: u32, rcv: u32) -> Self {
        let flags = script.byte();
        let generation = if flags & 1 == 0 { Generation::Go2026 } else { Generation::Go2021 };
        let mut arq = Arq::new(7, generation);
        arq.set_stream(flags & 2 != 0);
        arq.set_tuning(Tuning {
            nodelay: flags & 4 != 0,
            nc: flags & 8 != 0,
            interval_ms: u32::from(script.byte()),
            resend: u32::from(flags >> 5),
        });
        let windows = [script.byte(), script.byte()].map(|byte| 1 + u32::from(byte % 128));
        arq.set_windows(windows[0], windows[1]);
        let mtu = 50 + usize::from(script.byte()) * 6;
        assert!(arq.set_mtu(mtu));
        arq.set_serials(snd, snd, rcv);
        Self { arq, rcv_wnd: windows[1] as usize, mtu, ack_nodelay: flags & 16 != 0 }
    }

    fn send(&mut self, len: usize) {
        if self.arq.waitsnd() < self.arq.snd_wnd() as usize {
            assert_eq!(self.arq.send(&vec![len as u8; len]).is_ok(), len > 0);
        }
    }

    fn recv(&mut self, cap: usize) {
        let wanted = self.arq.peek_size();
        let got = self.arq.recv(&mut vec![0; cap]).ok();
        assert_eq!(got, wanted.filter(|size| *size <= cap));
    }

    fn input(&mut self, now: Instant, datagram: &[u8], source: Source) {
        let before = self.arq.state();
        let _ = self.arq.input(now, datagram, source, self.ack_nodelay);
        let after = self.arq.state();
        if source == Source::Recovered {
            let estimate = |state: &State| (state.rmt_wnd, state.srtt_ms, state.rttvar_ms, state.rto_ms);
            assert_eq!(estimate(&before), estimate(&after), "a rebuilt packet changed an estimate"); // KCP-19
        }
        assert!(after.snd_una.wrapping_sub(before.snd_una) <= before.snd_buf as u32, "una passed nxt");
    }

    /// A datagram of well-formed segments with numbers around the true ones.
    fn forged(&mut self, now: Instant, script: &mut Script<'_>) {
        let state = self.arq.state();
        let mut datagram = Vec::new();
        for _ in 0..=script.byte() % 4 {
            datagram.extend_from_slice(&self.arq.conv().to_le_bytes());
            let cmd = script.byte();
            datagram.extend_from_slice(&[81 + (cmd & 3), script.byte() % 4, script.byte(), cmd >> 7]);
            datagram.extend_from_slice(&script.near(now.ms()).to_le_bytes());
            let own = if cmd & 3 == 1 { state.snd_una } else { state.rcv_nxt };
            datagram.extend_from_slice(&script.near(own).to_le_bytes());
            datagram.extend_from_slice(&script.near(state.snd_una).to_le_bytes());
            let payload = script.piece();
            datagram.extend_from_slice(&(payload.len() as u32).to_le_bytes());
            datagram.extend_from_slice(payload);
        }
        self.input(now, &datagram, Source::Regular);
    }

    fn check(&self) {
        self.arq.assert_invariants();
        let state = self.arq.state();
        let snd_wnd = self.arq.snd_wnd() as usize;
        assert!(state.snd_queue <= snd_wnd + 4, "{} segments queued", state.snd_queue);
        assert!(state.snd_buf <= snd_wnd, "{} segments in flight", state.snd_buf);
        assert!(state.rcv_queue <= self.rcv_wnd, "{} segments to read", state.rcv_queue);
        assert!(state.rcv_buf <= self.rcv_wnd, "{} segments out of order", state.rcv_buf);
        assert!(state.acks <= ACKS_MAX, "{} acknowledgements", state.acks);
    }

    /// Whole segments that fit the mtu and lie in the window.
    fn check_emitted(&self, mut datagram: &[u8]) {
        assert!((OVERHEAD..=self.mtu).contains(&datagram.len()));
        let state = self.arq.state();
        while !datagram.is_empty() {
            let (header, rest) = Header::parse(datagram).expect("a whole header");
            assert_eq!(header.conv, self.arq.conv());
            let command = header.command().expect("a known command");
            if command == engine::arq::Command::Push {
                assert!(
                    header.sn.wrapping_sub(state.snd_una) < state.snd_buf as u32,
                    "sn outside the buffer"
                );
            }
            datagram = rest.get(header.len as usize..).expect("a whole payload");
        }
    }
}
