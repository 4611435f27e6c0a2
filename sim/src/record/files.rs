//! Writes recordings to files.

use super::{Captured, Event, EventKind, Header, Recorder};
use crate::outcome::Outcome;
use crate::pcapng::{Pcapng, udp_headers};
use engine::Instant;
use serde::Serialize;
use std::io::{self, Write};

/// Names of the capture interfaces, by interface number.
const INTERFACES: [&str; 2] = ["client", "server"];

/// The files of one recording; each is optional.
#[derive(Debug)]
pub struct Files<W: Write> {
    events: Option<W>,
    wire: Option<Pcapng<W>>,
    clear: Option<Pcapng<W>>,
}

impl<W: Write> Files<W> {
    /// Starts the files: `events` receives JSON lines, `wire` and `clear` captures of the sealed datagrams and of their
    /// decrypted contents.
    ///
    /// # Errors
    /// One of them cannot be written.
    pub fn begin(
        header: &Header,
        mut events: Option<W>,
        wire: Option<W>,
        clear: Option<W>,
    ) -> io::Result<Self> {
        if let Some(out) = &mut events {
            line(out, header)?;
        }
        let capture = |out: Option<W>| out.map(|out| Pcapng::new(out, &INTERFACES)).transpose();
        Ok(Self { events, wire: capture(wire)?, clear: capture(clear)? })
    }

    /// Whether a capture is written, which needs the datagrams themselves.
    pub const fn captures(&self) -> bool {
        self.wire.is_some() || self.clear.is_some()
    }

    /// Writes the events and datagrams recorded since the last call.
    ///
    /// # Errors
    /// One of the files cannot be written.
    pub fn take(&mut self, recorder: &mut Recorder) -> io::Result<()> {
        for event in recorder.take_events() {
            self.events.as_mut().map_or(Ok(()), |out| line(out, &event))?;
        }
        for captured in recorder.take_captured() {
            self.capture(&captured)?;
        }
        Ok(())
    }

    /// Ends the files with the outcome of the run, which ended at `now`.
    ///
    /// # Errors
    /// One of them cannot be written.
    pub fn end(mut self, now: Instant, outcome: &Outcome) -> io::Result<()> {
        if let Some(out) = &mut self.events {
            let run = Box::new(outcome.clone());
            line(out, &Event { t: now.as_micros(), kind: EventKind::Outcome { run } })?;
            out.flush()?;
        }
        [self.wire, self.clear].into_iter().flatten().try_for_each(|mut capture| capture.flush())
    }

    fn capture(&mut self, captured: &Captured) -> io::Result<()> {
        let Captured { at, side, addresses, bytes, clear, comment } = captured;
        let at_ns = at.as_micros() * 1_000;
        let interface = *side as u32;
        let headers = |len| addresses.map_or_else(Vec::new, |(from, to)| udp_headers(from, to, len));
        if let Some(wire) = &mut self.wire {
            wire.write(interface, at_ns, [&headers(bytes.len()), bytes], comment)?;
        }
        if let Some((out, clear)) = self.clear.as_mut().zip(clear.as_ref()) {
            out.write(interface, at_ns, [&headers(clear.len()), clear], comment)?;
        }
        Ok(())
    }
}

fn line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}
