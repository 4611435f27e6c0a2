//! One end of a stream: a socket, the bytes that it sends, and those that it expects.

use super::script::Step;
use lab::conformance::Ending;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Interval at which blocked ends check their bounds.
const SLICE: Duration = Duration::from_millis(100);

/// Time for the end of a stream to arrive after the other end has closed.
const LEAK_AFTER: Duration = Duration::from_secs(20);

const PIECE_BYTES: usize = 16 * 1024;

/// Bounds and state that the ends of a phase share.
#[derive(Debug)]
pub(super) struct Bounds {
    pub(super) deadline: Instant,
    /// Ends everything at once: a program has failed.
    pub(super) stop: AtomicBool,
    /// Client ends that have not finished.
    pub(super) open: AtomicUsize,
    /// Client ends that wait for all others.
    pub(super) waiting: AtomicUsize,
}

impl Bounds {
    pub(super) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || Instant::now() >= self.deadline
    }
}

/// How a stream ended, and what was wrong with it.
pub(super) type Failure = (Ending, String);

/// One end of a stream.
pub(super) struct End<'a> {
    socket: TcpStream,
    /// All bytes to send, and how many were sent.
    out: Vec<u8>,
    sent: usize,
    /// All bytes to receive, and how many were received.
    expected: Vec<u8>,
    received: usize,
    bounds: &'a Bounds,
}

impl<'a> End<'a> {
    pub(super) fn new(socket: TcpStream, out: Vec<u8>, expected: Vec<u8>, bounds: &'a Bounds) -> Self {
        limit(&socket);
        Self { socket, out, sent: 0, expected, received: 0, bounds }
    }

    /// Sends and receives all steps.
    pub(super) fn play(&mut self, steps: &[Step]) -> Result<(), Failure> {
        steps.iter().try_for_each(|step| self.take(*step))
    }

    fn take(&mut self, step: Step) -> Result<(), Failure> {
        match step {
            Step::Send(bytes) => {
                let from = self.sent;
                self.sent += bytes;
                send(&mut self.socket, &self.out[from..from + bytes], self.bounds)
            }
            Step::Receive(bytes) => self.receive(bytes),
            Step::Exchange(send, receive) => self.exchange(send, receive),
            Step::Finish => {
                // A socket that was lost is noticed by the next step.
                let _ = self.socket.shutdown(Shutdown::Write);
                Ok(())
            }
            Step::End => self.end().map(|_| ()),
            Step::Pause(time) => {
                let until = Instant::now() + time;
                self.wait(|| Instant::now() >= until)
            }
            Step::AfterOthers => {
                let Bounds { open, waiting, .. } = self.bounds;
                waiting.fetch_add(1, Ordering::Relaxed);
                self.wait(|| open.load(Ordering::Relaxed) <= waiting.load(Ordering::Relaxed))
            }
        }
    }

    fn wait(&self, is_over: impl Fn() -> bool) -> Result<(), Failure> {
        while !is_over() {
            if self.bounds.is_over() {
                return Err((Ending::Timeout, "still paused at the time limit".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn exchange(&mut self, bytes: usize, receive: usize) -> Result<(), Failure> {
        let mut sink = self.socket.try_clone().map_err(|error| (Ending::Reset, error.to_string()))?;
        let out = self.out[self.sent..self.sent + bytes].to_vec();
        self.sent += bytes;
        let bounds = self.bounds;
        std::thread::scope(|scope| {
            let sender = scope.spawn(move || send(&mut sink, &out, bounds));
            let received = self.receive(receive);
            if received.is_err() {
                let _ = self.socket.shutdown(Shutdown::Both);
            }
            let sent =
                sender.join().unwrap_or_else(|_| Err((Ending::Reset, "the sender panicked".to_owned())));
            received.and(sent)
        })
    }

    fn receive(&mut self, bytes: usize) -> Result<(), Failure> {
        let (begin, until) = (self.received, self.received + bytes);
        let mut piece = [0; PIECE_BYTES];
        while self.received < until {
            let room = piece.len().min(until - self.received);
            let count = match self.read(&mut piece[..room]) {
                Ok(count) => count,
                Err(failure) => return Err(self.at(begin, bytes, failure)),
            };
            if count == 0 {
                return Err(self.at(begin, bytes, (Ending::Reset, "closed".to_owned())));
            }
            let expected = &self.expected[self.received..self.received + count];
            if let Some(at) = expected.iter().zip(&piece).position(|(a, b)| a != b) {
                return Err((Ending::Clean, format!("wrong byte at offset {}", self.received + at)));
            }
            self.received += count;
        }
        Ok(())
    }

    fn at(&self, begin: usize, bytes: usize, (ending, why): Failure) -> Failure {
        (ending, format!("{why} after {} of {bytes} bytes", self.received - begin))
    }

    /// Reads the end of the stream after all its bytes.
    pub(super) fn end(&mut self) -> Result<Ending, Failure> {
        let begun = Instant::now();
        let mut byte = [0];
        loop {
            match self.socket.read(&mut byte) {
                Ok(0) => return Ok(Ending::Clean),
                Ok(_) => return Err((Ending::Clean, "a byte after the last one".to_owned())),
                Err(error) if is_pending(&error) => {}
                Err(_) => return Ok(Ending::Reset),
            }
            if begun.elapsed() >= LEAK_AFTER {
                let why = format!("open {LEAK_AFTER:?} after the other end was closed");
                return Err((Ending::Leak, why));
            }
            if self.bounds.is_over() {
                return Err((Ending::Timeout, "no end of the stream within the time limit".to_owned()));
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        loop {
            match self.socket.read(buffer) {
                Ok(count) => return Ok(count),
                Err(error) if is_pending(&error) && self.bounds.is_over() => {
                    return Err((Ending::Timeout, "silent".to_owned()));
                }
                Err(error) if is_pending(&error) => {}
                Err(error) => return Err((Ending::Reset, error.to_string())),
            }
        }
    }
}

/// Makes blocking calls return after [`SLICE`].
pub(super) fn limit(socket: &TcpStream) {
    // Fails for a zero duration only.
    let _ = socket.set_read_timeout(Some(SLICE));
    let _ = socket.set_write_timeout(Some(SLICE));
    let _ = socket.set_nodelay(true);
}

/// Sends all bytes.
pub(super) fn send(socket: &mut TcpStream, mut bytes: &[u8], bounds: &Bounds) -> Result<(), Failure> {
    while !bytes.is_empty() {
        match socket.write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if is_pending(&error) && bounds.is_over() => {
                return Err((Ending::Timeout, format!("{} bytes not accepted", bytes.len())));
            }
            Err(error) if is_pending(&error) => {}
            Err(error) => return Err((Ending::Reset, format!("sending: {error}"))),
        }
    }
    Ok(())
}

pub(super) fn is_pending(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
