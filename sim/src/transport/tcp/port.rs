use super::host::TcpHost;
use super::world::Line;
use crate::Side;
use crate::ids::Stream;
use crate::net::Event;
use crate::outcome::Rule;
use crate::record::Recorder;
use crate::transport::Port;
use engine::Instant;
use engine::mux::{ReadError, WriteError};

/// One side's connections as an application sees them.
pub(super) struct TcpPort<'w> {
    pub(super) now: Instant,
    pub(super) work: usize,
    pub(super) host: &'w mut TcpHost,
    /// The other side, which has to listen before it can be dialled.
    pub(super) peer: &'w mut TcpHost,
    pub(super) line: &'w mut Line,
}

impl TcpPort<'_> {
    fn settle(&mut self) {
        self.line.settle(self.now, self.host);
    }

    /// Tells the recorder, if there is one.
    fn record(&mut self, tell: impl FnOnce(&mut Recorder, Instant, Side)) {
        if let Some(recorder) = &mut self.line.net.recorder {
            tell(recorder, self.now, self.host.side);
        }
    }
}

impl Port for TcpPort<'_> {
    fn now(&self) -> Instant {
        self.now
    }

    fn side(&self) -> Side {
        self.host.side
    }

    fn open(&mut self) -> Option<Stream> {
        if self.host.side == Side::Server {
            return None;
        }
        let stream = self.line.next_stream(self.work);
        if let Err(reason) = self.peer.open(stream).and_then(|()| self.host.open(stream)) {
            self.violate(Rule::Stream, format!("open: {reason}"));
            return None;
        }
        let work = Some(self.work);
        self.record(|recorder, now, side| recorder.opened_stream(now, side, stream, work));
        self.settle();
        Some(stream)
    }

    fn has(&mut self, stream: Stream) -> bool {
        self.host.has(stream)
    }

    fn write(&mut self, stream: Stream, data: &[u8]) -> Result<usize, WriteError> {
        let written = self.host.write(stream, data);
        if let Ok(len) = written {
            self.record(|recorder, now, side| recorder.wrote(now, side, stream, len));
        }
        self.settle();
        written
    }

    fn peek(&mut self, stream: Stream) -> Result<&[u8], ReadError> {
        let side = self.host.side;
        let bytes = self.host.peek(stream)?;
        if let Some(recorder) = self.line.net.recorder.as_mut().filter(|_| bytes.is_empty()) {
            recorder.ended(self.now, side, stream);
        }
        Ok(bytes)
    }

    fn consume(&mut self, stream: Stream, n: usize) {
        self.record(|recorder, now, side| recorder.read(now, side, stream, n));
        self.host.consume(stream, n);
        self.settle();
    }

    fn finish(&mut self, stream: Stream) -> Result<(), WriteError> {
        let finished = self.host.finish(stream);
        if finished.is_ok() {
            self.record(|recorder, now, side| recorder.finished(now, side, stream));
        }
        self.settle();
        finished
    }

    fn close(&mut self, stream: Stream) {
        self.record(|recorder, now, side| recorder.closed(now, side, stream));
        self.host.close(stream);
        self.settle();
    }

    fn wake_at(&mut self, at: Instant, tag: u64) {
        let event = Event::Wake { work: self.work, side: self.host.side, tag };
        self.line.net.schedule.push(at, event);
    }

    fn violate(&mut self, rule: Rule, detail: String) {
        let side = self.host.side;
        self.line.violate(self.now, rule, format!("{side:?}: {detail}"));
    }
}
