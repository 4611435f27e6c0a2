//! The lines of a recording.

use crate::outcome::{Outcome, Rule};
use crate::plan::{FaultName, Transport};
use crate::term::in_json;
use crate::{Direction, Side, term};
use engine::{Cause, terms};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The format's name and number.
pub const FORMAT: &str = "karst-events/1";

/// The first line of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// Name of the scenario.
    pub scenario: String,
    /// What it shows.
    pub description: String,
    /// Seed of the run.
    pub seed: u64,
    /// The protocol that carried the streams.
    pub transport: Transport,
    /// The client's options.
    pub client: Options,
    /// The server's.
    pub server: Options,
}

/// What matters of one side's options, as kcptun names them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[expect(missing_docs, reason = "kcptun's own names")]
pub struct Options {
    pub crypt: String,
    pub mode: String,
    pub interval_ms: u32,
    pub resend: u32,
    pub nc: bool,
    pub mtu: usize,
    pub sndwnd: u32,
    pub rcvwnd: u32,
    /// Data and parity shards, if any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fec: Option<(usize, usize)>,
    pub compressed: bool,
    pub smuxver: u8,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// When.
    pub t: u64,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened; `e` in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "e", rename_all = "snake_case")]
pub enum What {
    /// A tunnel began or ended.
    Session {
        /// On which side.
        side: Side,
        /// Its session.
        session: u32,
        /// Its conversation.
        conv: u32,
        /// The peer's address.
        peer: SocketAddr,
        /// Why it ended; absent when it began.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        closed: Option<String>,
    },
    /// A side handed a datagram to its link.
    Sent(Sent),
    /// Segments carry frames of streams. Said once, behind the first transmission of the last of these segments. With
    /// compression the frames lie anywhere in them.
    Carries {
        /// Sender.
        side: Side,
        /// Its session.
        session: u32,
        /// First segment.
        first: u32,
        /// Last segment.
        last: u32,
        /// What is in them.
        frames: Vec<Frame>,
    },
    /// A datagram was dropped.
    Dropped {
        /// Which.
        n: u64,
        /// On its way in this direction.
        dir: Direction,
        /// What dropped it.
        by: Element,
    },
    /// A datagram waits for the transmitter of its link.
    Queued {
        /// Which.
        n: u64,
        /// Of this direction.
        dir: Direction,
        /// Bytes that wait, with it.
        queue: u64,
    },
    /// A datagram left the transmitter.
    Left {
        /// Which.
        n: u64,
        /// In this direction.
        dir: Direction,
        /// When it will arrive.
        due: u64,
        /// Bytes that still wait.
        queue: u64,
        /// Held back, so that later ones overtake it.
        #[serde(skip_serializing_if = "is_false", default)]
        held_back: bool,
        /// Some of its bits were flipped.
        #[serde(skip_serializing_if = "is_false", default)]
        damaged: bool,
    },
    /// A datagram was doubled.
    Copied {
        /// Which.
        n: u64,
        /// The number of the copy.
        copy: u64,
        /// When the copy will arrive.
        due: u64,
    },
    /// A datagram arrived and waits in the socket.
    Waits {
        /// Which.
        n: u64,
        /// On this side.
        side: Side,
    },
    /// A process took a datagram.
    Received {
        /// Which.
        n: u64,
        /// On this side.
        side: Side,
    },
    /// The engine dropped the datagram received last.
    Refused {
        /// Which.
        n: u64,
        /// On this side.
        side: Side,
        /// Why.
        why: String,
    },
    /// Shards were rebuilt when that datagram came.
    Rebuilt {
        /// Receiver.
        side: Side,
        /// Its session.
        session: u32,
        /// The datagram that completed the group.
        n: u64,
        /// The data shards that were rebuilt.
        seqids: Vec<u32>,
        /// The parity shards that were used.
        parity: Vec<u32>,
    },
    /// Data segments came.
    Got {
        /// Receiver.
        side: Side,
        /// Its session.
        session: u32,
        /// In that datagram, or rebuilt because of it.
        n: u64,
        /// New ones.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        sns: Vec<u32>,
        /// New ones that were rebuilt.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        rebuilt: Vec<u32>,
        /// Ones that were there already, or that the window has no room for.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        again: Vec<u32>,
    },
    /// Everything up to `last` has come.
    InOrder {
        /// Receiver.
        side: Side,
        /// Its session.
        session: u32,
        /// First segment that went up now.
        first: u32,
        /// Last one.
        last: u32,
    },
    /// The sender learned that segments arrived.
    Acked {
        /// The sender of the segments.
        side: Side,
        /// Its session.
        session: u32,
        /// By that datagram.
        n: u64,
        /// Segments with an acknowledgement of their own.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        sns: Vec<u32>,
        /// Segments that una covers.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        una: Vec<u32>,
    },
    /// A round trip was measured.
    Rtt {
        /// By that side.
        side: Side,
        /// In that session.
        session: u32,
        /// How long it took.
        ms: u32,
    },
    /// The numbers of a tunnel, when they changed and ten milliseconds have passed.
    State(State),
    /// What a controller believes of the path.
    Path(Path),
    /// A stream began on this side.
    Opened {
        /// Which side.
        side: Side,
        /// Which session.
        session: u32,
        /// Which of its streams.
        stream: u32,
        /// The workload it is for; said by the side that opened it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        work: Option<String>,
    },
    /// An application wrote to a stream.
    Wrote(Span),
    /// An application read from a stream.
    Read(Span),
    /// An application ended its direction of a stream.
    Finished(At),
    /// An application read the end of a stream.
    Ended(At),
    /// An application closed a stream in both directions.
    Closed(At),
    /// A stream was lost with its session.
    Reset(At),
    /// A fault begins, or heals.
    Fault {
        /// Its kind, as in scenario files.
        kind: FaultName,
        /// It is over.
        #[serde(skip_serializing_if = "is_false", default)]
        healed: bool,
    },
    /// A rule was broken.
    Violation {
        /// Name of the rule.
        rule: Rule,
        /// How.
        detail: String,
    },
    /// The run is over; what `--json` writes about it.
    Outcome {
        /// As in results files.
        run: Box<Outcome>,
    },
    /// An event of a later version; never written.
    #[serde(other, skip_serializing)]
    #[schemars(skip)]
    Other,
}

