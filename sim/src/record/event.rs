//! Types of the lines of a recording.

use crate::outcome::{Outcome, Rule};
use crate::plan::{Act, FaultName, Transport};
use crate::term::in_json;
use crate::{Direction, Side, term};
use engine::{Cause, terms};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Name and version of the format.
pub const FORMAT: &str = "karst-events/1";

/// The first line of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// Name of the scenario.
    pub scenario: String,
    /// Description of the scenario, one sentence.
    pub description: String,
    /// Seed of the run.
    pub seed: u64,
    /// The protocol that carried the streams.
    pub transport: Transport,
    /// Decoded from a capture of real programs: seed, modes and windows are unknown, and there is no outcome.
    #[serde(skip_serializing_if = "is_false", default)]
    pub capture: bool,
    /// The client's options.
    pub client: Options,
    /// The server's options.
    pub server: Options,
    /// The links as planned, in order of time: the first state of each, and one for each time at which its schedule changes
    /// something. Empty for a capture.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub links: Vec<LinkState>,
}

/// A link from a time on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkState {
    /// When it begins, microseconds.
    pub t: u64,
    /// The link.
    pub dir: Direction,
    /// Rate of the transmitter, or of the policer if that is lower, bits per second; 0 for any rate.
    pub bits_per_s: u64,
    /// Whether nothing enters the link: a blackout of its schedule.
    pub dead: bool,
    /// What begins then, as keys of a scenario file with their values.
    pub sets: String,
}

/// The options of one side that explain a run, under kcptun's names.
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
    /// Data and parity shards; absent without FEC.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fec: Option<(usize, usize)>,
    pub compressed: bool,
    pub smuxver: u8,
}

/// One event of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Simulated time, microseconds.
    pub t: u64,
    /// Kind of the event, with its values.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// The kinds of events, `e` in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "e", rename_all = "snake_case")]
pub enum EventKind {
    /// A tunnel was created or closed.
    Session {
        /// Side of the tunnel.
        side: Side,
        /// Session number.
        session: u32,
        /// Conversation id.
        conv: u32,
        /// The peer's address.
        peer: SocketAddr,
        /// Reason; absent when the tunnel was created.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        closed: Option<String>,
    },
    /// A side passed a datagram to its link.
    Sent(Sent),
    /// Segments carry frames of streams. Recorded once, after the first transmission of the last of these segments. With
    /// compression, the frames may be anywhere within them.
    Carries {
        /// Sender.
        side: Side,
        /// Session number.
        session: u32,
        /// First sequence number.
        first: u32,
        /// Last sequence number.
        last: u32,
        /// The frames, in order.
        frames: Vec<Frame>,
    },
    /// A datagram was dropped.
    Dropped {
        /// Number of the datagram.
        n: u64,
        /// Direction of the datagram.
        dir: Direction,
        /// The element that dropped it.
        by: Element,
    },
    /// A datagram entered the queue of its link.
    Queued {
        /// Number of the datagram.
        n: u64,
        /// Direction of the link.
        dir: Direction,
        /// Bytes in the queue, this datagram included.
        queue: u64,
    },
    /// A datagram left the link's transmitter.
    Left {
        /// Number of the datagram.
        n: u64,
        /// Direction of the link.
        dir: Direction,
        /// Time of its arrival, microseconds.
        due: u64,
        /// Bytes still in the queue.
        queue: u64,
        /// Delayed, so that later datagrams overtake it.
        #[serde(skip_serializing_if = "is_false", default)]
        held_back: bool,
        /// Corrupted: some of its bits were flipped.
        #[serde(skip_serializing_if = "is_false", default)]
        damaged: bool,
    },
    /// A datagram was duplicated.
    Copied {
        /// Number of the original.
        n: u64,
        /// Number of the copy.
        copy: u64,
        /// Time at which the copy arrives, microseconds.
        due: u64,
    },
    /// The adversary sent a datagram.
    Injected {
        /// Number of the datagram.
        n: u64,
        /// Direction in which it is sent.
        dir: Direction,
        /// The attack.
        act: Act,
        /// Number of the observed datagram that triggered it.
        of: u64,
        /// Time at which it arrives, microseconds.
        due: u64,
    },
    /// A datagram arrived and was queued in the socket.
    Waits {
        /// Number of the datagram.
        n: u64,
        /// The receiving side.
        side: Side,
    },
    /// A process received a datagram.
    Received {
        /// Number of the datagram.
        n: u64,
        /// The receiving side.
        side: Side,
    },
    /// The engine dropped the datagram that was received last.
    Refused {
        /// Number of the datagram.
        n: u64,
        /// The receiving side.
        side: Side,
        /// The engine's reason.
        why: String,
    },
    /// Data shards were rebuilt when a datagram completed their group.
    Rebuilt {
        /// Receiver.
        side: Side,
        /// Session number.
        session: u32,
        /// The datagram that completed the group.
        n: u64,
        /// Numbers of the rebuilt data shards.
        seqids: Vec<u32>,
        /// Numbers of the parity shards used.
        parity: Vec<u32>,
    },
    /// Data segments arrived.
    Got {
        /// Receiver.
        side: Side,
        /// Session number.
        session: u32,
        /// The datagram that contained them, or that completed their group.
        n: u64,
        /// New segments.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        sns: Vec<u32>,
        /// New segments that were rebuilt by FEC.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        rebuilt: Vec<u32>,
        /// Duplicates, and segments beyond the window.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        again: Vec<u32>,
    },
    /// Every segment up to `last` has arrived.
    InOrder {
        /// Receiver.
        side: Side,
        /// Session number.
        session: u32,
        /// First segment passed to the multiplexer now.
        first: u32,
        /// Last segment passed to the multiplexer.
        last: u32,
    },
    /// The sender received acknowledgements.
    Acked {
        /// Sender of the acknowledged segments.
        side: Side,
        /// Session number.
        session: u32,
        /// The datagram that acknowledged them.
        n: u64,
        /// Segments acknowledged individually.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        sns: Vec<u32>,
        /// Segments acknowledged by una.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        una: Vec<u32>,
    },
    /// A round trip was measured.
    Rtt {
        /// The measuring side.
        side: Side,
        /// Session number.
        session: u32,
        /// The round-trip time.
        ms: u32,
    },
    /// The state of a tunnel, recorded when it changed, at most every ten milliseconds.
    State(State),
    /// The congestion controller's estimate of the path.
    Path(Path),
    /// A stream was opened on this side.
    Opened {
        /// Side of the stream.
        side: Side,
        /// Session number.
        session: u32,
        /// Stream number within the session.
        stream: u32,
        /// Name of its workload; only at the side that opened the stream.
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
    /// An application closed both directions of a stream.
    Closed(At),
    /// A stream was reset because its session ended.
    Reset(At),
    /// A fault started or healed.
    Fault {
        /// Kind of the fault, as in scenario files.
        kind: FaultName,
        /// The fault has healed.
        #[serde(skip_serializing_if = "is_false", default)]
        healed: bool,
    },
    /// A rule was broken.
    Violation {
        /// Name of the rule.
        rule: Rule,
        /// The values that break it.
        detail: String,
    },
    /// The run is over; its outcome.
    Outcome {
        /// As in results files.
        run: Box<Outcome>,
    },
    /// An event of a later version; never written.
    #[serde(other, skip_serializing)]
    #[schemars(skip)]
    Other,
}

/// A datagram passed to its link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sent {
    /// Number of the datagram.
    pub n: u64,
    /// Sender.
    pub side: Side,
    /// Session number.
    pub session: u32,
    /// Bytes of UDP payload; with TCP, of the IP packet.
    pub bytes: u32,
    /// Position in a shard group; only with FEC.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shard: Option<Shard>,
    /// Segments; empty for parity.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub segments: Vec<Segment>,
}

