//! What a capture shows: datagrams layer by layer, streams, totals.

use serde::Serialize;
use sim::Direction;
use sim::record::{Segment, Shard};
use std::net::SocketAddr;

/// A datagram of the capture, layer by layer. Times are microseconds since the first packet.
#[derive(Debug, Clone, Serialize)]
pub struct Seen {
    /// Number of the packet in the file, from 1.
    pub n: u64,
    /// Time.
    pub t: u64,
    /// Sender.
    pub from: SocketAddr,
    /// Receiver.
    pub to: SocketAddr,
    /// Direction.
    pub dir: Direction,
    /// Bytes of UDP payload, or of payload of a forged TCP segment.
    pub bytes: usize,
    /// Number of an earlier packet with the same bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<u64>,
    /// Cipher by which it opened; absent if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cipher: Option<&'static str>,
    /// Number of the session, from 0; absent for parity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<u32>,
    /// FEC packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fec: Option<Fec>,
    /// KCP segments in the datagram.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<SeenSegment>,
    /// Data packets that parity rebuilds with this datagram.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rebuilt: Vec<Rebuilt>,
    /// Data that reaches the multiplexer with this datagram.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_order: Option<InOrder>,
    /// Frames of the multiplexer in that data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<SeenFrame>,
    /// Data numbers that are acknowledged for the first time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub acked: Vec<u32>,
    /// Defects and conclusions, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Payload inside the encryption.
    #[serde(skip)]
    pub clear: Option<Vec<u8>>,
}

/// Place of an FEC packet.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Fec {
    /// Number and kind.
    #[serde(flatten)]
    pub shard: Shard,
    /// Group and place in it; absent if the shape is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<(u32, u32)>,
}

/// A KCP segment.
#[derive(Debug, Clone, Serialize)]
pub struct SeenSegment {
    /// The segment; causes of retransmissions are inferred from the acknowledgements in the capture.
    #[serde(flatten)]
    pub segment: Segment,
    /// Of a retransmission: number of the packet with the first transmission.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_in: Option<u64>,
    /// Of a retransmission: the capture has an earlier acknowledgement of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unnecessary: bool,
    /// Of an acknowledgement: microseconds since the segment was last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_us: Option<u64>,
}

/// A data packet rebuilt from parity.
#[derive(Debug, Clone, Serialize)]
pub struct Rebuilt {
    /// Numbers of its data segments.
    pub sns: Vec<u32>,
    /// Those among them that the capture did not have before.
    pub new: Vec<u32>,
}

/// Data that became readable.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct InOrder {
    /// First segment.
    pub first: u32,
    /// Last segment.
    pub last: u32,
    /// Time for which later segments had been waiting, microseconds.
    pub waited_us: u64,
}

/// A frame of the multiplexer, or a part of its payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeenFrame {
    /// Name of the command.
    pub cmd: String,
    /// Stream, or the number of a keepalive.
    pub stream: u32,
    /// Of data: offset of the first byte in its direction of the stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// Of data: number of bytes; of other frames the length field, if not 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub len: u64,
    /// Of an update of smux 2: bytes consumed, and window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<(u32, u32)>,
}

/// One direction of a stream.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Half {
    /// Bytes carried.
    pub bytes: u64,
    /// Times of the first and the last byte.
    pub first: Option<u64>,
    /// Time of the last byte.
    pub last: Option<u64>,
    /// Time of the end.
    pub end: Option<u64>,
    /// The end was that of a reset.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
    /// Number of times at which its bytes had waited for a lost segment.
    pub waits: u64,
    /// Time for which they had waited, microseconds.
    pub waited_us: u64,
    /// The longest such time.
    pub waited_us_max: u64,
}

/// A stream of a session.
#[derive(Debug, Clone, Serialize)]
pub struct Stream {
    /// Session.
    pub session: u32,
    /// Number within the session.
    pub stream: u32,
    /// Time of its first frame.
    pub opened: u64,
    /// From client to server.
    pub up: Half,
    /// From server to client.
    pub down: Half,
}

/// Totals of one direction of two addresses.
#[derive(Debug, Clone, Default, Serialize)]
#[expect(missing_docs, reason = "counts by name, explained by the words of the text form")]
pub struct Totals {
    pub datagrams: u64,
    pub bytes: u64,
    pub unopened: u64,
    pub duplicates: u64,
    pub pushes: u64,
    pub acks: u64,
    pub retransmitted: u64,
    pub fast: u64,
    pub timeout: u64,
    pub unnecessary: u64,
    pub fec_data: u64,
    pub fec_parity: u64,
    pub fec_missing: u64,
    pub rebuilt: u64,
}

/// Two addresses and what they exchanged.
#[derive(Debug, Clone, Serialize)]
pub struct Flow {
    /// The client.
    pub client: SocketAddr,
    /// The server.
    pub server: SocketAddr,
    /// Forged TCP rather than UDP.
    pub tcp: bool,
    /// Cipher; absent if none opens a datagram.
    pub cipher: Option<&'static str>,
    /// Data and parity shards of the client.
    pub client_fec: Option<(usize, usize)>,
    /// Data and parity shards of the server.
    pub server_fec: Option<(usize, usize)>,
    /// Conversations.
    pub convs: Vec<u32>,
    /// From client to server.
    pub up: Totals,
    /// From server to client.
    pub down: Totals,
}

/// A KCP conversation.
#[derive(Debug, Clone, Serialize)]
pub struct Session {
    /// Number, from 0.
    pub session: u32,
    /// Conversation.
    pub conv: u32,
    /// The server.
    pub server: SocketAddr,
    /// Whether the client and the server compress; absent if the capture does not show it.
    pub compressed: [Option<bool>; 2],
    /// Multiplexer by name; absent if the capture does not show it.
    pub mux: Option<String>,
    /// Frames by direction and name.
    pub frames: [std::collections::BTreeMap<String, u64>; 2],
    /// Why frames are not shown from some point on.
    pub lost: [Option<String>; 2],
}

const fn is_zero(value: &u64) -> bool {
    *value == 0
}
