//! Plays a conversation against one server, and notes what can be observed.

use super::conversation::{Conversation, Odd, Step, Target};
use super::programs::Server;
use crate::probe::peer::{Common, FIN, NOP, PSH, Peer, SYN, UPD};
use crate::probe::target::{self, pattern};
use engine::Entropy;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

/// Time for a step whose effect can be observed.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Time once a step had no effect: the session may be over.
const SHORT: Duration = Duration::from_millis(150);

/// What a conversation shows of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Observed {
    /// By stream.
    pub streams: BTreeMap<u32, ObservedStream>,
    /// A new stream works at the end.
    pub alive: bool,
    /// The server's bytes cannot be parsed, or its datagrams do not open.
    pub broken: Option<String>,
}

/// One stream of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ObservedStream {
    /// Bytes from the target.
    pub down: u64,
    /// They are the first bytes that the target sent.
    pub down_right: bool,
    /// The client got the end.
    pub down_ended: bool,
    /// Bytes at the target.
    pub up: u64,
    /// They are the first bytes that the client sent.
    pub up_right: bool,
    /// The target got the end, or a reset.
    pub up_ended: bool,
    /// Connections to the target.
    pub connections: u32,
    /// Updates of version 2 report at most what was sent, and at least that less a stream buffer.
    pub updates_right: bool,
}

/// Plays `conversation`; `attempt` makes its tokens unique.
pub(super) fn play(
    conversation: &Conversation,
    server: &Server,
    targets: &target::Target,
    attempt: &str,
    entropy: &mut Entropy,
) -> io::Result<Observed> {
    let common =
        Common { smux: conversation.smux, compressed: conversation.smux == 1, ..server.common.clone() };
    let conv = entropy.next_u32() | 1;
    let peer = Peer::new(common, server.address(conversation.smux), conv, entropy.fork())?;
    let mut play =
        Play { conversation, server, targets, attempt, peer, sent: BTreeMap::new(), patience: PATIENCE };
    for step in &conversation.steps {
        play.step(*step)?;
    }
    play.observe()
}

struct Play<'p> {
    conversation: &'p Conversation,
    server: &'p Server,
    targets: &'p target::Target,
    attempt: &'p str,
    peer: Peer,
    /// Bytes sent on each stream.
    sent: BTreeMap<u32, Vec<u8>>,
    patience: Duration,
}

const fn id(stream: u32) -> u32 {
    3 + 2 * stream
}

