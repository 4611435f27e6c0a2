//! Captures in readable form: every datagram layer by layer, streams, losses and repairs.
//!
//! A file is read twice: once to determine ciphers and FEC shapes, then packet by packet. Memory is bounded by [`follow`]'s
//! limits, whatever the length of the file.

mod bytes;
mod detect;
mod facts;
mod follow;
mod recording;
mod source;
mod text;
mod way;

pub use facts::{Fec, Flow, Half, InOrder, Rebuilt, Seen, SeenFrame, SeenSegment, Session, Stream, Totals};
pub use source::{Record, Source, SourceError};

use crate::golden::capture::fec::encode;
use crate::golden::capture::pcap::Datagram;
use engine::crypt::{Cipher, MasterKey, Suite};
use engine::fec::{Kind, Shape, kind, seqid};
use follow::Follow;
use serde::Serialize;
use sim::pcapng::{Pcapng, udp_headers};
use sim::record::Recording;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

/// Names of the interfaces of a written capture: who sent the packet.
const INTERFACES: [&str; 2] = ["client", "server"];

/// Why a capture was not decoded to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It cannot be opened.
    #[error("{file}: {error}")]
    Open {
        /// The file.
        file: String,
        /// The cause.
        error: io::Error,
    },
    /// It is damaged; everything before was shown.
    #[error("{file}: {error}")]
    Damaged {
        /// The file.
        file: String,
        /// Place and defect.
        error: SourceError,
    },
    /// Output cannot be written.
    #[error("writing: {0}")]
    Write(#[from] io::Error),
}

/// What to decode, and into what.
#[derive(Debug, Clone, Default)]
pub struct Decode {
    /// The key, as on the command line of kcptun.
    pub key: Vec<u8>,
    /// The cipher; all are tried without one.
    pub cipher: Option<Cipher>,
    /// JSON lines instead of text.
    pub json: bool,
    /// Leave out the datagrams: only flows, sessions and streams.
    pub summary: bool,
}

/// The outputs of a decoding besides its text.
pub struct Outputs<'o> {
    /// Receives text or JSON lines.
    pub text: &'o mut dyn Write,
    /// Receives a capture with decrypted payloads and comments.
    pub pcapng: Option<&'o mut dyn Write>,
    /// Receives a recording for the page of the simulator.
    pub recording: Option<&'o mut Recording>,
}

/// Numbers of a decoding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Packets in the file.
    pub packets: u64,
    /// UDP datagrams and datagrams of forged TCP among them.
    pub datagrams: u64,
    /// Datagrams that opened.
    pub opened: u64,
    /// Packets that are neither.
    pub other: u64,
    /// Datagrams between addresses beyond the bound.
    pub beyond: u64,
}