/// A datagram that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sent {
    /// Its number.
    pub n: u64,
    /// Sender.
    pub side: Side,
    /// Its session.
    pub session: u32,
    /// UDP payload; of TCP, the IP packet.
    pub bytes: u32,
    /// Its place in a shard group, with FEC.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shard: Option<Shard>,
    /// What is in it; nothing that can be read in parity.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub segments: Vec<Segment>,
}

/// A shard's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shard {
    /// Its number.
    pub seqid: u32,
    /// It is parity.
    #[serde(skip_serializing_if = "is_false", default)]
    pub parity: bool,
}

/// A KCP segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Segment {
    /// What it is.
    pub cmd: Command,
    /// Its number; of an acknowledgement, that of what is acknowledged.
    pub sn: u32,
    /// The sender's clock; of an acknowledgement, the clock it echoes.
    pub ts: u32,
    /// What the sender expects next.
    pub una: u32,
    /// Segments the sender has room for.
    pub wnd: u16,
    /// Fragments still to come.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub frg: u32,
    /// Payload bytes.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub len: u32,
    /// After what time it is sent again; only of data.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub rto_ms: u32,
    /// Why it is sent again, if it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub again: Option<Again>,
}

/// KCP's commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Data.
    Push,
    /// Acknowledgement.
    Ack,
    /// Window ask.
    Wask,
    /// Window tell.
    Wins,
    /// None of KCP's.
    Unknown,
}

