//! The judge: it has both ends of every stream, sends scripted bytes through a tunnel, and compares what arrives. It knows
//! nothing about the tunnel except the address at which the client accepts.

mod end;
mod script;

pub use script::{Ways, Workload};

use crate::content::content;
use end::{Bounds, End, Failure, is_pending, limit, send};
use lab::conformance::Ending;
use script::{Event, Phase, Step, Stream};
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Bytes of a stream's number, which each client end sends first.
const NUMBER_BYTES: usize = 4;

/// Time for a stream of a finished client end to reach the target's side and end there.
const GRACE: Duration = Duration::from_secs(22);

/// Limit of one attempt to use a restarted server, and of all attempts.
const ATTEMPT: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(85)];

/// Time for the other ends to notice a failure before everything is stopped.
const AFTER_FAILURE: Duration = Duration::from_millis(500);

/// Connects to the client.
pub type Dialer = Arc<dyn Fn() -> io::Result<TcpStream> + Send + Sync>;

/// A dialer of that address.
pub fn dialer(entry: SocketAddr) -> Dialer {
    Arc::new(move || TcpStream::connect_timeout(&entry, Duration::from_secs(1)))
}

/// The tunnel under judgement.
pub trait Tunnel {
    /// Connects to the client.
    fn dialer(&self) -> Dialer;

    /// Checks that the programs run.
    ///
    /// # Errors
    /// One has ended; with its last output.
    fn check(&mut self) -> Result<(), String>;

    /// Kills the server and starts it again.
    ///
    /// # Errors
    /// It does not start, or cannot be restarted from here.
    fn restart_server(&mut self) -> Result<(), String>;
}

/// What the judge found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What went wrong; None if everything was as the workload requires.
    pub why: Option<Why>,
    /// The worst ending of a stream.
    pub ending: Ending,
    /// Payload compared, in both directions, if nothing went wrong.
    pub bytes: u64,
    /// Duration of the workload.
    pub elapsed: Duration,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// A stream did not behave.
    Stream(String),
    /// A program ended, or could not be restarted.
    Program(String),
}

/// A workload with its parameters.
#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq, Serialize)]
pub struct Task {
    /// The workload.
    #[serde(with = "sim::term")]
    pub work: Workload,
    /// Directions of its bulk data.
    #[serde(with = "sim::term")]
    pub ways: Ways,
    /// The target alters one byte in the middle of what it sends: a fault that must be found.
    pub alters_byte: bool,
    /// Replaces the workload's own time limit.
    pub limit: Option<Duration>,
}

/// What stands in front of each stream and is not part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// Bytes that the client end writes first.
    pub sent: Vec<u8>,
    /// Number of bytes that the target end skips.
    pub skipped: usize,
}

/// Sends the streams of `task` through the tunnel to `target`.
pub fn judge(task: Task, head: &Head, tunnel: &mut dyn Tunnel, target: &TcpListener) -> Finding {
    let begun = Instant::now();
    let deadline = begun + task.limit.unwrap_or(task.work.limit());
    let mut finding = Finding { why: None, ending: Ending::Clean, bytes: 0, elapsed: Duration::ZERO };
    // Accepting must not block: the target stops with the phase.
    if let Err(error) = target.set_nonblocking(true) {
        finding.why = Some(Why::Program(format!("target: {error}")));
    }
    for (number, phase) in task.work.phases(task.ways).into_iter().enumerate() {
        if finding.why.is_some() {
            break;
        }
        let run = PhaseRun {
            phase: &phase,
            first: number as u32 * 1_000,
            alters_byte: task.alters_byte,
            head,
            target,
        };
        match phase.after {
            None => run.go(tunnel, deadline, &mut finding),
            Some(event) => run.retry(event, tunnel, deadline, &mut finding),
        }
    }
    finding.elapsed = begun.elapsed();
    finding
}

/// A phase over a tunnel.
#[derive(Clone, Copy)]
struct PhaseRun<'a> {
    phase: &'a Phase,
    /// Number of the first stream.
    first: u32,
    alters_byte: bool,
    head: &'a Head,
    target: &'a TcpListener,
}