impl Play<'_> {
    fn token(&self, stream: u32) -> String {
        format!("{}-{stream}", self.attempt)
    }

    fn step(&mut self, step: Step) -> io::Result<()> {
        match step {
            Step::Open(stream, target) => self.open(stream, target)?,
            Step::Data(stream, len) => {
                let bytes = self.bytes(stream, len);
                for part in bytes.chunks(8_192) {
                    self.peer.send(&self.peer.frame(PSH, id(stream), part))?;
                }
            }
            Step::Small(stream, len) => {
                let bytes = self.bytes(stream, 10 * len);
                let frames = bytes.chunks(len as usize).map(|part| self.peer.frame(PSH, id(stream), part));
                let frames: Vec<u8> = frames.flatten().collect();
                self.peer.send(&frames)?;
            }
            Step::Cut(stream) => {
                let bytes = self.bytes(stream, 50);
                let frame = self.peer.frame(PSH, id(stream), &bytes);
                self.peer.send(&frame[..5])?;
                self.peer.send(&frame[5..])?;
            }
            Step::End(stream) => {
                let frame = self.peer.frame(FIN, id(stream), &[]);
                self.peer.send(&frame)?;
            }
            Step::Again(stream) => {
                let frame = self.peer.frame(SYN, id(stream), &[]);
                self.peer.send(&frame)?;
            }
            Step::Odd(odd) => {
                self.odd(odd)?;
                return self.peer.run(Duration::from_millis(15));
            }
        }
        self.settle(step)
    }

    fn open(&mut self, stream: u32, target: Target) -> io::Result<()> {
        let token = self.token(stream);
        let line = match target {
            Target::Echo => format!("{token} echo 0\n"),
            Target::Send(n) => format!("{token} send {n}\n"),
            Target::After(n) => format!("{token} after {n}\n"),
        };
        let first = [self.server.head.as_slice(), line.as_bytes()].concat();
        let frames =
            [self.peer.frame(SYN, id(stream), &[]), self.peer.frame(PSH, id(stream), &first)].concat();
        self.sent.insert(stream, Vec::new());
        self.peer.send(&frames)
    }

    /// The next bytes of a stream.
    fn bytes(&mut self, stream: u32, len: u32) -> Vec<u8> {
        let token = format!("{}/up", self.token(stream));
        let sent = self.sent.entry(stream).or_default();
        let all = pattern(&token, sent.len() + len as usize);
        let new = all[sent.len()..].to_vec();
        *sent = all;
        new
    }

    /// Waits for what a step brings about; less once something did not come.
    fn settle(&mut self, step: Step) -> io::Result<()> {
        let (conversation, targets) = (self.conversation, self.targets);
        let stream = match step {
            Step::Open(stream, _) | Step::Data(stream, _) | Step::Small(stream, _) => stream,
            Step::Cut(stream) | Step::End(stream) | Step::Again(stream) => stream,
            Step::Odd(_) => return Ok(()),
        };
        let token = self.token(stream);
        let want = self.sent.get(&stream).map_or(0, Vec::len);
        let ends = matches!(step, Step::End(_));
        let target = conversation.target(stream);
        let done = move |peer: &Peer| {
            let at_target = || {
                let (connections, bytes, over) = targets.progress(&token);
                connections > 0 && bytes >= want && (!ends || over)
            };
            let received = peer.streams.get(&id(stream));
            let (down, ended) =
                received.map_or((0, false), |received| (received.bytes.len(), received.ended));
            match target {
                Some(Target::Echo) => down >= want && (!ends || ended) && (want > 0 || at_target()),
                Some(Target::Send(n)) => down >= n as usize && ended && at_target(),
                Some(Target::After(_)) => at_target() && (!ends || ended),
                None => true,
            }
        };
        if !self.peer.until(self.patience, done)? {
            self.patience = SHORT;
        }
        self.updates()
    }

    /// Grants the window of version 2 as a reader without delay does.
    fn updates(&mut self) -> io::Result<()> {
        if self.conversation.smux != 2 {
            return Ok(());
        }
        let open: Vec<(u32, usize)> =
            self.peer.streams.iter().map(|(stream, received)| (*stream, received.bytes.len())).collect();
        for (stream, len) in open.into_iter().filter(|(_, len)| *len >= 60_000) {
            let update = [(len as u32).to_le_bytes(), (1_u32 << 20).to_le_bytes()].concat();
            self.peer.send(&self.peer.frame(UPD, stream, &update))?;
        }
        Ok(())
    }

    fn odd(&mut self, odd: Odd) -> io::Result<()> {
        let peer = &mut self.peer;
        let version = peer.common.smux;
        let frame = match odd {
            Odd::EmptyData => peer.frame(PSH, 901, &[]),
            Odd::DataOfUnknown => peer.frame(PSH, 903, b"data of an unknown stream"),
            Odd::EndOfUnknown => peer.frame(FIN, 905, &[]),
            Odd::KeepaliveWithLength => peer.raw_frame(version, NOP, 4_000, 0, &[]),
            Odd::KeepaliveWithNumber => peer.frame(NOP, 12_345, &[]),
            Odd::UpdateOfUnknown => peer.frame(UPD, 907, &[0, 0, 0, 0, 0, 0, 1, 0]),
            Odd::BadVersion => peer.raw_frame(7, NOP, 0, 0, &[]),
            Odd::BadCommand => peer.raw_frame(version, 9, 0, 0, &[]),
            Odd::EvenStream => [peer.frame(SYN, 1_000, &[]), peer.frame(FIN, 1_000, &[])].concat(),
            _ => return self.odd_segment(odd),
        };
        peer.send(&frame)
    }

    fn odd_segment(&mut self, odd: Odd) -> io::Result<()> {
        let peer = &mut self.peer;
        let next = peer.next;
        let mut segment = match odd {
            Odd::ReservedChunk if peer.common.compressed => return peer.push(&[0x85, 3, 0, 0, 1, 2, 3]),
            Odd::BadChunk if peer.common.compressed => {
                return peer.push(&[0x01, 8, 0, 0, 9, 9, 9, 9, 1, 2, 3, 4]);
            }
            Odd::WindowProbe => peer.segment(83, 0, &[]),
            Odd::OldSegment => peer.segment(81, next.saturating_sub(1), &peer.last),
            Odd::FarSegment => peer.segment(81, next + 100_000, b"far"),
            Odd::OtherConversation => peer.segment(81, next + 3, b"other"),
            Odd::BadSegment => peer.segment(99, next, b"bad"),
            Odd::LongSegment => peer.segment(81, next, b"long"),
            Odd::OutOfBand => {
                let mut packet = vec![0; 40];
                engine::fec::write_out_of_band_header(&mut packet);
                return peer.seal_and_send(&packet);
            }
            Odd::Garbage => return peer.seal_and_send(&[0xa5; 60]),
            _ => return Ok(()),
        };
        match odd {
            Odd::OtherConversation => segment[0] ^= 0x55,
            Odd::LongSegment => segment[20..24].copy_from_slice(&60_000_u32.to_le_bytes()),
            // Sent before anything else, it would be the first data.
            Odd::OldSegment if next == 0 => return Ok(()),
            _ => {}
        }
        peer.datagram(&segment)
    }

    fn observe(mut self) -> io::Result<Observed> {
        let probe = STREAMS;
        self.open(probe, Target::Echo)?;
        let bytes = self.bytes(probe, 40);
        self.peer.send(&self.peer.frame(PSH, id(probe), &bytes))?;
        let limit = if self.patience == SHORT { SHORT * 4 } else { PATIENCE };
        let alive = self.peer.until(limit, |peer| peer.stream(id(probe)).bytes == bytes)?;
        let opened: Vec<u32> = self.sent.keys().copied().filter(|stream| *stream != probe).collect();
        let streams = opened.into_iter().map(|stream| (stream, self.stream(stream))).collect();
        self.sent.keys().for_each(|stream| self.targets.forget(&self.token(*stream)));
        let unopened = self.peer.unopened;
        let broken = self.peer.broken.clone().or((unopened > 0).then(|| "datagrams do not open".to_owned()));
        Ok(Observed { streams, alive, broken })
    }

    fn stream(&self, stream: u32) -> ObservedStream {
        let token = self.token(stream);
        let (received, seen) = (self.peer.stream(id(stream)), self.targets.seen(&token));
        let sent = &self.sent[&stream];
        let from_target = match self.conversation.target(stream) {
            Some(Target::Send(n) | Target::After(n)) => pattern(&token, n as usize),
            _ => sent.clone(),
        };
        let total = sent.len() as u32 + 128;
        let updates_right =
            received.updates.iter().all(|(consumed, window)| *consumed <= total && *window > 0);
        ObservedStream {
            down: received.bytes.len() as u64,
            down_right: from_target.starts_with(&received.bytes),
            down_ended: received.ended,
            up: seen.bytes.len() as u64,
            up_right: sent.starts_with(&seen.bytes),
            up_ended: seen.ended || seen.reset,
            connections: seen.connections,
            updates_right,
        }
    }
}

/// The stream that is opened at the end.
const STREAMS: u32 = 20;
