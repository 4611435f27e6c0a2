use crate::Direction;

/// One workload, on streams of its own.
#[derive(Clone, Debug)]
pub struct WorkPlan {
    /// Unique name.
    pub name: String,
    /// When it starts, microseconds.
    pub start_us: u64,
    /// What it does.
    pub kind: WorkKind,
}

/// What a workload does.
#[derive(Clone, Debug)]
pub enum WorkKind {
    /// Moves bytes one way.
    Bulk(BulkPlan),
    /// Sends small messages at an interval and has them sent back.
    Echo(EchoPlan),
    /// Asks and is answered, one request after the other.
    RequestResponse(RequestResponsePlan),
    /// Opens a stream at an interval for each request.
    ShortStreams(ShortStreamsPlan),
    /// Asks for many objects at once.
    Page(PagePlan),
    /// Sends small messages both ways at a tick rate.
    GameTicks(GameTicksPlan),
    /// Sends irregular keystrokes that are echoed.
    Typing(TypingPlan),
    /// Downloads twice, and stops reading one of them for a while.
    StalledReader(StalledReaderPlan),
    /// Ends its direction and waits for a late reply.
    HalfClose(HalfClosePlan),
    /// Opens and closes streams at a high rate.
    Storm(StormPlan),
    /// Rests, then moves many bytes at once.
    IdleThenBurst(IdleThenBurstPlan),
}

/// A transfer in one direction.
#[derive(Clone, Debug)]
pub struct BulkPlan {
    /// Which way the bytes go.
    pub direction: Direction,
    /// How many; `None` is as many as fit until the sources stop.
    pub bytes: Option<u64>,
    /// What they are like.
    pub content: Content,
    /// The receiver expects another byte at this offset: tests use it to prove that the comparison can fail. Scenario
    /// files cannot set it.
    pub tampered_at: Option<u64>,
}

/// Small messages at an interval, each sent back by the server.
#[derive(Clone, Copy, Debug)]
pub struct EchoPlan {
    /// Bytes per message.
    pub message_bytes: u32,
    /// Time between two messages, microseconds.
    pub interval_us: u64,
}

/// Requests one after the other on one stream, each after the reply to the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestResponsePlan {
    /// Bytes of a request.
    pub request_bytes: u64,
    /// Bytes of its reply.
    pub response_bytes: u64,
    /// Time between a reply and the next request, microseconds.
    pub think_us: u64,
    /// How many; `None` is until the sources stop.
    pub count: Option<u64>,
}

/// Streams opened one after the other, each for one request and its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortStreamsPlan {
    /// Time between two openings, microseconds.
    pub interval_us: u64,
    /// How many; `None` is until the sources stop.
    pub count: Option<u64>,
    /// Bytes each sends up.
    pub request_bytes: u64,
    /// Bytes each gets back.
    pub reply_bytes: u64,
}

/// Web pages: many objects asked for at once, each on its own stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PagePlan {
    /// Objects of a page.
    pub objects: u64,
    /// Bytes of each request.
    pub request_bytes: u64,
    /// Bytes of the smallest object.
    pub object_bytes_min: u64,
    /// Bytes of the largest; sizes are drawn uniformly.
    pub object_bytes_max: u64,
    /// Pages one after the other.
    pub pages: u64,
    /// Time between the end of a page and the next, microseconds.
    pub think_us: u64,
}

/// A game: both sides send small messages at a tick rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GameTicksPlan {
    /// Time between two ticks, microseconds.
    pub interval_us: u64,
    /// Bytes of a message to the server.
    pub up_bytes: u64,
    /// Bytes of a message to the client.
    pub down_bytes: u64,
}

/// Somebody who types into a remote shell: irregular keystrokes, each echoed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypingPlan {
    /// Usual time between two keystrokes, microseconds: drawn between 1/8 and 15/8 of it, one in sixteen eight times longer.
    pub interval_us: u64,
    /// Bytes of a keystroke on the stream.
    pub key_bytes: u64,
    /// Bytes that come back.
    pub echo_bytes: u64,
}

/// Two endless downloads; the reader of one of them stops reading for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StalledReaderPlan {
    /// When the reader stops, after the start, microseconds.
    pub stall_after_us: u64,
    /// For how long, microseconds; `None` is for ever, which no run survives: tests use it to prove that the liveness
    /// check can fail. Scenario files cannot leave it out.
    pub stall_for_us: Option<u64>,
}

/// A client that sends a request and ends its direction at once; the server replies much later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfClosePlan {
    /// Bytes of the request.
    pub request_bytes: u64,
    /// Bytes of the reply.
    pub reply_bytes: u64,
    /// Time from the end of the request to the reply, microseconds.
    pub reply_after_us: u64,
    /// Requests one after the other, each on its own stream.
    pub count: u64,
}

/// Streams that are opened and closed again at a high rate, as port scans and broken clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StormPlan {
    /// Time between two openings, microseconds.
    pub interval_us: u64,
    /// How many.
    pub count: u64,
    /// Bytes written to each before it is closed.
    pub bytes: u64,
    /// Streams that stay open at a time; one more closes the oldest.
    pub open_max: u64,
}

/// A stream that rests for a long time and then gets many bytes at once, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleThenBurstPlan {
    /// Time from one burst to the request for the next, microseconds.
    pub idle_us: u64,
    /// Bytes the server sends at once.
    pub burst_bytes: u64,
    /// How many bursts.
    pub count: u64,
}

/// What the payload is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// Random bytes, which do not compress, like most of today's traffic.
    #[default]
    Random,
    /// Words, which compress to about half.
    Text,
}
