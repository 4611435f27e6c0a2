//! From settings, or the first bytes of a client, to a dialect.

use super::dialect::Dialect;
use super::smux::Smux;
use super::{Mux, Role, Settings, smuxb, yamux};
use crate::time::Instant;

/// One end of a session of the dialect that the settings name, whose timers start at `now`. Settings outside their limits
/// are brought to the nearest limit.
pub fn start_session(settings: Settings, role: Role, now: Instant) -> Box<dyn Mux> {
    match settings.dialect {
        Dialect::Smux => Box::new(Smux::new(settings, role, now)),
        Dialect::Smuxb => smuxb::new(settings, role, now),
        Dialect::Yamux => yamux::new(settings, role, now),
    }
}

/// Bytes of the first frame by which a dialect is recognised.
pub const RECOGNISED_BYTES: usize = 8;

impl Settings {
    /// Adopts the dialect and version of a client whose stream begins with these bytes, or keeps what is set when no dialect
    /// begins like that (MUX-1).
    ///
    /// A client of yamux opens a stream or pings. kcptunB begins with the NOP number 1. The NOPs of other versions have other
    /// numbers; the first frame of kcptun is the SYN of stream 3.
    pub fn recognise(&mut self, first: [u8; RECOGNISED_BYTES]) {
        match first {
            [0, 0..=3, 0, 0..=15, ..] => self.dialect = Dialect::Yamux,
            [1, 3, 0, 0, 1, 0, 0, 0] => (self.dialect, self.version) = (Dialect::Smuxb, 1),
            [version @ 1..=2, 0..=4, ..] => (self.dialect, self.version) = (Dialect::Smux, version),
            _ => {}
        }
    }
}
