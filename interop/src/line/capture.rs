//! Captures in pcapng: one interface for each place, so that `frame.interface_name` tells what arrived and what left.

use sim::Direction;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Packets start with an IPv4 or IPv6 header (LINKTYPE_RAW).
const LINKTYPE_RAW: u32 = 101;
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

/// Places in the order of their interface numbers.
const INTERFACES: [&str; 4] = ["up-arrived", "up-left", "down-arrived", "down-left"];

/// A pcapng file that is being written.
#[derive(Debug)]
pub struct Capture<W: Write = BufWriter<File>> {
    out: W,
}

impl Capture {
    /// Makes the file, or empties it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::new(BufWriter::new(File::create(path)?))
    }
}

impl<W: Write> Capture<W> {
    /// Starts a capture with its section and interfaces.
    pub(super) fn new(mut out: W) -> io::Result<Self> {
        // Version 1.0, length of the section unknown.
        let mut section = BYTE_ORDER_MAGIC.to_le_bytes().to_vec();
        section.extend([1, 0, 0, 0]);
        section.extend(u64::MAX.to_le_bytes());
        block(&mut out, SECTION_HEADER, &[&section])?;
        for name in INTERFACES {
            let mut interface = LINKTYPE_RAW.to_le_bytes().to_vec();
            interface.extend(0_u32.to_le_bytes());
            option(&mut interface, 2, name.as_bytes());
            // Timestamps count nanoseconds.
            option(&mut interface, 9, &[9]);
            option(&mut interface, 0, &[]);
            block(&mut out, INTERFACE_DESCRIPTION, &[&interface])?;
        }
        Ok(Self { out })
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
        let len = (headers.len() + bytes.len()) as u32;
        let fields = [interface, (now_ns >> 32) as u32, now_ns as u32, len, len].map(u32::to_le_bytes);
        block(&mut self.out, ENHANCED_PACKET, &[fields.as_flattened(), headers, bytes])
    }

    /// Hands what is buffered to the system.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A block: type, length, body filled up to four bytes, length.
fn block(out: &mut impl Write, kind: u32, parts: &[&[u8]]) -> io::Result<()> {
    let body: usize = parts.iter().map(|part| part.len()).sum();
    let padding = body.next_multiple_of(4) - body;
    let total = (12 + body + padding) as u32;
    out.write_all(&kind.to_le_bytes())?;
    out.write_all(&total.to_le_bytes())?;
    for part in parts {
        out.write_all(part)?;
    }
    out.write_all(&[0; 3][..padding])?;
    out.write_all(&total.to_le_bytes())
}

/// An option: code, length, value filled up to four bytes.
fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_whole_words_and_say_their_length_twice() {
        let mut capture = Capture::new(Vec::new()).unwrap();
        capture.write(Direction::Down, true, &[1, 2], &[3, 4, 5]).unwrap();
        let mut rest = capture.out.as_slice();
        let mut kinds = Vec::new();
        let word = |at: usize, from: &[u8]| u32::from_le_bytes(from[at..at + 4].try_into().unwrap());
        while !rest.is_empty() {
            let total = word(4, rest) as usize;
            assert_eq!((total % 4, word(total - 4, rest) as usize), (0, total));
            kinds.push(word(0, rest));
            if kinds.len() == 6 {
                assert_eq!((word(8, rest), word(20, rest), &rest[28..33]), (3, 5, &[1, 2, 3, 4, 5][..]));
            }
            rest = &rest[total..];
        }
        assert_eq!(kinds, [SECTION_HEADER, 1, 1, 1, 1, ENHANCED_PACKET]);
    }
}
