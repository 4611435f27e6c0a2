//! Captures of a line: one interface for each place, so that `frame.interface_name` tells what arrived and what left.

use sim::Direction;
use sim::pcapng::Pcapng;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Places in the order of their interface numbers.
const INTERFACES: [&str; 4] = ["up-arrived", "up-left", "down-arrived", "down-left"];

/// A pcapng file that is being written.
#[derive(Debug)]
pub struct Capture(Pcapng<BufWriter<File>>);

impl Capture {
    /// Makes the file, or empties it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        Pcapng::new(BufWriter::new(File::create(path)?), &INTERFACES).map(Self)
    }

    /// Adds a packet that arrived at the line, or left it, at this moment.
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

    /// Hands what is buffered to the system.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
