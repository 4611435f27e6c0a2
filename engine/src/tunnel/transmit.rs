//! From streams to datagrams.

use super::Tunnel;
use super::rate_limiter::RateLimiter;
use crate::arq::Flush;
use crate::observe::Mark;
use crate::time::Instant;
use std::net::SocketAddr;
use std::num::NonZeroU16;

/// Most datagrams in one run: the limit of the kernel's UDP segmentation offload.
const RUN_DATAGRAMS_MAX: usize = 64;

/// Most bytes in one run: the largest UDP payload.
const RUN_BYTES_MAX: usize = 65_507;

/// A run of sealed datagrams for one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Destination address.
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
        if self.config.governed && !self.is_closed() {
            self.pump_out(now);
            self.collect_events();
        }
        if let Some(probe) = self.poll_path_probe(now, out) {
            return Some(probe);
        }
        let mut credit = self.address_allowance();
        let room = out.len().min(RUN_BYTES_MAX);
        let room = self.outbound.allowance(&self.config, now, &self.arq, room);
        if room == 0 {
            self.reports.stats.marks.hit(Mark::Paced);
            self.await_rate();
            return None;
        }
        let out = &mut out[..room];
        let mut filled = 0;
        let mut segment = 0;
        for count in 0..RUN_DATAGRAMS_MAX {
            let Some(slot) = out.get_mut(filled..filled + self.config.mtu) else { break };
            let next = self.outbound.next_datagram(&self.config, now, &mut self.arq, credit, slot);
            let Some(len) = next else { break };
            credit = credit.saturating_sub(len);
            if count == 0 {
                segment = len;
            } else if len > segment {
                self.outbound.held.extend_from_slice(&slot[..len]);
                self.reports.stats.marks.hit(Mark::HeldDatagram);
                break;
            }
            filled += len;
            if len < segment {
                break;
            }
        }
        if filled == 0 {
            let starves = !self.is_validated() && (self.arq.flushing() || self.arq.may_transmit(now));
            if core::mem::replace(&mut self.starved, starves) && !starves {
                // Timers passed while they were deferred.
                self.arq.handle_timeout(now);
                return self.poll_transmit(now, out);
            }
            self.flush.finish(now, &self.arq);
            self.arm_flush(now);
            return None;
        }
        let run = &mut out[..filled];
        self.config.suite.seal_run(&mut self.nonces, run, segment);
        if let Some(limiter) = &mut self.outbound.limiter {
            limiter.spend(filled);
        }
        if self.arq.waitsnd() > 0 {
            self.health.liveness.sent(now, self.arq.state().rto_ms);
        }
        self.reports.stats.out_pkts += filled.div_ceil(segment) as u64;
        self.reports.stats.out_bytes += filled as u64;
        self.paths.sent += filled as u64;
        let several = filled > segment;
        let segment = u16::try_from(segment).ok().and_then(NonZeroU16::new).filter(|_| several);
        Some(Transmit { to: self.peer, len: filled, segment })
    }

    /// Under a controller, what is due waits for the rate limit: its own deadlines would pass again and again.
    fn await_rate(&mut self) {
        let resume_at = self.outbound.limiter.as_ref().and_then(RateLimiter::resume_at);
        if let Some(at) = resume_at.filter(|_| self.config.governed) {
            self.flush.defer_to(at);
        }
    }

    /// Turns stream bytes into segments while the send window has room, and sends them in one flush (KCP-5).
    pub(super) fn pump_out(&mut self, now: Instant) {
        let mut sent = false;
        if !self.may_speak() {
            return;
        }
        while self.arq.wants_data() {
            self.outbound.frame.clear();
            if !self.mux.poll_frame(&mut self.outbound.frame) {
                break;
            }
            self.reports.stats.bytes_sent += self.outbound.queue_frame(&mut self.arq) as u64;
            sent = true;
        }
        if sent {
            self.note_framed(now);
            self.arq.flush(now, Flush::Full);
        }
    }
}
