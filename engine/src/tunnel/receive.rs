//! The way in: datagram to streams.

use super::{DropReason, Handled, Identity, Incoming, Mismatch, Tunnel, liveness};
use crate::arq::{Flush, Source};
use crate::crypt::OpenError;
use crate::event::CloseReason;
use crate::fec::{self, Kind};
use crate::mux::Role;
use crate::observe::{Mark, Note};
use crate::time::{Instant, diff};

/// How far parity may be from the last data packet: more than any run of packets that gets lost, less than an earlier session
/// usually was ahead.
const PARITY_DISTANCE_MAX: u32 = 1024;

impl Tunnel {
    /// Opens a datagram in place and passes it up. Bad ones are counted, never returned as errors.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &mut [u8]) -> Handled {
        match self.receive(now, datagram) {
            Ok(handled) => handled,
            Err(_) => self.drop_datagram(DropReason::ForeignConv),
        }
    }

    /// As [`Self::handle_datagram`], for a server.
    ///
    /// # Errors
    /// The datagram by which the client starts another session at its address: close this tunnel, then accept it.
    pub(crate) fn receive<'d>(
        &mut self,
        now: Instant,
        datagram: &'d mut [u8],
    ) -> Result<Handled, Incoming<'d>> {
        if self.is_closed() {
            return Ok(Handled::Dropped(DropReason::Closed));
        }
        let payload = match self.config.suite.open(datagram) {
            Ok(range) => &datagram[range],
            Err(OpenError::Short) => return Ok(self.drop_datagram(DropReason::Short)),
            Err(_) => return Ok(self.drop_datagram(DropReason::Checksum)),
        };
        let identity = match Identity::of(payload) {
            Ok(identity) => identity,
            Err(reason) => return Ok(self.drop_datagram(reason)),
        };
        if identity.conv().is_some_and(|conv| conv != self.conv()) {
            let first_sn = self.config.first_sn;
            if let Some(conv) = identity.replaces(first_sn).filter(|_| self.role == Role::Server) {
                return Err(Incoming { from: self.peer, conv, first_sn, may_start: true, payload });
            }
            self.stats.marks.hit(Mark::ForeignConv);
            return Ok(self.drop_datagram(DropReason::ForeignConv));
        }
        if identity.kind == Some(Kind::Parity) && !self.parity_is_ours(payload) {
            self.stats.marks.hit(Mark::ForeignParity);
            return Ok(self.drop_datagram(DropReason::ForeignConv));
        }
        Ok(match self.handle_payload(now, payload, identity) {
            Ok(()) => Handled::Used,
            Err(reason) => Handled::Dropped(reason),
        })
    }

    /// Feeds in an opened datagram of this conversation.
    pub(crate) fn handle_payload(
        &mut self,
        now: Instant,
        payload: &[u8],
        identity: Identity,
    ) -> Result<(), DropReason> {
        self.note_pause(now);
        let silent_for = self.liveness.heard(now);
        self.stats.in_pkts += 1;
        self.stats.in_bytes += payload.len() as u64;
        let result = match identity.kind {
            None => self.segments_in(now, payload, Source::Regular),
            Some(Kind::Data) => self.shard_in(now, payload, true),
            Some(_) => self.shard_in(now, payload, false),
        };
        if self.config.probe && self.arq.peer_lost_state() {
            self.shut(CloseReason::PeerRestarted);
        }
        if self.config.probe
            && self.role == Role::Server
            && self.arq.peer_goes_on()
            && self.arq.has_received()
        {
            self.forget(now);
        }
        if silent_for >= liveness::silence(self.arq.state().rto_ms) {
            self.arq.peer_is_back(now);
        }
        if self.config.auto && self.mux.peer_half_closes() {
            self.arq.repeat_acks(true);
        }
        self.settle(now);
        result
    }

    /// KCP-30: the peer has received part of what an earlier session sent, so that nothing it says may be taken for the
    /// beginning. It is confirmed all the same: the next session at its address confirms less, which shows the peer that it
    /// is alone.
    fn forget(&mut self, now: Instant) {
        self.shut(CloseReason::Unknown);
        self.arq.flush(now, Flush::AckOnly);
    }

    /// FEC-21: parity does not say whose it is. That of an earlier session at the peer's address would wait in the decoder until
    /// this one uses the same numbers, and spoil what is rebuilt then. The conversation id does not show it: points 0 to 7
    /// and 8 to 15 of the field are cosets, so what is constant in both sessions is rebuilt as if nothing were wrong.
    fn parity_is_ours(&self, packet: &[u8]) -> bool {
        let distance = |last| diff(fec::seqid(packet), last).unsigned_abs();
        self.shard_seqid.is_some_and(|last| distance(last) <= PARITY_DISTANCE_MAX)
    }

    /// Data shards go straight to the ARQ; the decoder only adds what was lost (FEC-8).
    fn shard_in(&mut self, now: Instant, packet: &[u8], data: bool) -> Result<(), DropReason> {
        let mut result = Ok(());
        if data {
            self.shard_seqid = Some(fec::seqid(packet));
            result = self.segments_in(now, &packet[fec::HEADER_LEN..], Source::Regular);
        }
        let generation = self.config.generation;
        let mut decoder = self.fec_in.take().unwrap_or_else(|| fec::Decoder::new(None, generation));
        decoder.decode(now.as_millis(), packet);
        let kind = if data { Kind::Data } else { Kind::Parity };
        self.fec_proof.note(decoder.shape(), fec::seqid(packet), kind);
        if self.fec_proof.holds() || !self.config.prove_groups || planted!(self.config, UnprovenShape) {
            self.note_rebuilt(&decoder, packet);
            while let Some(segments) = decoder.poll_recovered() {
                self.stats.marks.hit(Mark::FecRecovery);
                // A wrongly rebuilt shard is counted like any other malformed datagram.
                let _ = self.segments_in(now, segments, Source::Recovered);
            }
        } else if decoder.poll_recovered().is_some() {
            // FEC-22: it may be garbage that looks right.
            self.stats.marks.hit(Mark::FecUnproven);
        }
        self.fec_in = Some(decoder);
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

    fn segments_in(&mut self, now: Instant, segments: &[u8], source: Source) -> Result<(), DropReason> {
        self.arq.input(now, segments, source, self.config.ack_nodelay).map_err(|_| {
            self.stats.kcp_in_errors += 1;
            DropReason::Malformed
        })
    }

    /// Moves received bytes up while the multiplexer takes them; what it does not take closes the receive window.
    pub(super) fn pump_in(&mut self) {
        while self.closed.is_none() && !self.input_held && self.mux.input_ready() {
            match self.feed_mux() {
                Ok(true) => continue,
                Ok(false) => {}
                Err(reason) => return self.shut_mismatched(reason),
            }
            let Some(segment) = self.arq.take() else { return };
            remember_first(&mut self.first_raw, self.stats.bytes_received, &segment);
            self.stats.bytes_received += segment.len() as u64;
            if let Some(decoder) = &mut self.snappy_in {
                let pushed = decoder.push(&segment);
                self.arq.recycle(segment);
                if pushed.is_err() {
                    return self.shut_mismatched(CloseReason::Corrupt);
                }
            } else {
                self.arq.recycle(std::mem::replace(&mut self.plain, segment));
                self.plain_at = 0;
            }
        }
    }

    /// Gives the multiplexer what is decoded; `false` when there is nothing.
    fn feed_mux(&mut self) -> Result<bool, CloseReason> {
        let bytes = match &self.snappy_in {
            Some(decoder) => decoder.decoded(),
            None => &self.plain[self.plain_at..],
        };
        if bytes.is_empty() {
            return Ok(false);
        }
        if self.first_plain[0] == 0 {
            remember_first(&mut self.first_plain, 0, bytes);
        }
        let taken = self.mux.input(bytes).map_err(|_| CloseReason::Protocol)?;
        debug_assert!(
            taken > 0 || !self.mux.input_ready(),
            "the multiplexer took nothing though it was ready"
        );
        match &mut self.snappy_in {
            Some(decoder) => decoder.consume(taken),
            None => self.plain_at += taken,
        }
        Ok(true)
    }

    fn shut_mismatched(&mut self, reason: CloseReason) {
        let version = self.config.mux.version;
        self.mismatch = Mismatch::find(self.config.compress, version, &self.first_raw, &self.first_plain);
        self.shut(reason);
    }

    fn drop_datagram(&mut self, reason: DropReason) -> Handled {
        match reason {
            DropReason::Checksum => self.stats.in_csum_errors += 1,
            DropReason::OutOfBand => self.stats.oob_packets += 1,
            DropReason::Short => self.stats.in_errs += 1,
            _ => self.stats.kcp_in_errors += 1,
        }
        Handled::Dropped(reason)
    }
}

/// Copies what of `bytes`, which start at `offset` of the stream, belongs to its first bytes.
fn remember_first(first: &mut [u8; 4], offset: u64, bytes: &[u8]) {
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    for (slot, byte) in first.iter_mut().skip(offset).zip(bytes) {
        *slot = *byte;
    }
}
