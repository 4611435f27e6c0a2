//! From datagram to streams.

use super::{DropReason, Handled, Identity, Incoming, MTU_MAX, Tunnel, TunnelConfig, liveness};
use crate::arq::{Flush, InputError, Source};
use crate::crypt::OpenError;
use crate::event::CloseReason;
use crate::fec::{self, Kind};
use crate::mux::Role;
use crate::nonce::Nonces;
use crate::observe::{Mark, Note};
use crate::time::Instant;

impl Tunnel {
    /// Opens a datagram in place and passes it up. Bad ones are counted, never returned as errors.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &mut [u8]) -> Handled {
        match self.receive(now, datagram) {
            Ok(handled) => handled,
            Err(_) => self.drop_foreign(),
        }
    }

    /// As [`Self::handle_datagram`], for a server: a datagram from the peer's address.
    ///
    /// # Errors
    /// The datagram, if it is of another conversation.
    pub(crate) fn receive<'d>(
        &mut self,
        now: Instant,
        datagram: &'d mut [u8],
    ) -> Result<Handled, Incoming<'d>> {
        if self.is_closed() {
            return Ok(Handled::Dropped(DropReason::Closed));
        }
        if let Err(reason) = admit(&self.config, &self.nonces, datagram) {
            return Ok(self.drop_datagram(reason));
        }
        let bytes = datagram.len();
        let payload = match self.config.suite.open(datagram) {
            Ok(range) => &datagram[range],
            Err(OpenError::Short) => return Ok(self.drop_datagram(DropReason::Short)),
            Err(_) => return Ok(self.drop_datagram(DropReason::Checksum)),
        };
        let identity = match Identity::of(payload) {
            Ok(identity) => identity,
            Err(reason) => return Ok(self.drop_datagram(reason)),
        };
        if let Some(conv) = identity.conv().filter(|&conv| conv != self.conv()) {
            let first_sn = self.config.first_sn;
            return Err(Incoming { from: self.peer, conv, first_sn, payload, bytes });
        }
        Ok(self.handle_opened(now, payload, bytes, identity))
    }

    /// Counts a datagram of another conversation.
    pub(crate) fn drop_foreign(&mut self) -> Handled {
        self.reports.stats.marks.hit(Mark::ForeignConv);
        self.drop_datagram(DropReason::ForeignConv)
    }

    /// Passes up an opened datagram of `bytes` from the peer's address, unless it carries parity of another conversation.
    pub(crate) fn handle_opened(
        &mut self,
        now: Instant,
        payload: &[u8],
        bytes: usize,
        identity: Identity,
    ) -> Handled {
        if self.is_closed() {
            return Handled::Dropped(DropReason::Closed);
        }
        if identity.kind == Some(Kind::Parity) && !self.inbound.shards.belongs(payload) {
            self.reports.stats.marks.hit(Mark::ForeignParity);
            return self.drop_datagram(DropReason::ForeignConv);
        }
        let segments = match identity.kind {
            None => Some(payload),
            Some(Kind::Data) => Some(&payload[fec::HEADER_LEN..]),
            Some(_) => None,
        };
        let was_validated = self.is_validated();
        self.heard_at_address(now, bytes, segments);
        let result = self.handle_payload(now, payload, identity);
        self.follow_peer(now);
        if !was_validated {
            self.note_validation(now);
            self.greet(now);
            self.probe_acknowledged(now);
        }
        match result {
            Ok(()) => Handled::Used,
            Err(reason) => Handled::Dropped(reason),
        }
    }

    /// Passes up an opened datagram of this conversation.
    pub(crate) fn handle_payload(
        &mut self,
        now: Instant,
        payload: &[u8],
        identity: Identity,
    ) -> Result<(), DropReason> {
        self.note_pause(now);
        let silent_for = self.health.liveness.heard(now);
        self.health.black_hole.heard(now);
        self.reports.stats.in_pkts += 1;
        self.reports.stats.in_bytes += payload.len() as u64;
        // A server waits for the acknowledgement of its first data, and of its path probes (KCP-34).
        let begins = !self.arq.has_received() || identity.replaces(self.config.first_sn).is_some();
        let prompt = self.role == Role::Client && begins;
        let was_validated = self.is_validated();
        let result = match identity.kind {
            None => self.segments_in(now, payload, Source::Regular, prompt),
            Some(Kind::Data) => self.shard_in(now, payload, true, prompt),
            Some(_) => self.shard_in(now, payload, false, false),
        };
        if self.config.probe && self.arq.peer_lost_state() {
            let rejected = self.on_trial();
            self.reports.close(if rejected { CloseReason::Rejected } else { CloseReason::PeerRestarted });
        }
        if self.config.probe
            && self.role == Role::Server
            && self.arq.peer_goes_on()
            && self.arq.has_received()
        {
            self.forget(now);
        }
        // What a session never sent, its peer cannot have received from it, unless a replay began it (KCP-30).
        if self.config.probe && !was_validated && result == Err(DropReason::NeverSent) {
            self.forget(now);
        }
        if silent_for >= liveness::silence(self.arq.state().rto_ms) {
            self.arq.peer_is_back(now);
        }
        if self.config.governed && self.mux.peer_half_closes() {
            self.arq.repeat_acks(true);
        }
        self.settle(now);
        result
    }

    /// KCP-30: the peer has received part of what an earlier session sent, so that none of its data may be taken for the
    /// beginning of a stream. The data is acknowledged all the same: the next session at its address acknowledges less,
    /// which shows the peer that this side lost its state.
    fn forget(&mut self, now: Instant) {
        self.reports.close(CloseReason::Unknown);
        self.arq.release_acks();
        self.arq.flush(now, Flush::AckOnly);
    }

    /// Data shards go straight to the ARQ; the decoder only adds what was lost (FEC-8).
    fn shard_in(&mut self, now: Instant, packet: &[u8], data: bool, prompt: bool) -> Result<(), DropReason> {
        let mut result = Ok(());
        if data {
            self.inbound.shards.note_data(packet);
            result = self.segments_in(now, &packet[fec::HEADER_LEN..], Source::Regular, prompt);
        }
        let (generation, conv) = (self.config.generation, self.conv());
        let new = || fec::Decoder::new(None, generation).with_conv(conv);
        let mut decoder = self.inbound.shards.decoder.take().unwrap_or_else(new);
        decoder.decode(now.as_millis(), packet);
        let kind = if data { Kind::Data } else { Kind::Parity };
        self.inbound.shards.proof.note(decoder.shape(), fec::seqid(packet), kind);
        if self.inbound.shards.proof.holds()
            || !self.config.prove_groups
            || planted!(self.config, UnprovenShape)
        {
            self.note_rebuilt(&decoder, packet);
            while let Some(segments) = decoder.poll_recovered() {
                self.reports.stats.marks.hit(Mark::FecRecovery);
                // A wrongly rebuilt shard is counted like any other malformed datagram.
                let _ = self.segments_in(now, segments, Source::Recovered, false);
            }
        } else if decoder.poll_recovered().is_some() {
            // FEC-22: it may be garbage that looks right.
            self.reports.stats.marks.hit(Mark::FecUnproven);
        }
        self.inbound.shards.decoder = Some(decoder);
        result
    }

    fn note_rebuilt(&mut self, decoder: &fec::Decoder, packet: &[u8]) {
        if !self.arq.notes().are_kept() {
            return;
        }
        let (rebuilt, parity) = decoder.rebuilt_by(packet);
        parity.for_each(|seqid| self.arq.notes().add(Note::UsedParity { seqid }));
        rebuilt.for_each(|seqid| self.arq.notes().add(Note::Rebuilt { seqid }));
    }

    fn segments_in(
        &mut self,
        now: Instant,
        segments: &[u8],
        source: Source,
        prompt: bool,
    ) -> Result<(), DropReason> {
        self.arq.input(now, segments, source, self.config.ack_nodelay || prompt).map_err(|error| {
            self.reports.stats.kcp_in_errors += 1;
            match error {
                InputError::NeverSent => DropReason::NeverSent,
                _ => DropReason::Malformed,
            }
        })
    }

    /// Moves received bytes up while the multiplexer takes them; what it does not take closes the receive window.
    pub(super) fn pump_in(&mut self) {
        while !self.is_closed() && !self.inbound.held && self.mux.input_ready() {
            if self.recognise() {
                match self.inbound.feed(&mut *self.mux) {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(_) => return self.shut_mismatched(CloseReason::Protocol),
                }
            }
            let Some(segment) = self.arq.take() else { return };
            let offset = self.reports.stats.bytes_received;
            if offset == 0 {
                self.recognise_compression(&segment);
            }
            self.reports.stats.bytes_received += segment.len() as u64;
            if self.inbound.push(offset, segment, &mut self.arq).is_err() {
                return self.shut_mismatched(CloseReason::Corrupt);
            }
        }
    }

    fn shut_mismatched(&mut self, reason: CloseReason) {
        self.inbound.diagnose(&self.config);
        self.reports.close(reason);
    }

    fn drop_datagram(&mut self, reason: DropReason) -> Handled {
        match reason {
            DropReason::Checksum => self.reports.stats.in_csum_errors += 1,
            DropReason::OutOfBand => self.reports.stats.oob_packets += 1,
            DropReason::Short | DropReason::Oversize => self.reports.stats.in_errs += 1,
            DropReason::Reflected => self.reports.stats.reflected += 1,
            _ => self.reports.stats.kcp_in_errors += 1,
        }
        Handled::Dropped(reason)
    }
}

/// Whether a received datagram may be opened (CRYPT-18, CRYPT-19).
///
/// # Errors
/// The reason to drop it.
#[inline]
pub(crate) fn admit(config: &TunnelConfig, nonces: &Nonces, datagram: &[u8]) -> Result<(), DropReason> {
    if datagram.len() > MTU_MAX {
        return Err(DropReason::Oversize);
    }
    if config.suite.is_own(nonces, datagram) {
        return Err(DropReason::Reflected);
    }
    Ok(())
}
