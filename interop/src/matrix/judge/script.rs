//! Workloads as scripts: the steps of both ends of each stream.

use engine::terms;
use std::time::Duration;

terms! {
    /// A workload of the matrix.
    pub enum Workload {
        Bulk "bulk" "Four streams of 256 KiB in each loaded direction, compared byte by byte."
        Streams "streams" "96 streams, 24 at a time: a request of 1 to 4,096 bytes and its answer."
        Answer "answer" "The target closes after its answer; all bytes and then the end must arrive."
        HalfClose "half-close" "The client finishes writing; the target answers after it has read the end."
        StalledReader "stalled-reader" "512 KiB to a reader that stalls while eight other streams work."
        Idle "idle" "Requests before and after a pause of four seconds."
        LongIdle "long-idle" "Requests before and after a pause of 35 seconds."
        Storm "storm" "240 connections, 32 at a time, a third of them without a byte; none may leak."
        Steady "steady" "Requests on four streams every 50 ms for six seconds; the streams must survive."
        Reconnect "reconnect" "Three seconds after the first streams, new connections must work within 85 seconds."
        Restart "restart" "The server is killed and restarted; new connections must work within 85 seconds."
    }
}

terms! {
    /// Directions of bulk data.
    pub enum Ways {
        Both "both" "In both directions at the same time."
        Up "up" "To the server."
        Down "down" "To the client."
    }
}

/// One action at one end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Sends bytes.
    Send(usize),
    /// Receives and compares bytes.
    Receive(usize),
    /// Sends and receives at the same time.
    Exchange(usize, usize),
    /// Shuts the writing half down.
    Finish,
    /// Reads the end of the stream.
    End,
    /// Does nothing.
    Pause(Duration),
    /// Waits until all other streams of the phase have finished.
    AfterOthers,
}

impl Step {
    /// Bytes that the step sends.
    pub(super) const fn sends(self) -> usize {
        match self {
            Self::Send(bytes) | Self::Exchange(bytes, _) => bytes,
            _ => 0,
        }
    }
}

/// Both ends of one stream. After its steps the target end closes, and the client end reads the end of the stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Stream {
    pub(super) client: Vec<Step>,
    pub(super) target: Vec<Step>,
    /// The client end closes, and the target end reads the end.
    pub(super) client_closes: bool,
    /// Opens and closes without a byte; the target may see a connection without a number, or none.
    pub(super) is_silent: bool,
}

impl Stream {
    /// Payload in both directions.
    pub(super) fn bytes(&self) -> u64 {
        self.client.iter().chain(&self.target).map(|step| step.sends() as u64).sum()
    }
}

/// Streams that run together.
#[derive(Debug, Clone)]
pub(super) struct Phase {
    pub(super) streams: Vec<Stream>,
    /// Streams open at the same time.
    pub(super) width: usize,
    /// The phase is repeated until it succeeds, after this event.
    pub(super) after: Option<Event>,
}

/// What happens before a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The server is killed and started again.
    Restart,
    /// Time passes, in which the path changes.
    Pause(Duration),
}

const KIB: usize = 1024;

/// Size of the acknowledgement after bulk data.
const ACK_BYTES: usize = 1;

/// A request and its answer, times `rounds`.
fn requests(bytes: usize, rounds: usize, pause: Duration) -> Stream {
    let repeated = |steps: &[Step]| steps.repeat(rounds);
    let mut client = repeated(&[Step::Send(bytes), Step::Receive(bytes), Step::Pause(pause)]);
    // No pause after the last answer.
    client.pop();
    let target = repeated(&[Step::Receive(bytes), Step::Send(bytes)]);
    Stream { client, target, ..Stream::default() }
}

impl Workload {
    /// Time limit of the workload.
    pub const fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::LongIdle => 75,
            Self::Restart | Self::Reconnect => 100,
            _ => 40,
        })
    }

    pub(super) fn phases(self, ways: Ways) -> Vec<Phase> {
        let one = |streams: Vec<Stream>, width: usize| vec![Phase { streams, width, after: None }];
        match self {
            Self::Bulk => one(vec![bulk(ways, 256 * KIB); 4], 4),
            Self::Streams => {
                let size = |at: usize| 1 + at * 997 % (4 * KIB);
                one((0..96).map(|at| closed(requests(size(at), 1, Duration::ZERO))).collect(), 24)
            }
            Self::Answer => one(vec![answer(&[]); 6], 3),
            Self::HalfClose => one(vec![answer(&[Step::Finish]); 6], 3),
            Self::StalledReader => one(stalled(), 9),
            Self::Idle => one(vec![requests(2_000, 2, Duration::from_secs(4)); 2], 2),
            Self::LongIdle => one(vec![requests(2_000, 2, Duration::from_secs(35)); 2], 2),
            Self::Storm => one(storm(), 32),
            Self::Steady => one(vec![requests(800, 110, Duration::from_millis(50)); 4], 4),
            Self::Reconnect => attempts(Event::Pause(Duration::from_secs(3))),
            Self::Restart => attempts(Event::Restart),
        }
    }
}

/// Streams before the event, and streams that are repeated after it until they succeed.
fn attempts(event: Event) -> Vec<Phase> {
    let phase =
        |after| Phase { streams: vec![requests(1_000, 2, Duration::from_millis(100)); 2], width: 2, after };
    vec![phase(None), phase(Some(event))]
}

/// The target acknowledges at the end, before it closes.
fn bulk(ways: Ways, bytes: usize) -> Stream {
    let (up, down) = match ways {
        Ways::Both => (bytes, bytes),
        Ways::Up => (bytes, 0),
        Ways::Down => (0, bytes),
    };
    Stream {
        client: vec![Step::Exchange(up, down), Step::Receive(ACK_BYTES)],
        target: vec![Step::Exchange(down, up), Step::Send(ACK_BYTES)],
        ..Stream::default()
    }
}

/// A request, and an answer after which the target closes. With [`Step::Finish`], it waits for the end of the request.
fn answer(finish: &[Step]) -> Stream {
    let (request, reply) = (3_000, 96 * KIB);
    let awaited: &[Step] = if finish.is_empty() { &[] } else { &[Step::End] };
    Stream {
        client: [&[Step::Send(request)], finish, &[Step::Receive(reply)]].concat(),
        target: [&[Step::Receive(request)], awaited, &[Step::Send(reply)]].concat(),
        ..Stream::default()
    }
}

/// The stream, closed by the client end.
fn closed(stream: Stream) -> Stream {
    Stream { client_closes: true, ..stream }
}

fn stalled() -> Vec<Stream> {
    let bytes = 512 * KIB;
    let reader = Stream {
        client: vec![Step::Send(1), Step::AfterOthers, Step::Receive(bytes)],
        target: vec![Step::Receive(1), Step::Send(bytes)],
        ..Stream::default()
    };
    let mut streams = vec![requests(1_000, 12, Duration::from_millis(60)); 8];
    streams.insert(0, reader);
    streams
}

fn storm() -> Vec<Stream> {
    let silent = Stream { is_silent: true, ..Stream::default() };
    let stream = |at: usize| match at % 3 {
        0 => closed(requests(100, 1, Duration::ZERO)),
        1 => closed(Stream {
            client: vec![Step::Send(400)],
            target: vec![Step::Receive(400)],
            ..Stream::default()
        }),
        _ => silent.clone(),
    };
    (0..240).map(stream).collect()
}
