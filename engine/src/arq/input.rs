//! Incoming datagrams: acknowledgements, data, window announcements (KCP-16 to KCP-20).

use super::Arq;
use super::progress::Progress;
use super::rtt::RTO_MAX_MS;
use super::segment::{Command, Header, OVERHEAD};
use super::sender::Sender;
use crate::observe::{Mark, Note};
use crate::time::{Instant, diff};

/// Where a KCP datagram came from. Only one that crossed the path just now gives samples of RTT and windows (KCP-19).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Received from the path.
    Regular,
    /// Rebuilt from FEC parity.
    Recovered,
}

/// Why a datagram was refused; segments before the bad one keep their effect (KCP-20).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// Shorter than one header, or of another conversation.
    #[error("short datagram or foreign conversation")]
    Conv,
    /// A segment's length runs past the end.
    #[error("truncated segment")]
    Truncated,
    /// Unknown command byte.
    #[error("unknown command")]
    Command,
    /// It acknowledges what was never sent (KCP-32).
    #[error("acknowledges what was never sent")]
    NeverSent,
}

impl Arq {
    /// Takes a datagram of KCP segments and starts the flush it calls for.
    ///
    /// # Errors
    /// The first malformed segment; see [`InputError`].
    pub fn input(
        &mut self,
        now: Instant,
        mut datagram: &[u8],
        source: Source,
        ack_nodelay: bool,
    ) -> Result<(), InputError> {
        if datagram.len() < OVERHEAD {
            return Err(InputError::Conv);
        }
        let mut progress = Progress { ack_nodelay, ..Progress::default() };
        while let Some((header, rest)) = Header::parse(datagram) {
            if header.conv != self.core.params.conv {
                return Err(InputError::Conv);
            }
            let Some((payload, rest)) = rest.split_at_checked(header.len as usize) else {
                return Err(InputError::Truncated);
            };
            let Some(command) = header.command() else { return Err(InputError::Command) };
            let header = self.on_own_clock(header, command);
            let confirms = !self.confirms_unsent(&header, command);
            if source == Source::Regular && confirms && self.answers_probe(&header, command, now) {
                self.una_in(header.una, now, &mut progress);
                datagram = rest;
                continue;
            }
            if !confirms && self.has_received() {
                return Err(InputError::NeverSent);
            }
            self.segment_in(&header, command, payload, confirms, source, now, &mut progress);
            datagram = rest;
        }
        self.core.observed.counters.in_segs += progress.segments;
        self.distrust_pause(now, &progress);
        self.sample_rtt(now, source, &mut progress);
        self.sender.after_input(&mut self.core, now, &progress);
        self.check_invariants();
        Ok(())
    }

    /// An acknowledgement echoes this end's clock, which is sent with an offset.
    #[inline]
    fn on_own_clock(&self, header: Header, command: Command) -> Header {
        match command {
            Command::Ack => Header { ts: header.ts.wrapping_sub(self.core.validation.offset_ms), ..header },
            _ => header,
        }
    }

    /// KCP-34: notes what an acknowledgement proves. `true` for the answer to a path probe, which is no other acknowledgement.
    #[inline]
    fn answers_probe(&mut self, header: &Header, command: Command, now: Instant) -> bool {
        command == Command::Ack && self.core.validation.acknowledged(header.sn, header.ts, now.ms())
    }

    /// KCP-32: whether the segment acknowledges what was never sent, if that is refused.
    #[inline]
    fn confirms_unsent(&self, header: &Header, command: Command) -> bool {
        if !self.core.params.distrusts_peer {
            return false;
        }
        let mut end = self.sender.sent_end(&self.core);
        if self.core.validation.probed_unsent(end) {
            end = end.wrapping_add(1);
        }
        diff(header.una, end) > 0 || (command == Command::Ack && diff(header.sn, end) >= 0)
    }

    /// `confirms` unless the acknowledgements of the segment are to be ignored.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "the one loop body of `input`")]
    fn segment_in(
        &mut self,
        header: &Header,
        command: Command,
        payload: &[u8],
        confirms: bool,
        source: Source,
        now: Instant,
        progress: &mut Progress,
    ) {
        let core = &mut self.core;
        if source == Source::Regular {
            // KCP-45
            if !core.params.distrusts_peer || diff(header.una, core.outgoing.una) >= 0 {
                core.window.segments = u32::from(header.wnd);
            }
            core.peer.read(header, command, &core.outgoing, core.receiver.nxt);
        }
        if confirms {
            self.una_in(header.una, now, progress);
        }
        progress.segments += 1;
        match command {
            Command::Ack if !confirms => {}
            Command::Ack => {
                if let Sender::Paced(paced) = &mut self.sender {
                    paced.echoed(header.sn, header.ts);
                }
                self.ack_in(header.sn, header.ts, now, progress);
                progress.sample_ts = Some(header.ts);
            }
            Command::Push => self.push_in(header, payload, source),
            Command::Wask => self.core.window.tell = true,
            Command::Wins => {
                let answers = &mut self.core.observed.window_answers;
                *answers = answers.wrapping_add(u32::from(source == Source::Regular));
            }
        }
    }

