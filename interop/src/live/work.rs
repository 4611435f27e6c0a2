//! The streams of a cell: this process has both ends and checks all bytes.

use super::Work;
use crate::content::content;
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

const PIECE_BYTES: usize = 16 * 1024;

/// Length of the stream's number, which comes first and determines the contents that the target expects and sends.
const NUMBER_BYTES: usize = 8;

/// Result of one end of one stream.
type Finding = Result<(), String>;

/// What stands in front of a stream and is not part of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    /// Bytes that the client end writes first.
    pub(super) sent: Vec<u8>,
    /// Number of the bytes that the target end skips.
    pub(super) received: usize,
}

/// One end of the streams, with the deadline of all of them.
struct Exchange {
    report: Sender<Finding>,
    work: Work,
    head: Head,
    deadline: Instant,
}

/// Sends all streams through the client at `entry` to `target`; fails with the first error.
///
/// `failed` is polled for a failure of the programs, which ends the run.
pub(super) fn run(
    entry: SocketAddr,
    target: TcpListener,
    work: Work,
    head: Head,
    mut failed: impl FnMut() -> Option<String>,
) -> Finding {
    let (report, findings) = channel();
    let deadline = Instant::now() + work.limit;
    for number in 0..work.streams {
        let exchange = Exchange { report: report.clone(), work, head: head.clone(), deadline };
        std::thread::spawn(move || exchange.client(entry, number));
    }
    std::thread::spawn(move || Exchange { report, work, head, deadline }.target(&target));
    collect(&findings, work, deadline, &mut failed)
}

fn collect(
    findings: &Receiver<Finding>,
    work: Work,
    deadline: Instant,
    failed: &mut dyn FnMut() -> Option<String>,
) -> Finding {
    let mut open = 2 * work.streams;
    while open > 0 {
        match findings.recv_timeout(Duration::from_millis(100)) {
            Ok(Ok(())) => open -= 1,
            Ok(Err(why)) => return Err(why),
            Err(_) if Instant::now() > deadline => {
                let (all, ms) = (2 * work.streams, work.limit.as_millis());
                return Err(format!("{open} of {all} stream ends not finished after {ms} ms"));
            }
            Err(_) => {}
        }
        if let Some(why) = failed() {
            return Err(why);
        }
    }
    Ok(())
}

impl Exchange {
    fn client(&self, entry: SocketAddr, number: usize) {
        let finding = self.connect(entry).and_then(|mut stream| {
            let first = [&self.head.sent[..], &(number as u64).to_le_bytes()].concat();
            stream.write_all(&first).map_err(|error| error.to_string())?;
            self.exchange(stream, number, 0)
        });
        let _ = self.report.send(finding.map_err(|why| format!("stream {number}, client end: {why}")));
    }

    /// Retries until the client program has started.
    fn connect(&self, entry: SocketAddr) -> Result<TcpStream, String> {
        loop {
            match TcpStream::connect(entry) {
                Ok(stream) => return Ok(stream),
                Err(error) if Instant::now() > self.deadline => return Err(format!("connecting: {error}")),
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    fn target(self, listener: &TcpListener) {
        std::thread::scope(|scope| {
            for _ in 0..self.work.streams {
                let Some(stream) = self.accept(listener) else { return };
                scope.spawn(|| self.target_end(stream));
            }
        });
    }

    fn accept(&self, listener: &TcpListener) -> Option<TcpStream> {
        listener.set_nonblocking(true).ok()?;
        while Instant::now() < self.deadline {
            match listener.accept() {
                Ok((stream, _)) => return stream.set_nonblocking(false).ok().map(|()| stream),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        None
    }

    fn target_end(&self, mut stream: TcpStream) {
        let mut number = [0; NUMBER_BYTES];
        let _ = stream.set_read_timeout(Some(self.work.limit));
        let mut head = vec![0; self.head.received];
        let number = match stream.read_exact(&mut head).and_then(|()| stream.read_exact(&mut number)) {
            Ok(()) => u64::from_le_bytes(number) as usize,
            Err(error) => {
                let _ = self.report.send(Err(format!("target end: {error}")));
                return;
            }
        };
        let finding = self.exchange(stream, number, 1);
        let _ = self.report.send(finding.map_err(|why| format!("stream {number}, target end: {why}")));
    }

    /// Sends the bytes of `direction` while reading those of the other.
    fn exchange(&self, mut stream: TcpStream, number: usize, direction: u8) -> Finding {
        let left = self.deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        stream.set_read_timeout(Some(left)).map_err(|error| error.to_string())?;
        stream.set_write_timeout(Some(left)).map_err(|error| error.to_string())?;
        let mut sink = stream.try_clone().map_err(|error| error.to_string())?;
        let bytes = self.work.stream_bytes;
        std::thread::scope(|scope| {
            let sender = scope.spawn(move || sink.write_all(&content(number as u32, direction, bytes)));
            let received = receive(&mut stream, bytes);
            if received.is_err() {
                let _ = stream.shutdown(Shutdown::Both);
            }
            let sent = sender.join().map_err(|_| "sender panicked".to_owned())?;
            sent.map_err(|error| format!("sending: {error}"))?;
            compare(&received?, &content(number as u32, 1 - direction, bytes))
        })?;
        self.linger(&mut stream);
        Ok(())
    }

    /// Waits until the other end closes the connection, up to a limit: kcptun has no half-close, so closing at once could cut
    /// off bytes of the other direction.
    fn linger(&self, stream: &mut TcpStream) {
        let _ = stream.set_read_timeout(Some(Duration::from_millis(50)));
        let _ = stream.read(&mut [0; 1]);
    }
}

fn receive(stream: &mut TcpStream, bytes: usize) -> Result<Vec<u8>, String> {
    let mut received = Vec::with_capacity(bytes);
    let mut piece = [0; PIECE_BYTES];
    while received.len() < bytes {
        match stream.read(&mut piece) {
            Ok(0) => return Err(format!("closed after {} of {bytes} bytes", received.len())),
            Ok(len) => received.extend_from_slice(&piece[..len]),
            Err(error) => return Err(format!("after {} of {bytes} bytes: {error}", received.len())),
        }
    }
    Ok(received)
}

fn compare(received: &[u8], sent: &[u8]) -> Finding {
    if Sha256::digest(received) == Sha256::digest(sent) {
        return Ok(());
    }
    let at = received.iter().zip(sent).take_while(|(a, b)| a == b).count();
    Err(format!(
        "sha256 differs; first difference at byte {at} of {} ({} received)",
        sent.len(),
        received.len()
    ))
}