/// Findings of all ends of a phase.
#[derive(Default)]
struct Findings {
    failures: Mutex<Vec<Failure>>,
    /// Numbered streams whose target end has finished.
    arrived: AtomicUsize,
    /// Connections at the target that have sent no number and have not ended.
    unnamed: AtomicUsize,
}

impl Findings {
    /// What follows from stopping everything is no finding.
    fn add(&self, failure: Failure, bounds: &Bounds) {
        if !bounds.stop.load(Ordering::Relaxed) {
            self.failures.lock().unwrap_or_else(|held| held.into_inner()).push(failure);
        }
    }

    fn has_failed(&self) -> bool {
        self.failures.lock().is_ok_and(|failures| failures.iter().any(|(_, why)| !why.is_empty()))
    }
}

impl PhaseRun<'_> {
    /// Repeats the phase after the event until it succeeds. Connections may fail meanwhile.
    fn retry(self, event: Event, tunnel: &mut dyn Tunnel, deadline: Instant, finding: &mut Finding) {
        match event {
            Event::Pause(time) => std::thread::sleep(time),
            Event::Restart => {
                if let Err(why) = tunnel.restart_server() {
                    finding.why = Some(Why::Program(why));
                    return;
                }
            }
        }
        let last = deadline.min(Instant::now() + ATTEMPT[1]);
        let mut number = self.first;
        loop {
            let mut attempt = Finding { why: None, ..finding.clone() };
            let run = Self { first: number, ..self };
            run.go(tunnel, last.min(Instant::now() + ATTEMPT[0]), &mut attempt);
            let again = matches!(attempt.why, Some(Why::Stream(_))) && Instant::now() < last;
            if !again {
                *finding = attempt;
                return;
            }
            // Late streams of the failed attempt must not be taken for those of the next.
            number += self.phase.streams.len() as u32;
        }
    }

    fn go(self, tunnel: &mut dyn Tunnel, deadline: Instant, finding: &mut Finding) {
        let bounds = Bounds {
            deadline,
            stop: AtomicBool::new(false),
            open: AtomicUsize::new(self.phase.streams.len()),
            waiting: AtomicUsize::new(0),
        };
        let (findings, next, dialer) = (Findings::default(), AtomicUsize::new(0), tunnel.dialer());
        let ended = std::thread::scope(|scope| {
            for _ in 0..self.phase.width {
                scope.spawn(|| self.clients(&dialer, &next, &bounds, &findings));
            }
            scope.spawn(|| self.accept(scope, &bounds, &findings));
            self.watch(tunnel, &bounds, &findings)
        });
        let mut failures = findings.failures.into_inner().unwrap_or_else(|held| held.into_inner());
        // The first real failure explains those that follow; endings are the worst of all.
        finding.ending =
            failures.iter().map(|(ending, _)| *ending).chain([finding.ending]).max().unwrap_or(Ending::Clean);
        failures.retain(|(_, why)| !why.is_empty());
        finding.why = match ended {
            Err(why) => Some(Why::Program(why)),
            Ok(()) => {
                // The end that received a wrong byte closes, and the other end may notice that first.
                let wrong = failures.iter().position(|(ending, _)| *ending == Ending::Clean);
                failures.into_iter().nth(wrong.unwrap_or(0)).map(|(_, why)| Why::Stream(why))
            }
        };
        if finding.why.is_none() {
            finding.bytes += self.phase.streams.iter().map(Stream::bytes).sum::<u64>();
        }
    }

    /// Waits until all ends have finished; fails if a program ends.
    fn watch(&self, tunnel: &mut dyn Tunnel, bounds: &Bounds, findings: &Findings) -> Result<(), String> {
        let numbered = self.phase.streams.iter().filter(|stream| !stream.is_silent).count();
        let mut checked = Instant::now();
        let (mut left_at, mut failed_at) = (None, None);
        let watched = loop {
            std::thread::sleep(Duration::from_millis(2));
            if checked.elapsed() > Duration::from_millis(100) {
                checked = Instant::now();
                if let Err(why) = tunnel.check() {
                    break Err(why);
                }
            }
            if findings.has_failed() && failed_at.get_or_insert_with(Instant::now).elapsed() > AFTER_FAILURE {
                break Ok(());
            }
            if bounds.open.load(Ordering::Relaxed) > 0 {
                continue;
            }
            let left = *left_at.get_or_insert_with(Instant::now);
            let arrived = findings.arrived.load(Ordering::Relaxed);
            let unnamed = findings.unnamed.load(Ordering::Relaxed);
            if arrived >= numbered && unnamed == 0 {
                break Ok(());
            }
            if left.elapsed() > GRACE || bounds.is_over() {
                let open = numbered - arrived + unnamed;
                findings.add((Ending::Leak, format!("{open} streams did not end at the target")), bounds);
                break Ok(());
            }
        };
        bounds.stop.store(true, Ordering::Relaxed);
        watched
    }

    /// Plays client ends until none is left.
    fn clients(&self, dialer: &Dialer, next: &AtomicUsize, bounds: &Bounds, findings: &Findings) {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(stream) = self.phase.streams.get(at) else { return };
            let number = self.first + at as u32;
            if let Err((ending, why)) = self.client(dialer, stream, number, bounds) {
                findings.add((ending, format!("stream {number}, client end: {why}")), bounds);
            }
            bounds.open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn client(&self, dialer: &Dialer, stream: &Stream, number: u32, bounds: &Bounds) -> Result<(), Failure> {
        let mut socket = connect(dialer, bounds)?;
        if stream.is_silent {
            return Ok(());
        }
        limit(&socket);
        send(&mut socket, &[&self.head.sent[..], &number.to_le_bytes()].concat(), bounds)?;
        let [out, expected] = self.contents(stream, number);
        let mut end = End::new(socket, out, expected, bounds);
        end.play(&stream.client)?;
        if stream.client_closes { Ok(()) } else { end.end().map(|_| ()) }
    }

    /// Accepts connections at the target until the phase ends.
    fn accept<'s>(
        &'s self,
        scope: &'s std::thread::Scope<'s, '_>,
        bounds: &'s Bounds,
        findings: &'s Findings,
    ) {
        while !bounds.is_over() {
            match self.target.accept() {
                Ok((socket, _)) => {
                    findings.unnamed.fetch_add(1, Ordering::Relaxed);
                    scope.spawn(move || self.serve(socket, bounds, findings));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn serve(&self, mut socket: TcpStream, bounds: &Bounds, findings: &Findings) {
        let _ = socket.set_nonblocking(false);
        limit(&socket);
        let number = read_number(&mut socket, self.head.skipped, bounds);
        findings.unnamed.fetch_sub(1, Ordering::Relaxed);
        let Some(number) = number else { return };
        let at = number.wrapping_sub(self.first) as usize;
        // Of an earlier phase, or damaged; a damaged number leaves its stream missing.
        let Some(stream) = self.phase.streams.get(at) else { return };
        let [expected, mut out] = self.contents(stream, number);
        if self.alters_byte && !out.is_empty() {
            let middle = out.len() / 2;
            out[middle] ^= 1;
        }
        let mut end = End::new(socket, out, expected, bounds);
        let played = end.play(&stream.target);
        let ended = match played {
            Ok(()) if !stream.client_closes => Ok(Ending::Clean),
            Ok(()) => end.end(),
            Err(failure) => Err(failure),
        };
        match ended {
            Ok(ending) => findings.add((ending, String::new()), bounds),
            Err((ending, why)) => {
                findings.add((ending, format!("stream {number}, target end: {why}")), bounds)
            }
        }
        drop(end);
        findings.arrived.fetch_add(1, Ordering::Relaxed);
    }

    /// The bytes of a stream: from the client's end, from the target's.
    fn contents(&self, stream: &Stream, number: u32) -> [Vec<u8>; 2] {
        let sent = |steps: &[Step]| steps.iter().map(|step| step.sends()).sum();
        [content(number, 0, sent(&stream.client)), content(number, 1, sent(&stream.target))]
    }
}

/// Retries until the client accepts.
fn connect(dialer: &Dialer, bounds: &Bounds) -> Result<TcpStream, Failure> {
    loop {
        match dialer() {
            Ok(socket) => return Ok(socket),
            Err(error) if bounds.is_over() => return Err((Ending::Timeout, format!("connecting: {error}"))),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// The number of an arrived stream; None if it ends before.
fn read_number(socket: &mut TcpStream, skipped: usize, bounds: &Bounds) -> Option<u32> {
    let (mut number, mut got) = (vec![0; skipped + NUMBER_BYTES], 0);
    while got < number.len() {
        match socket.read(&mut number[got..]) {
            Ok(0) => return None,
            Ok(count) => got += count,
            Err(error) if is_pending(&error) && !bounds.is_over() => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    Some(u32::from_le_bytes(number[skipped..].try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::Shutdown;

    /// A tunnel without a tunnel: a thread that copies between the entry and the target.
    struct Copier {
        entry: SocketAddr,
    }

    impl Copier {
        /// `spoil` alters the bytes towards the client.
        fn start(target: SocketAddr, spoil: fn(&mut Vec<u8>)) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let entry = listener.local_addr().unwrap();
            std::thread::spawn(move || {
                for client in listener.incoming().map_while(Result::ok) {
                    let server = TcpStream::connect(target).unwrap();
                    let (c, s) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                    std::thread::spawn(move || copy(c, s, |_| {}));
                    std::thread::spawn(move || copy(server, client, spoil));
                }
            });
            Self { entry }
        }
    }

    fn copy(mut from: TcpStream, mut to: TcpStream, spoil: fn(&mut Vec<u8>)) {
        let mut buffer = vec![0; 20_000];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let mut piece = buffer[..count].to_vec();
            spoil(&mut piece);
            if piece.is_empty() || to.write_all(&piece).is_err() {
                return;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }

    impl Tunnel for Copier {
        fn dialer(&self) -> Dialer {
            dialer(self.entry)
        }

        fn check(&mut self) -> Result<(), String> {
            Ok(())
        }

        fn restart_server(&mut self) -> Result<(), String> {
            Ok(())
        }
    }

    fn judged(task: Task, spoil: fn(&mut Vec<u8>)) -> Finding {
        let target = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut tunnel = Copier::start(target.local_addr().unwrap(), spoil);
        judge(task, &Head::default(), &mut tunnel, &target)
    }

    const QUICK: [Workload; 9] = [
        Workload::Bulk,
        Workload::Streams,
        Workload::Answer,
        Workload::HalfClose,
        Workload::StalledReader,
        Workload::Storm,
        Workload::Steady,
        Workload::Reconnect,
        Workload::Restart,
    ];

    const fn task(work: Workload) -> Task {
        Task { work, ways: Ways::Both, alters_byte: false, limit: None }
    }

    #[test]
    fn a_faithful_tunnel_passes_every_workload() {
        for work in QUICK {
            let finding = judged(task(work), |_| {});
            assert_eq!((finding.why, finding.ending), (None, Ending::Clean), "{work}");
            assert!(finding.bytes > 0, "{work}");
        }
        for ways in [Ways::Up, Ways::Down] {
            assert_eq!(judged(Task { ways, ..task(Workload::Bulk) }, |_| {}).why, None, "{ways}");
        }
    }

    #[test]
    fn an_altered_byte_fails_every_workload() {
        for work in QUICK {
            let finding = judged(Task { alters_byte: true, ..task(work) }, |_| {});
            assert!(
                matches!(finding.why, Some(Why::Stream(ref why)) if why.contains("wrong byte")),
                "{work}: {finding:?}"
            );
        }
    }

    #[test]
    fn lost_bytes_and_silence_are_told_apart() {
        let limit = Some(Duration::from_secs(2));
        let cut = judged(Task { limit, ..task(Workload::Answer) }, |piece| piece.truncate(100));
        assert!(cut.why.is_some() && cut.ending >= Ending::Clean, "{cut:?}");
        let target = TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut tunnel = Copier { entry: silent.local_addr().unwrap() };
        let begun = Instant::now();
        let finding = judge(Task { limit, ..task(Workload::Bulk) }, &Head::default(), &mut tunnel, &target);
        assert_eq!(finding.ending, Ending::Timeout, "{finding:?}");
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