/// Why a segment is sent again; the engine's own reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Again {
    /// What made it due.
    #[serde(with = "term")]
    #[schemars(schema_with = "term::schema::<Cause>")]
    pub cause: Cause,
    /// How often it was sent, this time included.
    pub xmit: u32,
    /// Of `fast` and `early`: the segments whose acknowledgements passed it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub passed_by: Vec<u32>,
    /// Of `timeout`: the time that it had.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub waited_ms: u32,
}

/// Part of a frame of the multiplexer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Frame {
    /// What it does.
    pub cmd: FrameCommand,
    /// Its stream.
    pub stream: u32,
    /// Of data: place of the first byte in the stream's direction.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub at: u64,
    /// Of data: bytes.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub len: u32,
}

/// smux's commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FrameCommand {
    /// Opens a stream.
    Syn,
    /// Ends a direction.
    Fin,
    /// Data.
    Psh,
    /// Keepalive.
    Nop,
    /// Window of one stream.
    Upd,
}

/// The numbers of a tunnel; lengths and windows in segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "kcp-go's own field names, as in engine::arq::State")]
pub struct State {
    pub side: Side,
    pub session: u32,
    pub srtt_ms: u32,
    pub rttvar_ms: u32,
    pub rto_ms: u32,
    pub cwnd: u32,
    pub ssthresh: u32,
    pub rmt_wnd: u32,
    pub snd_una: u32,
    pub snd_nxt: u32,
    pub rcv_nxt: u32,
    pub snd_queue: usize,
    pub rcv_queue: usize,
    pub rcv_buf: usize,
}

/// What the controller of a tunnel believes of the path, and what it makes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Path {
    /// Which side.
    pub side: Side,
    /// Which session.
    pub session: u32,
    /// What it is doing.
    pub phase: String,
    /// Rate of the bottleneck, bytes of segments per second.
    pub bandwidth_bytes_s: u64,
    /// Round trip without queues.
    pub min_rtt_us: u64,
    /// Rate at which segments may leave, bytes per second.
    pub pacing_bytes_s: u64,
    /// Bytes that may be in flight.
    pub window_bytes: u64,
    /// Bytes that are.
    pub in_flight_bytes: u64,
    /// Loss that is not congestion, millionths.
    pub loss_ppm: u32,
}

/// A stream on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct At {
    /// Which side.
    pub side: Side,
    /// Which session.
    pub session: u32,
    /// Which of its streams.
    pub stream: u32,
}

/// Bytes of a stream on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// Which side.
    pub side: Side,
    /// Which session.
    pub session: u32,
    /// Which of its streams.
    pub stream: u32,
    /// Place of the first byte in its direction.
    pub at: u64,
    /// Bytes.
    pub len: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
const fn is_false(value: &bool) -> bool {
    !*value
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

terms! {
    /// What drops packets.
    pub enum Element {
        Mtu "mtu" "The packet is larger than the link's MTU."
        Blackout "blackout" "The link is down."
        List "list" "The packet's number is on the list of packets to drop."
        Loss "loss" "Random loss."
        Policer "policer" "The packet exceeds the policer's rate."
        Queue "queue" "The queue is full."
        Codel "codel" "CoDel found a standing queue."
        Nat "nat" "The destination address is no longer mapped."
        Socket "socket" "The receiver's socket buffer is full."
        Down "down" "The destination process is not running."
    }
}

in_json!(Element);

impl Element {
    /// The reason in a few words.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Mtu => "larger than the MTU",
            Self::Blackout => "blackout",
            Self::List => "on the list of packets to drop",
            Self::Loss => "random loss",
            Self::Policer => "policer, over its rate",
            Self::Queue => "queue full",
            Self::Codel => "CoDel, standing queue",
            Self::Nat => "address no longer mapped",
            Self::Socket => "socket full",
            Self::Down => "process not running",
        }
    }
}
