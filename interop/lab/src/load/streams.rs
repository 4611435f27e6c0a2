//! All streams of a load, and the port through which an application uses one side of them.

use super::Carrier;
use super::pipe::{End, HEADER_BYTES, Pipe, index};
use engine::Instant;
use engine::mux::{ReadError, WriteError};
use sim::Side;
use sim::ids::Stream;
use sim::outcome::Rule;
use sim::transport::Port;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};
use std::net::{TcpListener, TcpStream};

/// A timer of an application.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wake {
    pub(super) work: usize,
    pub(super) side: Side,
    pub(super) tag: u64,
}

/// The streams, and the timers of the applications.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) pipes: BTreeMap<Stream, Pipe>,
    /// Accepted connections whose header has not arrived.
    unidentified: Vec<(TcpStream, Vec<u8>)>,
    wakes: BTreeMap<(Instant, u64), Wake>,
    streams_opened: u32,
    wakes_made: u64,
    pub(super) violation: Option<String>,
}

impl Streams {
    pub(super) fn wake_at(&mut self, at: Instant, wake: Wake) {
        self.wakes_made += 1;
        self.wakes.insert((at, self.wakes_made), wake);
    }

    /// Deadline of the earliest timer.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        self.wakes.first_key_value().map(|((at, _), _)| *at)
    }

    /// Removes an expired timer; returns its deadline and the timer.
    pub(super) fn take_wake(&mut self, now: Instant) -> Option<(Instant, Wake)> {
        let entry = self.wakes.first_entry().filter(|entry| entry.key().0 <= now)?;
        let at = entry.key().0;
        Some((at, entry.remove()))
    }

    /// Accepts connections at the target; returns the streams whose header has arrived.
    pub(super) fn accept(&mut self, target: &TcpListener, carrier: &dyn Carrier) -> Vec<Stream> {
        while let Ok((socket, _)) = target.accept() {
            if socket.set_nonblocking(true).and_then(|()| socket.set_nodelay(true)).is_ok() {
                self.unidentified.push((socket, Vec::new()));
            }
        }
        let mut arrived = Vec::new();
        for (socket, mut header) in std::mem::take(&mut self.unidentified) {
            match read_header(&socket, &mut header) {
                Ok(()) if header.len() < HEADER_BYTES => self.unidentified.push((socket, header)),
                Ok(()) => arrived.extend(self.arrive(socket, &header, carrier)),
                // Cut before its header arrived; the client detects the cut.
                Err(_) => {}
            }
        }
        arrived
    }

    /// Sockets of accepted connections whose header has not arrived.
    pub(super) fn unidentified(&self) -> impl Iterator<Item = &TcpStream> {
        self.unidentified.iter().map(|(socket, _)| socket)
    }

    /// Attaches a connection to its stream; None once the client has abandoned the stream.
    fn arrive(&mut self, socket: TcpStream, header: &[u8], carrier: &dyn Carrier) -> Option<Stream> {
        let number = header.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let stream = Stream(number);
        let pipe = self.pipes.get_mut(&stream)?;
        let server = index(Side::Server);
        if pipe.ends[server].is_some() || pipe.cut[server] {
            return None;
        }
        if let Err(error) = carrier.arrived(pipe.work, &socket) {
            self.violation.get_or_insert_with(|| format!("target: {error}"));
        }
        pipe.ends[server] = Some(End::new(socket, Vec::new()));
        Some(stream)
    }

    /// Cuts all connections of a side.
    pub(super) fn cut_all(&mut self, side: Side) -> Vec<Stream> {
        let mut cut = Vec::new();
        for (stream, pipe) in &mut self.pipes {
            if pipe.end(side).is_some() {
                pipe.cut[index(side)] = true;
                cut.push(*stream);
            }
        }
        cut
    }

    /// Removes finished streams.
    pub(super) fn sweep(&mut self) {
        self.pipes.retain(|_, pipe| !pipe.sweep());
    }
}

fn read_header(mut socket: &TcpStream, header: &mut Vec<u8>) -> io::Result<()> {
    let mut rest = [0; HEADER_BYTES];
    match socket.read(&mut rest[header.len()..]) {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(n) => {
            header.extend_from_slice(&rest[header.len()..][..n]);
            Ok(())
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(()),
        Err(error) => Err(error),
    }
}

/// One side of the streams at one instant, for the application of one workload.
pub(super) struct SocketPort<'r> {
    pub(super) now: Instant,
    pub(super) side: Side,
    pub(super) work: usize,
    pub(super) streams: &'r mut Streams,
    pub(super) carrier: &'r dyn Carrier,
}

impl SocketPort<'_> {
    fn dial(&mut self) -> io::Result<Stream> {
        let socket = self.carrier.connect_for(self.work)?;
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let number = self.streams.streams_opened;
        self.streams.streams_opened += 1;
        let stream = Stream(u64::from(number));
        let end = End::new(socket, number.to_be_bytes().to_vec());
        let mut pipe = Pipe::new(self.work, std::time::Instant::now(), end);
        pipe.flush(Side::Client)?;
        self.streams.pipes.insert(stream, pipe);
        Ok(stream)
    }

    fn pipe(&mut self, stream: Stream) -> Option<&mut Pipe> {
        self.streams.pipes.get_mut(&stream)
    }
}

impl Port for SocketPort<'_> {
    fn now(&self) -> Instant {
        self.now
    }

    fn side(&self) -> Side {
        self.side
    }

    fn open(&mut self) -> Option<Stream> {
        match self.dial() {
            Ok(stream) => Some(stream),
            Err(error) => {
                self.violate(Rule::Stream, format!("connecting: {error}"));
                None
            }
        }
    }

    fn has(&mut self, stream: Stream) -> bool {
        let side = self.side;
        self.pipe(stream).is_some_and(|pipe| pipe.end(side).is_some())
    }

    fn write(&mut self, stream: Stream, data: &[u8]) -> Result<usize, WriteError> {
        let side = self.side;
        self.pipe(stream).ok_or(WriteError::Blocked)?.write(side, data)
    }

    fn peek(&mut self, stream: Stream) -> Result<&[u8], ReadError> {
        let side = self.side;
        self.pipe(stream).ok_or(ReadError::Blocked)?.peek(side)
    }

    fn consume(&mut self, stream: Stream, n: usize) {
        let side = self.side;
        if let Some(pipe) = self.pipe(stream) {
            pipe.consume(side, n);
        }
    }

    fn finish(&mut self, stream: Stream) -> Result<(), WriteError> {
        let side = self.side;
        if let Some(pipe) = self.pipe(stream) {
            pipe.finish(side);
        }
        Ok(())
    }

    fn close(&mut self, stream: Stream) {
        let side = self.side;
        if let Some(pipe) = self.pipe(stream) {
            pipe.close(side);
        }
    }

    fn wake_at(&mut self, at: Instant, tag: u64) {
        let wake = Wake { work: self.work, side: self.side, tag };
        self.streams.wake_at(at, wake);
    }

    fn violate(&mut self, rule: Rule, detail: String) {
        let said = || format!("{}: {}: {detail}", self.side.name(), rule.name());
        self.streams.violation.get_or_insert_with(said);
    }
}