    /// KCP-18: una alone moves the window.
    #[inline]
    fn una_in(&mut self, una: u32, now: Instant, progress: &mut Progress) {
        let Self { core, sender, .. } = self;
        let before = core.outgoing.una;
        while diff(una, core.outgoing.una) > 0 {
            let sn = core.outgoing.una;
            let Some(segment) = core.outgoing.pop() else { break };
            if !segment.acked {
                progress.confirmed += 1;
                core.observed.note_delivered(segment.data.len());
                core.observed.notes.add(Note::Acked { sn, by_una: true });
            }
            sender.una_passed(now);
            core.pool.recycle(segment.data);
        }
        if core.outgoing.una != before {
            progress.una_moved = true;
            core.peer.una_moved(now.ms(), core.outgoing.nxt);
        }
    }

    /// KCP-17: marks the segment as acknowledged and counts this against older ones.
    #[inline]
    fn ack_in(&mut self, sn: u32, ts: u32, now: Instant, progress: &mut Progress) {
        let Self { core, sender, .. } = self;
        let Some(index) = core.outgoing.index_of(sn) else { return };
        if let Some(segment) = core.outgoing.segments.get_mut(index) {
            if !std::mem::replace(&mut segment.acked, true) {
                segment.acked_ms = now.ms();
                progress.confirmed += 1;
                core.observed.note_delivered(segment.data.len());
                core.observed.notes.add(Note::Acked { sn, by_una: false });
            }
            core.pool.recycle(std::mem::take(&mut segment.data));
        }
        progress.fast_retransmit |= sender.acknowledged(core, index, ts, now);
    }

    #[inline]
    fn push_in(&mut self, header: &Header, payload: &[u8], source: Source) {
        let core = &mut self.core;
        if source == Source::Regular
            && core.params.distrusts_peer
            && core.peer.is_on_another_clock(header.sn, header.ts)
        {
            return;
        }
        let new = core.receiver.push(header, payload, &mut core.pool, &mut core.observed);
        if source == Source::Regular {
            core.peer.compare(header.sn, payload);
        }
        core.observed.notes.add(Note::Received { sn: header.sn, new, rebuilt: source == Source::Recovered });
        if let Sender::Paced(paced) = &mut self.sender {
            paced.received(new);
        }
        if !new && source == Source::Regular {
            core.observed.counters.repeat_segs += 1;
        }
    }

    /// KCP-46: what was sent before the end of a pause is acknowledged late, which says nothing about the path of now.
    #[inline]
    fn distrust_pause(&mut self, now: Instant, progress: &Progress) {
        let Self { core, sender: Sender::Kcp(kcp), .. } = self else { return };
        if progress.confirmed > 0 && kcp.ends_pause(now.ms()) {
            core.rtt.trust_from_ms = Some(now.ms());
        }
    }

    /// KCP-19: one sample per datagram, of its last acknowledgement.
    #[inline]
    fn sample_rtt(&mut self, now: Instant, source: Source, progress: &mut Progress) {
        let (Some(ts), Source::Regular) = (progress.sample_ts, source) else { return };
        let rtt_ms = diff(now.ms(), ts);
        let core = &mut self.core;
        // KCP-44
        if core.params.distrusts_peer && progress.confirmed == 0 {
            return;
        }
        if rtt_ms >= 0 && core.rtt.trusts(ts) {
            progress.rtt_ms = Some(rtt_ms as u32);
            core.rtt.sample(rtt_ms, core.params.tuning.interval_ms);
            let observed = &mut core.observed;
            observed.round_trips.add(rtt_ms as u64 * 1000);
            observed.notes.add(Note::Rtt { ms: rtt_ms as u32 });
            observed.marks.hit_if(Mark::MsWrap, now.ms() < ts);
            observed.marks.hit_if(Mark::RtoCeiling, core.rtt.rto_ms == RTO_MAX_MS);
        }
    }
}
