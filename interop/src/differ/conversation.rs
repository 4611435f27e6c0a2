//! Generated conversations.

use engine::Entropy;
use serde::{Deserialize, Serialize};

/// Most streams of a conversation.
const STREAMS_MAX: u32 = 4;

/// One session: what a client does, step by step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// Seed that generated it.
    pub seed: u64,
    /// Version of smux; version 2 goes without compression.
    pub smux: u8,
    /// The steps.
    pub steps: Vec<Step>,
}

/// A step of the client. Streams are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Opens a stream to a target that does this.
    Open(u32, Target),
    /// Sends bytes.
    Data(u32, u32),
    /// Sends bytes in frames of that many bytes, all in one segment.
    Small(u32, u32),
    /// Sends a frame that is cut in two segments.
    Cut(u32),
    /// Ends the stream.
    End(u32),
    /// Opens an open stream again.
    Again(u32),
    /// Sends something odd.
    Odd(Odd),
}

/// What the target of a stream does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Returns everything, and ends after the end.
    Echo,
    /// Sends that many bytes and ends.
    Send(u32),
    /// Reads to the end, then sends that many bytes and ends.
    After(u32),
}

/// Odd frames and segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Odd {
    /// Data of length 0 on an unknown stream.
    EmptyData,
    /// Data of an unknown stream.
    DataOfUnknown,
    /// The end of an unknown stream.
    EndOfUnknown,
    /// A keepalive with a length field and no payload.
    KeepaliveWithLength,
    /// A keepalive with a number.
    KeepaliveWithNumber,
    /// An update of an unknown stream.
    UpdateOfUnknown,
    /// A frame of version 7.
    BadVersion,
    /// A frame with command 9.
    BadCommand,
    /// A stream with an even number.
    EvenStream,
    /// A chunk of a reserved type (compressed sessions).
    ReservedChunk,
    /// A chunk with a wrong checksum (compressed sessions).
    BadChunk,
    /// A window probe.
    WindowProbe,
    /// A segment that was sent before.
    OldSegment,
    /// A segment far beyond the window.
    FarSegment,
    /// A segment of another conversation.
    OtherConversation,
    /// A segment with command 99.
    BadSegment,
    /// A segment whose length field is too large.
    LongSegment,
    /// A message out of band.
    OutOfBand,
    /// Random bytes, sealed.
    Garbage,
}

impl Odd {
    const ALL: [Self; 19] = [
        Self::EmptyData,
        Self::DataOfUnknown,
        Self::EndOfUnknown,
        Self::KeepaliveWithLength,
        Self::KeepaliveWithNumber,
        Self::UpdateOfUnknown,
        Self::BadVersion,
        Self::BadCommand,
        Self::EvenStream,
        Self::ReservedChunk,
        Self::BadChunk,
        Self::WindowProbe,
        Self::OldSegment,
        Self::FarSegment,
        Self::OtherConversation,
        Self::BadSegment,
        Self::LongSegment,
        Self::OutOfBand,
        Self::Garbage,
    ];
}

impl Conversation {
    /// The conversation of a seed.
    pub fn generate(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut entropy = Entropy::from_seed(bytes);
        let mut pick = |n: u32| entropy.next_u32() % n;
        let smux = 1 + pick(2) as u8;
        let mut steps = Vec::new();
        let mut open: Vec<u32> = Vec::new();
        let mut streams = 0;
        for _ in 0..3 + pick(8) {
            let any = |pick: &mut dyn FnMut(u32) -> u32| open[pick(open.len() as u32) as usize];
            let step = match pick(20) {
                _ if open.is_empty() && streams < STREAMS_MAX => None,
                0..=3 if streams < STREAMS_MAX => None,
                _ if open.is_empty() => continue,
                4..=8 => Some(Step::Data(any(&mut pick), [1, 100, 1_300, 5_000, 40_000][pick(5) as usize])),
                9 => Some(Step::Small(any(&mut pick), 1 + pick(20))),
                10 => Some(Step::Cut(any(&mut pick))),
                11..=13 => Some(Step::End(any(&mut pick))),
                14 => Some(Step::Again(any(&mut pick))),
                _ => Some(Step::Odd(Odd::ALL[pick(Odd::ALL.len() as u32) as usize])),
            };
            let step = step.unwrap_or_else(|| {
                let target = match pick(6) {
                    0..=2 => Target::Echo,
                    3 | 4 => Target::Send([0, 1, 500, 20_000, 100_000][pick(5) as usize]),
                    _ => Target::After([1, 2_000, 60_000][pick(3) as usize]),
                };
                Step::Open(streams, target)
            });
            match step {
                Step::Open(stream, _) => {
                    open.push(stream);
                    streams += 1;
                }
                Step::End(stream) => open.retain(|one| *one != stream),
                _ => {}
            }
            steps.push(step);
        }
        Self { seed, smux, steps }
    }

    /// The target of a stream.
    pub fn target(&self, stream: u32) -> Option<Target> {
        self.steps.iter().find_map(|step| match step {
            Step::Open(one, target) if *one == stream => Some(*target),
            _ => None,
        })
    }

    /// Whether a step occurs.
    pub fn has(&self, step: impl Fn(&Step) -> bool) -> bool {
        self.steps.iter().any(step)
    }

    /// Without the step at a place; with a stream's opening, without the rest of the stream.
    pub(super) fn without(&self, at: usize) -> Self {
        let gone = match self.steps[at] {
            Step::Open(stream, _) => Some(stream),
            _ => None,
        };
        let of_gone = |step: &Step| match step {
            Step::Open(one, _) | Step::Data(one, _) | Step::Small(one, _) | Step::Cut(one) => {
                Some(*one) == gone
            }
            Step::End(one) | Step::Again(one) => Some(*one) == gone,
            Step::Odd(_) => false,
        };
        let kept = self.steps.iter().enumerate().filter(|(place, step)| *place != at && !of_gone(step));
        Self { steps: kept.map(|(_, step)| *step).collect(), ..self.clone() }
    }
}