/// A line of the JSON form, besides datagrams.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line<'l> {
    Datagram(&'l Seen),
    Flow(&'l Flow),
    Session(&'l Session),
    Stream(&'l Stream),
    End { totals: Done, streams_left_out: u64, error: Option<String> },
}

impl Decode {
    /// Decodes a capture file.
    ///
    /// # Errors
    /// [`DecodeError`]; with [`DecodeError::Damaged`], everything before the defect was written.
    pub fn run(&self, path: &Path, outputs: Outputs<'_>) -> Result<Done, DecodeError> {
        let suites = detect::suites(&MasterKey::derive(&self.key), self.cipher);
        let survey = detect::survey(&mut open(path)?, &suites);
        let mut run = Run {
            decode: self,
            follow: Follow::new(survey, &suites),
            text: outputs.text,
            pcapng: outputs.pcapng.map(|out| Pcapng::new(out, &INTERFACES)).transpose()?,
            pages: outputs.recording.as_ref().map(|_| recording::Pages::default()),
            done: Done::default(),
            start_us: None,
        };
        let defect = run.packets(open(path)?)?;
        run.follow.finish();
        let file = path.display().to_string();
        let error = defect.map(|error| DecodeError::Damaged { file, error });
        run.end(error.as_ref())?;
        if let (Some(recording), Some(pages)) = (outputs.recording, run.pages.take()) {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            *recording = pages.finish(&name.unwrap_or_default(), &run.follow);
        }
        let done = run.done;
        error.map_or(Ok(done), Err)
    }
}

/// Datagrams that two ends exchanged, in words: time, whether the kit sent it, sealed bytes.
pub(crate) fn exchanged<'l>(
    suite: &Suite,
    shape: Option<Shape>,
    [kit, other]: [SocketAddr; 2],
    kit_is_client: bool,
    log: impl Iterator<Item = (Instant, bool, &'l [u8])>,
) -> Vec<String> {
    let (client, server) = if kit_is_client { (kit, other) } else { (other, kit) };
    let found = detect::Found { client, server, cipher: Some(suite.cipher()), shapes: [shape, shape] };
    let mut survey = detect::Survey::default();
    survey.flows.insert((kit.min(other), kit.max(other)), found);
    let suites = [suite.clone()];
    let mut follow = Follow::new(survey, &suites);
    let (mut words, mut first) = (Vec::new(), None);
    for (n, (at, sent, bytes)) in log.enumerate() {
        let t = at.duration_since(*first.get_or_insert(at)).as_micros() as u64;
        let (from, to) = if sent { (kit, other) } else { (other, kit) };
        let datagram = Datagram { frame: n + 1, at_us: t, from, to, tos: 0, bytes };
        words.extend(follow.datagram(n as u64 + 1, t, false, &datagram).as_ref().map(text::datagram));
    }
    words
}

/// Recomputes the parity of every whole group among FEC packets, and checks numbers and sizes; returns the number of parity
/// packets that were compared.
///
/// # Errors
/// The first difference.
pub(crate) fn judge_parity<'p>(packets: impl Iterator<Item = &'p [u8]> + Clone) -> Result<usize, String> {
    let kinds = packets.clone().map(|packet| (seqid(packet), kind(packet) == Some(Kind::Parity)));
    let samples: Vec<(u32, bool)> = kinds.collect();
    if !samples.iter().any(|sample| sample.1) {
        return Ok(0);
    }
    let Some(shape) = detect::shape(&samples) else {
        return Err("numbers and kinds of its FEC packets fit no shape".to_owned());
    };
    let total = shape.total() as u32;
    let mut groups: BTreeMap<u32, BTreeMap<usize, &[u8]>> = BTreeMap::new();
    for packet in packets {
        let seqid = seqid(packet);
        if kind(packet) == Some(Kind::Data) {
            let size = packet.get(6..8).map_or(0, |two| usize::from(u16::from_le_bytes([two[0], two[1]])));
            if size + 6 != packet.len() {
                return Err(format!("data packet {seqid} of {} bytes has size {size}", packet.len()));
            }
        }
        groups.entry(seqid / total).or_default().insert((seqid % total) as usize, packet);
    }
    let mut compared = 0;
    for (number, group) in
        groups.iter().filter(|(_, group)| group.range(..shape.data()).count() == shape.data())
    {
        let data: Vec<Vec<u8>> = group.range(..shape.data()).map(|(_, packet)| packet.to_vec()).collect();
        let parity = encode(shape, &data);
        for (at, packet) in group.range(shape.data()..) {
            if parity.get(at - shape.data()).is_none_or(|own| own.get(4..) != packet.get(4..)) {
                return Err(format!("parity shard {at} of group {number} is not that of its data"));
            }
            compared += 1;
        }
    }
    Ok(compared)
}

fn open(path: &Path) -> Result<Source<BufReader<File>>, DecodeError> {
    let file = path.display().to_string();
    match File::open(path) {
        Ok(input) => Source::open(BufReader::with_capacity(1 << 18, input))
            .map_err(|error| DecodeError::Damaged { file, error }),
        Err(error) => Err(DecodeError::Open { file, error }),
    }
}

/// A second pass.
struct Run<'r, 'o> {
    decode: &'r Decode,
    follow: Follow<'r>,
    text: &'o mut dyn Write,
    pcapng: Option<Pcapng<&'o mut dyn Write>>,
    pages: Option<recording::Pages>,
    done: Done,
    start_us: Option<u64>,
}

impl Run<'_, '_> {
    /// Decodes every packet; returns the defect that ends the file early.
    fn packets(&mut self, mut source: Source<BufReader<File>>) -> io::Result<Option<SourceError>> {
        loop {
            match source.next_record() {
                Ok(Some(record)) => self.packet(record)?,
                Ok(None) => return Ok(None),
                Err(error) => return Ok(Some(error)),
            }
        }
    }

    fn packet(&mut self, record: Record<'_>) -> io::Result<()> {
        self.done.packets += 1;
        let start_us = *self.start_us.get_or_insert(record.at_us);
        let datagram = record.ip.and_then(|ip| Datagram::in_packet(record.number as usize, record.at_us, ip));
        let Some((datagram, ip)) = datagram.zip(record.ip) else {
            self.done.other += 1;
            return Ok(());
        };
        self.done.datagrams += 1;
        let t = record.at_us.saturating_sub(start_us);
        let protocol = if ip[0] >> 4 == 4 { ip.get(9) } else { ip.get(6) };
        let Some(seen) = self.follow.datagram(record.number, t, protocol == Some(&6), &datagram) else {
            self.done.beyond += 1;
            return Ok(());
        };
        self.done.opened += u64::from(seen.cipher.is_some());
        if let Some(pcapng) = &mut self.pcapng {
            let bytes = seen.clear.as_deref().unwrap_or(datagram.bytes);
            let headers = udp_headers(seen.from, seen.to, bytes.len());
            let comment = text::datagram(&seen).lines().map(str::trim).collect::<Vec<_>>().join("; ");
            pcapng.write(seen.dir as u32, record.at_us * 1_000, [&headers, bytes], &comment)?;
        }
        if let Some(pages) = self.pages.as_mut().filter(|_| seen.cipher.is_some()) {
            pages.add(&seen, &self.follow);
        }
        match (self.decode.summary, self.decode.json) {
            (true, _) => Ok(()),
            (false, true) => self.line(&Line::Datagram(&seen)),
            (false, false) => self.text.write_all(text::datagram(&seen).as_bytes()),
        }
    }

    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        serde_json::to_writer(&mut *self.text, line)?;
        self.text.write_all(b"\n")
    }

    /// Flows, sessions, streams and totals.
    fn end(&mut self, error: Option<&DecodeError>) -> io::Result<()> {
        let flows: Vec<Flow> = self.follow.flows().cloned().collect();
        let sessions = self.follow.sessions();
        let streams: Vec<Stream> = self.follow.streams().cloned().collect();
        let (done, left_out) = (self.done, self.follow.unlisted);
        if let Some(pcapng) = &mut self.pcapng {
            pcapng.flush()?;
        }
        if self.decode.json {
            flows.iter().try_for_each(|flow| self.line(&Line::Flow(flow)))?;
            sessions.iter().try_for_each(|session| self.line(&Line::Session(session)))?;
            streams.iter().try_for_each(|stream| self.line(&Line::Stream(stream)))?;
            let error = error.map(ToString::to_string);
            self.line(&Line::End { totals: done, streams_left_out: left_out, error })?;
            return self.text.flush();
        }
        let lines = flows.iter().map(text::flow).chain(sessions.iter().map(text::session));
        lines
            .chain(streams.iter().map(text::stream))
            .try_for_each(|text| self.text.write_all(text.as_bytes()))?;
        let Done { packets, datagrams, opened, other, beyond } = done;
        writeln!(
            self.text,
            "{packets} packets: {datagrams} datagrams, {opened} of which open; {other} others"
        )?;
        if beyond > 0 {
            writeln!(
                self.text,
                "{beyond} datagrams of more than {} address pairs left out",
                detect::FLOWS_MAX
            )?;
        }
        if left_out > 0 {
            writeln!(self.text, "{left_out} streams beyond {} left out", follow::STREAMS_MAX)?;
        }
        self.text.flush()
    }
}
