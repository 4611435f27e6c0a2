//! `NAME.json` of a capture: programs and settings, contents of the streams, figures of an independent decoder.

use super::{Checked, broken};
use engine::mux::Dialect;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A recorded case. Keys that are not read are settings of the Go programs without effect on the wire.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct CaptureFile {
    pub(super) format: String,
    pub(super) peer: Peers,
    /// Only of forged TCP.
    pub(super) transport: Option<Transport>,
    pub(super) mux: String,
    pub(super) settings: Sides,
    pub(super) streams: Vec<Stream>,
    pub(super) captures: Vec<Leg>,
}

impl CaptureFile {
    /// The multiplexer, under the engine's name.
    pub(super) fn dialect(&self) -> Checked<Dialect> {
        Dialect::from_name(&self.mux).map_or_else(|| broken(format!("multiplexer {:?}", self.mux)), Ok)
    }
}

/// The prefixes of the two programs: `up26`, `deb21`, `b204`, `o17`, `o16`, `t17`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Peers {
    pub(super) client_id: String,
    pub(super) server_id: String,
}

/// The implementations of forged TCP.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Transport {
    pub(super) client: String,
    pub(super) server: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Sides {
    pub(super) client: Side,
    pub(super) server: Side,
}

/// Effective settings of one program.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Side {
    pub(super) crypt: String,
    pub(super) key: String,
    pub(super) rcvwnd: i64,
    pub(super) datashard: usize,
    pub(super) parityshard: usize,
    pub(super) nocomp: bool,
    #[serde(default = "version_one")]
    pub(super) smuxver: u8,
    /// kcptunB: stream buffers.
    #[serde(default = "enabled")]
    pub(super) streambuf_en: bool,
    #[serde(rename = "QPP", default)]
    pub(super) qpp: bool,
    #[serde(rename = "QPPCount", default)]
    pub(super) qpp_count: u16,
}

const fn enabled() -> bool {
    true
}

/// Programs without the flag use version 1.
const fn version_one() -> u8 {
    1
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Stream {
    pub(super) index: usize,
    pub(super) c2s: Half,
    pub(super) s2c: Half,
}

/// One direction of a stream.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Half {
    pub(super) length: usize,
    pub(super) sha256: String,
    pub(super) parts: Vec<Part>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Part {
    Literal { text: String },
    Rand { seed: String, len: usize },
    Text { seed: String, len: usize },
}

/// One packet capture of the case.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Leg {
    pub(super) file: String,
    pub(super) server: String,
    pub(super) server_port: u16,
    pub(super) clients: Vec<String>,
    pub(super) datagrams: usize,
    pub(super) frames: Option<usize>,
    pub(super) duration_ms: u64,
    /// Only of forged TCP.
    #[serde(default)]
    pub(super) tcp: Vec<TcpConnection>,
    pub(super) connections: Vec<Connection>,
    pub(super) streams: Vec<Carried>,
}

/// One TCP connection. The figures of a direction remain a JSON object, so that none is skipped.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct TcpConnection {
    pub(super) client_port: u16,
    pub(super) first_frame_ms: u64,
    pub(super) c2s: Value,
    pub(super) s2c: Value,
}

/// One client address. The figures of a direction remain a JSON object, so that none is skipped.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Connection {
    pub(super) client_port: u16,
    pub(super) server_port: u16,
    pub(super) conv: u32,
    pub(super) c2s: Map<String, Value>,
    pub(super) s2c: Map<String, Value>,
}

/// Connection and ids of a stream.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Carried {
    pub(super) index: usize,
    pub(super) connection: usize,
    pub(super) mux_stream_id: u32,
    pub(super) fin_c2s: bool,
    pub(super) fin_s2c: bool,
}
