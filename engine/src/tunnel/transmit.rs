//! The way out: streams to datagrams.

use super::Tunnel;
use crate::arq::{Arq, Flush};
use crate::fec;
use crate::observe::Mark;
use crate::time::Instant;
use std::net::SocketAddr;
use std::num::NonZeroU16;

/// Datagrams in one run at most: what the kernel's UDP segmentation offload takes.
const RUN_DATAGRAMS_MAX: usize = 64;

/// Bytes in one run at most: the largest UDP payload.
const RUN_BYTES_MAX: usize = 65_507;

/// A run of sealed datagrams for one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// Bytes written to the caller's buffer.
    pub len: usize,
    /// Set when `len` holds several datagrams of this size, the last one possibly shorter.
    pub segment: Option<NonZeroU16>,
}

impl Tunnel {
    /// Writes the next datagrams, sealed, into `out`, which must hold at least one mtu. With more room, datagrams of equal
    /// size follow each other, ready for segmentation offload; a shorter one ends the run.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut [u8]) -> Option<Transmit> {
        assert!(out.len() >= self.config.mtu, "poll_transmit needs room for one mtu");
        if self.config.auto && !self.is_closed() {
            self.pump_out(now);
            self.collect_events();
        }
        let mut room = out.len().min(RUN_BYTES_MAX);
        if let Some(pacer) =
            self.pacer.as_mut().filter(|_| pending(&self.arq, now, &self.held, &self.fec_out))
        {
            room = room.min(pacer.allowance(now, self.config.mtu));
            if room == 0 {
                self.stats.marks.hit(Mark::Paced);
                return None;
            }
        }
        let out = &mut out[..room];
        let mut filled = 0;
        let mut segment = 0;
        for count in 0..RUN_DATAGRAMS_MAX {
            let Some(slot) = out.get_mut(filled..filled + self.config.mtu) else { break };
            let Some(len) = self.next_datagram(now, slot) else { break };
            if count == 0 {
                segment = len;
            } else if len > segment {
                self.held.extend_from_slice(&slot[..len]);
                self.stats.marks.hit(Mark::HeldDatagram);
                break;
            }
            filled += len;
            if len < segment {
                break;
            }
        }
        if filled == 0 {
            self.flush_finished(now);
            return None;
        }
        let run = &mut out[..filled];
        self.config.suite.seal_run(&mut self.entropy, run, segment);
        if let Some(pacer) = &mut self.pacer {
            pacer.spend(filled);
        }
        if self.arq.waitsnd() > 0 {
            self.liveness.sent(now, self.arq.state().rto_ms);
        }
        self.stats.out_pkts += filled.div_ceil(segment) as u64;
        self.stats.out_bytes += filled as u64;
        let several = filled > segment;
        let segment = u16::try_from(segment).ok().and_then(NonZeroU16::new).filter(|_| several);
        Some(Transmit { to: self.peer, len: filled, segment })
    }

    /// One datagram with empty crypt header: what the previous run had no place for, then parity, then the ARQ.
    fn next_datagram(&mut self, now: Instant, slot: &mut [u8]) -> Option<usize> {
        if !self.held.is_empty() {
            let len = self.held.len();
            slot[..len].copy_from_slice(&self.held);
            self.held.clear();
            return Some(len);
        }
        let head = self.config.suite.head_len();
        let tail = self.config.suite.tail_len();
        let Some(encoder) = &mut self.fec_out else {
            return self.arq.poll_transmit(now, &mut slot[head..]).map(|len| head + len + tail);
        };
        if let Some(len) = encoder.poll_parity(&mut slot[head..]) {
            return Some(head + len + tail);
        }
        let len = self.arq.poll_transmit(now, &mut slot[head + fec::HEADER_LEN..])?;
        let packet_len = fec::HEADER_LEN + len;
        encoder.encode(now.as_millis(), &mut slot[head..head + packet_len]);
        Some(head + packet_len + tail)
    }

    /// KCP-12: the periodic flush repeats after the time its end asks for.
    fn flush_finished(&mut self, now: Instant) {
        if self.flush_periodic {
            self.flush_periodic = false;
            self.flush_at = now.ms_boundary_after(self.arq.flush_next_ms());
        }
        self.arm_flush(now);
    }

    /// Turns stream bytes into segments while the send window has room, and sends them in one flush (KCP-5).
    pub(super) fn pump_out(&mut self, now: Instant) {
        let mut sent = false;
        while self.arq.wants_data() {
            self.frame.clear();
            if !self.mux.poll_frame(&mut self.frame) {
                break;
            }
            let bytes = match &mut self.snappy_out {
                Some(encoder) => {
                    self.chunk.clear();
                    encoder.encode(&self.frame, &mut self.chunk);
                    &self.chunk
                }
                None => &self.frame,
            };
            self.stats.bytes_sent += bytes.len() as u64;
            for piece in bytes.chunks(self.arq.mss()) {
                let queued = self.arq.send(piece);
                debug_assert!(queued.is_ok(), "a non-empty piece of at most one mss is always taken");
            }
            sent = true;
        }
        if sent {
            self.note_framed(now);
            self.arq.flush(now, Flush::Full);
        }
    }
}

/// Whether a datagram may be waiting to be written.
fn pending(arq: &Arq, now: Instant, held: &[u8], encoder: &Option<fec::Encoder>) -> bool {
    arq.flushing()
        || arq.may_transmit(now)
        || !held.is_empty()
        || encoder.as_ref().is_some_and(|encoder| encoder.parity_pending().is_some())
}
