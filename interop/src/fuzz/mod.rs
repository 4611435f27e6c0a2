//! Bodies of the fuzz targets: each takes any bytes, acts them out on one layer and panics when a promise is broken.
//!
//! The fuzzer of `interop/fuzz` and the replay of its corpora in the normal tests call the same functions. Bytes are read
//! as numbers and operations by [`Script`]; a script that runs out reads zeros, so every input means something.

mod arq;
mod crypt;
mod fec;
mod forged;
mod mux;
mod qpp;
mod script;
mod session;
mod snappy;
pub mod steps;
mod tunnel;
mod work;

pub use arq::kcp_input;
pub use crypt::datagram_open;
pub use fec::fec_decode;
pub use forged::tcp_frame;
pub use mux::{smux1, smux2, smuxb, yamux};
pub use qpp::qpp;
pub use script::Script;
pub use session::session;
pub use snappy::snappy_decode;
pub use tunnel::tunnel;
pub use work::work;
#[cfg(feature = "planted")]
pub use work::work_planted;

use steps::{Limit, Meter};

/// A fuzz target: the name of its corpus folder, its body, and the steps that an input may take.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name of the target and of its corpus folder.
    pub name: &'static str,
    /// Acts out an input.
    pub body: fn(&[u8]),
    /// Steps for each byte of an input, and for an empty one.
    pub steps: (u64, u64),
}

/// The targets. Their limits are four to ten times what the costliest inputs take that were found in a minute; a script may
/// write a fixed number of bytes in frames of one byte, which is most of the reserve. The JSON reader's target is in the programs' crate, which this one must not depend on.
pub const TARGETS: [Target; 13] = [
    Target { name: "datagram_open", body: datagram_open, steps: (1_500, 20_000) },
    Target { name: "kcp_input", body: kcp_input, steps: (2_500, 20_000) },
    Target { name: "fec_decode", body: fec_decode, steps: (10_000, 3_000_000) },
    Target { name: "tcp_frame", body: tcp_frame, steps: (120, 5_000) },
    Target { name: "smux1", body: smux1, steps: (60_000, 60_000_000) },
    Target { name: "smux2", body: smux2, steps: (60_000, 60_000_000) },
    Target { name: "smuxb", body: smuxb, steps: (60_000, 60_000_000) },
    Target { name: "yamux", body: yamux, steps: (60_000, 60_000_000) },
    Target { name: "snappy_decode", body: snappy_decode, steps: (5_000, 2_000_000) },
    Target { name: "qpp", body: qpp, steps: (100, 5_000) },
    Target { name: "tunnel", body: tunnel, steps: (6_000, 2_000_000) },
    Target { name: "session", body: session, steps: (100_000, 40_000_000) },
    Target { name: "work", body: work, steps: (4_000_000, 40_000_000) },
];

/// The target of that name.
///
/// # Panics
/// When there is none.
pub fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).expect("a target of that name")
}

/// Acts out an input of the target of that name.
///
/// # Panics
/// When a promise is broken or the input takes too many steps; when there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let Target { body, steps: (per_byte, reserve), .. } = target(name);
    let limit = Limit { reserve: *reserve, per_call: 0, per_byte: *per_byte };
    Meter::new(limit).call(data.len(), || body(data));
}
