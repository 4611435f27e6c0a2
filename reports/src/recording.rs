//! Recordings of the simulator (`karst-sim run --events`), as far as pages show them. The format is documented in
//! `sim::record`; unknown events and keys are skipped, because they are only ever added.

use crate::results::Run;
use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

pub(crate) const FORMAT: &str = "karst-events/1";

/// One recorded run.
pub(crate) struct Recording {
    pub(crate) header: Header,
    pub(crate) events: Vec<Event>,
    /// When its last event happened, microseconds.
    pub(crate) end_us: u64,
    /// What came of it; missing when the recording was cut off.
    pub(crate) outcome: Option<Run>,
}

#[derive(Deserialize)]
pub(crate) struct Header {
    pub(crate) format: String,
    pub(crate) scenario: String,
    pub(crate) description: String,
    pub(crate) seed: u64,
    pub(crate) transport: String,
    pub(crate) client: Value,
    pub(crate) server: Value,
}

#[derive(Deserialize)]
pub(crate) struct Event {
    pub(crate) t: u64,
    #[serde(flatten)]
    pub(crate) what: What,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Side {
    Client,
    Server,
}

/// Also an index: up is 0.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Direction {
    Up,
    Down,
}

impl Side {
    pub(crate) const fn sends(self) -> Direction {
        match self {
            Self::Client => Direction::Up,
            Self::Server => Direction::Down,
        }
    }

    pub(crate) const fn receives(self) -> Direction {
        match self {
            Self::Client => Direction::Down,
            Self::Server => Direction::Up,
        }
    }
}

#[derive(Deserialize)]
#[serde(tag = "e", rename_all = "snake_case")]
pub(crate) enum What {
    Sent {
        n: u64,
        side: Side,
        session: u32,
        bytes: u64,
        #[serde(default)]
        segments: Vec<Segment>,
    },
    Dropped {
        n: u64,
        dir: Direction,
        by: String,
    },
    Queued {
        dir: Direction,
        queue: u64,
    },
    Left {
        dir: Direction,
        queue: u64,
    },
    Rebuilt {
        side: Side,
        seqids: Vec<u32>,
    },
    Got {
        side: Side,
        session: u32,
        #[serde(default)]
        rebuilt: Vec<u32>,
    },
    Acked {
        side: Side,
        session: u32,
        #[serde(default)]
        sns: Vec<u32>,
        #[serde(default)]
        una: Vec<u32>,
    },
    Rtt {
        side: Side,
        ms: u64,
    },
    State(State),
    Opened {
        session: u32,
        stream: u32,
        work: Option<String>,
    },
    Wrote(Span),
    Read(Span),
    Fault {
        kind: String,
        #[serde(default)]
        healed: bool,
    },
    Outcome {
        run: Box<Run>,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
pub(crate) struct Segment {
    pub(crate) cmd: String,
    pub(crate) sn: u32,
    pub(crate) again: Option<Again>,
}

#[derive(Deserialize)]
pub(crate) struct Again {
    pub(crate) cause: Cause,
}

/// Also an index.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    Fast,
    Early,
    Timeout,
}

#[derive(Deserialize)]
pub(crate) struct State {
    pub(crate) side: Side,
    pub(crate) srtt_ms: u64,
    pub(crate) rto_ms: u64,
    pub(crate) cwnd: u64,
    pub(crate) rmt_wnd: u64,
    pub(crate) snd_una: u32,
    pub(crate) snd_nxt: u32,
    pub(crate) snd_queue: u64,
}

#[derive(Deserialize)]
pub(crate) struct Span {
    pub(crate) side: Side,
    pub(crate) session: u32,
    pub(crate) stream: u32,
    pub(crate) at: u64,
    pub(crate) len: u64,
}

impl Recording {
    /// Whether the file's first line says that it is one.
    pub(crate) fn is_one(path: &Path) -> anyhow::Result<bool> {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        let mut first = String::new();
        // What is not text is not a recording.
        let read = BufReader::new(std::io::Read::take(file, 4_096)).read_line(&mut first);
        Ok(read.is_ok() && first.contains("\"karst-events/"))
    }

    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| name.clone())?;
        let mut lines = BufReader::new(file).lines();
        let first = lines.next().transpose().with_context(|| name.clone())?.unwrap_or_default();
        let header: Header = serde_json::from_str(&first).with_context(|| format!("{name}: line 1"))?;
        ensure!(header.format == FORMAT, "{name}: format is `{}`, not `{FORMAT}`", header.format);
        let mut recording = Self { header, events: Vec::new(), end_us: 0, outcome: None };
        for (number, line) in lines.enumerate() {
            let line = line.with_context(|| name.clone())?;
            let event: Event =
                serde_json::from_str(&line).with_context(|| format!("{name}: line {}", number + 2))?;
            recording.end_us = recording.end_us.max(event.t);
            match event.what {
                What::Outcome { run } => recording.outcome = Some(*run),
                What::Other => {}
                _ => recording.events.push(event),
            }
        }
        Ok(recording)
    }
}