/// Position of a datagram in the shard groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shard {
    /// Shard number.
    pub seqid: u32,
    /// Parity rather than data.
    #[serde(skip_serializing_if = "is_false", default)]
    pub parity: bool,
}

/// A KCP segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Segment {
    /// Command.
    pub cmd: Command,
    /// Sequence number; in an acknowledgement, that of the acknowledged segment.
    pub sn: u32,
    /// The sender's clock, milliseconds; in an acknowledgement, the echoed clock.
    pub ts: u32,
    /// Next sequence number the sender expects.
    pub una: u32,
    /// Receive window of the sender, segments.
    pub wnd: u16,
    /// Fragments that follow.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub frg: u32,
    /// Payload bytes.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub len: u32,
    /// Retransmission timeout; only of data.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub rto_ms: u32,
    /// Reason of a retransmission; absent for the first transmission.
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
    /// Window probe (IKCP_CMD_WASK).
    Wask,
    /// Window announcement (IKCP_CMD_WINS).
    Wins,
    /// Not a KCP command.
    Unknown,
}

/// Why a segment is retransmitted, as recorded by the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Again {
    /// The cause.
    #[serde(with = "term")]
    #[schemars(schema_with = "term::schema::<Cause>")]
    pub cause: Cause,
    /// Transmissions so far, this one included.
    pub xmit: u32,
    /// Segments sent later whose acknowledgements arrived first; empty for `timeout`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub passed_by: Vec<u32>,
    /// The timeout that expired; 0 unless the cause is `timeout`.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub waited_ms: u32,
}

/// Part of a frame of the multiplexer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Frame {
    /// Command.
    pub cmd: FrameCommand,
    /// Stream number.
    pub stream: u32,
    /// Of data: offset of the first byte in the stream's direction.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub at: u64,
    /// Of data: number of bytes.
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

/// State of a tunnel; lengths and windows in segments.
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

/// The congestion controller's estimate of the path, and values derived from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Path {
    /// Side of the tunnel.
    pub side: Side,
    /// Session number.
    pub session: u32,
    /// Phase of the controller.
    pub phase: String,
    /// Bottleneck bandwidth, bytes of segments per second.
    pub bandwidth_bytes_s: u64,
    /// Minimum round-trip time.
    pub min_rtt_us: u64,
    /// Pacing rate, bytes per second.
    pub pacing_bytes_s: u64,
    /// Bytes that may be in flight.
    pub window_bytes: u64,
    /// Bytes in flight.
    pub in_flight_bytes: u64,
    /// Random loss rate, parts per million.
    pub loss_ppm: u32,
}

/// A stream on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct At {
    /// Side of the stream.
    pub side: Side,
    /// Session number.
    pub session: u32,
    /// Stream number within the session.
    pub stream: u32,
}

/// Bytes of a stream on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// Side of the stream.
    pub side: Side,
    /// Session number.
    pub session: u32,
    /// Stream number within the session.
    pub stream: u32,
    /// Offset of the first byte in its direction.
    pub at: u64,
    /// Number of bytes.
    pub len: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
const fn is_false(value: &bool) -> bool {
    !*value
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

terms! {
    /// The elements that drop packets.
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
    /// Short text of the reason.
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
