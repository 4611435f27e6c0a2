//! Bodies of the fuzz targets: each takes any bytes, acts them out on one layer and panics when a promise is broken.
//!
//! The fuzzer of `interop/fuzz` and the replay of its corpora in the normal tests call the same functions. Bytes are read
//! as numbers and operations by [`Script`]; a script that runs out reads zeros, so every input means something.

mod arq;
mod crypt;
mod fec;
mod mux;
mod qpp;
mod script;
mod session;
mod snappy;
mod tunnel;

pub use arq::kcp_input;
pub use crypt::datagram_open;
pub use fec::fec_decode;
pub use mux::{smux1, smux2};
pub use qpp::qpp;
pub use script::Script;
pub use session::session;
pub use snappy::snappy_decode;
pub use tunnel::tunnel;

/// A fuzz target's body.
pub type Body = fn(&[u8]);

/// The targets by the name of their corpus folder. The JSON reader's target is in the programs' crate, which this one must
/// not depend on.
pub const TARGETS: [(&str, Body); 9] = [
    ("datagram_open", datagram_open),
    ("kcp_input", kcp_input),
    ("fec_decode", fec_decode),
    ("smux1", smux1),
    ("smux2", smux2),
    ("snappy_decode", snappy_decode),
    ("qpp", qpp),
    ("tunnel", tunnel),
    ("session", session),
];
