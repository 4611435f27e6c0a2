//! The byte stream of one direction: compression, multiplexer, frames.

use super::facts::SeenFrame;
use crate::golden::capture::mux::Frame;
use engine::mux::{Dialect, RECOGNISED_BYTES, Settings};
use engine::snappy::Decoder;
use std::collections::BTreeMap;

/// Beginning of a compressed stream (SNAP-1).
const IDENTIFIER: &[u8; 10] = b"\xff\x06\x00\x00sNaPpY";

/// Bytes of frame headers of all dialects, and of the body of an update.
const HEADER_BYTES_MAX: usize = 16;

/// Maximum number of streams whose offsets are kept.
const OFFSETS_MAX: usize = 16_384;

/// Parser of one direction.
#[derive(Debug)]
pub(super) struct Bytes {
    layer: Layer,
    dialect: Option<(Dialect, u8)>,
    /// Incomplete header of the next frame.
    head: Vec<u8>,
    /// The frame whose payload follows, and what is missing of it.
    current: Option<Current>,
    /// Data bytes by stream.
    sent: BTreeMap<u32, u64>,
    pub(super) frames: BTreeMap<String, u64>,
}

#[derive(Debug)]
struct Current {
    name: String,
    stream: u32,
    left: usize,
    data: bool,
    fin: bool,
}

#[derive(Debug)]
enum Layer {
    /// Too few bytes to see whether they are compressed.
    Start(Vec<u8>),
    Plain,
    Compressed(Box<Decoder>),
    Lost(String),
}

impl Bytes {
    pub(super) const fn new() -> Self {
        Self {
            layer: Layer::Start(Vec::new()),
            dialect: None,
            head: Vec::new(),
            current: None,
            sent: BTreeMap::new(),
            frames: BTreeMap::new(),
        }
    }

    /// Whether the direction is compressed; `None` before it is known.
    pub(super) const fn compressed(&self) -> Option<bool> {
        match self.layer {
            Layer::Compressed(_) => Some(true),
            Layer::Plain => Some(false),
            Layer::Start(_) | Layer::Lost(_) => None,
        }
    }

    pub(super) const fn dialect(&self) -> Option<(Dialect, u8)> {
        self.dialect
    }

    pub(super) fn lost(&self) -> Option<&str> {
        match &self.layer {
            Layer::Lost(why) => Some(why),
            _ => None,
        }
    }

    /// Stops parsing.
    pub(super) fn lose(&mut self, why: String) {
        self.layer = Layer::Lost(why);
    }

    /// Parses the next bytes in order.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<SeenFrame>) {
        let started = match &mut self.layer {
            Layer::Start(start) => {
                start.extend_from_slice(bytes);
                let whole = start.len() >= IDENTIFIER.len() || !IDENTIFIER.starts_with(start);
                if !whole {
                    return;
                }
                Some(std::mem::take(start))
            }
            _ => None,
        };
        if let Some(start) = &started {
            let compressed = start.starts_with(IDENTIFIER);
            self.layer = if compressed { Layer::Compressed(Box::new(Decoder::new())) } else { Layer::Plain };
        }
        let bytes = started.as_deref().unwrap_or(bytes);
        match std::mem::replace(&mut self.layer, Layer::Plain) {
            Layer::Plain => self.parse(bytes, out),
            Layer::Compressed(mut decoder) => {
                let done = decoder.push(bytes);
                self.parse(decoder.decoded(), out);
                decoder.consume(decoder.decoded().len());
                if let Layer::Plain = self.layer {
                    self.layer = match done {
                        Ok(()) => Layer::Compressed(decoder),
                        Err(error) => Layer::Lost(format!("compressed stream: {error}")),
                    };
                }
            }
            lost => self.layer = lost,
        }
    }

    fn parse(&mut self, mut bytes: &[u8], out: &mut Vec<SeenFrame>) {
        while !bytes.is_empty() && self.lost().is_none() {
            if let Some(current) = &mut self.current {
                let n = current.left.min(bytes.len());
                current.left -= n;
                let (stream, data, over) = (current.stream, current.data, current.left == 0);
                let (ended, cmd) = (over && current.fin, current.name.clone());
                if data {
                    let known = self.sent.len() < OFFSETS_MAX || self.sent.contains_key(&stream);
                    let mut fresh = 0;
                    let at = if known { self.sent.entry(stream).or_default() } else { &mut fresh };
                    out.push(SeenFrame { cmd, stream, at: Some(*at), len: n as u64, window: None });
                    *at += n as u64;
                }
                if ended {
                    out.push(SeenFrame { cmd: "FIN".into(), stream, at: None, len: 0, window: None });
                }
                if over {
                    self.current = None;
                }
                bytes = &bytes[n..];
                continue;
            }
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            self.header(out);
        }
    }

    /// Takes a header once it is complete.
    fn header(&mut self, out: &mut Vec<SeenFrame>) {
        let Some((dialect, version)) = self.dialect.or_else(|| recognise(&self.head)) else {
            if self.head.len() >= RECOGNISED_BYTES {
                self.lose(format!("no known multiplexer begins with {}", hex(&self.head)));
            }
            return;
        };
        self.dialect = Some((dialect, version));
        let whole = if dialect == Dialect::Yamux { 12 } else { 8 };
        if self.head.len() < whole {
            return;
        }
        let Some(frame) = Frame::parse(dialect, version, &self.head) else {
            return self.lose(format!("no {} frame: {}", dialect.name(), hex(&self.head)));
        };
        let update = frame.is_report && dialect == Dialect::Smux;
        if update && self.head.len() < HEADER_BYTES_MAX {
            return;
        }
        *self.frames.entry(frame.name.clone()).or_default() += 1;
        let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| self.head[at + i]));
        let window = update.then(|| (word(8), word(12)));
        let field = match dialect {
            Dialect::Yamux => u32::from_be_bytes([8, 9, 10, 11].map(|i| self.head[i])),
            _ => u32::from(u16::from_le_bytes([self.head[2], self.head[3]])),
        };
        self.head.clear();
        let has_payload = frame.carries_data || dialect == Dialect::Smuxb;
        if !frame.carries_data || frame.payload_bytes == 0 {
            let len = if update || frame.carries_data { 0 } else { u64::from(field) };
            out.push(SeenFrame { cmd: frame.name.clone(), stream: frame.id, at: None, len, window });
        }
        if has_payload && frame.payload_bytes > 0 {
            self.current = Some(Current {
                name: frame.name,
                stream: frame.id,
                left: frame.payload_bytes,
                data: frame.carries_data,
                fin: frame.fin && frame.carries_data,
            });
        }
    }
}

fn recognise(head: &[u8]) -> Option<(Dialect, u8)> {
    let first = head.first_chunk::<RECOGNISED_BYTES>()?;
    let mut settings = Settings { dialect: Dialect::Smux, version: 0, ..Settings::default() };
    settings.recognise(*first);
    (settings.dialect != Dialect::Smux || settings.version != 0)
        .then_some((settings.dialect, settings.version))
}

fn hex(bytes: &[u8]) -> String {
    crate::golden::capture::hex(bytes)
}
