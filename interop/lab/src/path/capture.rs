//! Captures of a path: one interface per capture point, so that `frame.interface_name` separates arrivals from departures.

use sim::Direction;
use sim::pcapng::Pcapng;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Capture points by interface number.
const INTERFACES: [&str; 4] = ["up-arrived", "up-left", "down-arrived", "down-left"];

/// A pcapng file that is being written.
#[derive(Debug)]
pub struct Capture(Pcapng<BufWriter<File>>);

impl Capture {
    /// Creates or truncates the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        Pcapng::new(BufWriter::new(File::create(path)?), &INTERFACES).map(Self)
    }

    /// Appends a packet that arrived at the link or left it.
    pub(super) fn write(
        &mut self,
        direction: Direction,
        left: bool,
        headers: &[u8],
        bytes: &[u8],
    ) -> io::Result<()> {
        let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let interface = 2 * super::index(direction) as u32 + u32::from(left);
        self.0.write(interface, now_ns, [headers, bytes], "")
    }

    /// Writes buffered packets to the file.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
