//! The two devices of a network.

use crate::line::Ends;
use crate::sys::Waiter;
use sim::Direction;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;

/// One file of a TUN device for each end: left (the client's), right (the server's).
#[derive(Debug)]
pub(super) struct Devices {
    files: [File; 2],
    /// Where the system counts what it dropped.
    tables: [String; 2],
}

impl Devices {
    pub(super) fn new(files: [File; 2], tables: [String; 2]) -> (Self, Waiter) {
        let mut waiter = Waiter::default();
        files.iter().for_each(|file| waiter.add(file.as_raw_fd()));
        (Self { files, tables }, waiter)
    }
}

impl Ends for Devices {
    fn receive(&mut self, file: usize, _: &mut Waiter, buffer: &mut [u8]) -> Option<(Direction, u16, usize)> {
        let direction = if file == 0 { Direction::Up } else { Direction::Down };
        loop {
            match self.files[file].read(buffer) {
                Ok(len) => return Some((direction, 0, len)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }

    fn send(&mut self, direction: Direction, _: u16, bytes: &[u8]) {
        let to = match direction {
            Direction::Up => 1,
            Direction::Down => 0,
        };
        // A damaged packet may not be taken.
        let _ = self.files[to].write(bytes);
    }

    fn headers(&self, _: Direction, _: u16, _: usize) -> Vec<u8> {
        Vec::new()
    }

    fn files(&self) -> usize {
        2
    }

    fn overflow_packets(&self) -> u64 {
        let dropped = |tables: &String| {
            let table = std::fs::read_to_string(format!("{tables}/dev")).unwrap_or_default();
            table.lines().find_map(dropped_by_device).unwrap_or(0)
        };
        self.tables.iter().map(dropped).sum()
    }
}

/// Packets that found the device's queue full: the twelfth number of its line in `/proc/net/dev`.
fn dropped_by_device(line: &str) -> Option<u64> {
    let numbers = line.trim_start().strip_prefix(super::DEVICE)?.strip_prefix(':')?;
    numbers.split_whitespace().nth(11)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_read_from_the_device_table() {
        let line = "  karst0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16";
        assert_eq!((dropped_by_device(line), dropped_by_device("    lo: 1 2 3")), (Some(12), None));
    }
}
