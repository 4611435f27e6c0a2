//! Streaming reader of pcap and pcapng files: one packet in memory at a time.

use crate::golden::capture::pcap::ByteOrder;
use std::io::{self, Read};

/// Maximum length of a captured packet, bytes: tcpdump's largest snapshot.
const PACKET_BYTES_MAX: usize = 262_144;

/// Maximum length of a pcapng block, bytes.
const BLOCK_BYTES_MAX: usize = 1 << 24;

/// Maximum number of interfaces of a pcapng section.
const INTERFACES_MAX: usize = 1_024;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const TIME_RESOLUTION: u16 = 9;

/// Where and why a capture stops being readable.
#[derive(Debug, thiserror::Error)]
#[error("byte {offset}, after {records} packets: {why}")]
pub struct SourceError {
    /// Offset in the file.
    pub offset: u64,
    /// Packets before it.
    pub records: u64,
    /// The defect.
    pub why: String,
}

/// One captured packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'s> {
    /// Position in the file, from 1 as in capture viewers.
    pub number: u64,
    /// Wall-clock time, microseconds; 0 if the file has none.
    pub at_us: u64,
    /// The captured IP packet; `None` if it is of another protocol.
    pub ip: Option<&'s [u8]>,
}

/// A capture that is being read.
#[derive(Debug)]
pub struct Source<R> {
    input: R,
    offset: u64,
    records: u64,
    format: Format,
    buffer: Vec<u8>,
}

#[derive(Debug)]
enum Format {
    Pcap { order: ByteOrder, link: u32 },
    Pcapng { big_endian: bool, interfaces: Vec<Interface> },
}

#[derive(Debug, Clone, Copy)]
struct Interface {
    link: u32,
    ticks_per_s: u64,
}

impl<R: Read> Source<R> {
    /// Reads the file header.
    ///
    /// # Errors
    /// The file is not a pcap or pcapng file, or cannot be read.
    pub fn open(input: R) -> Result<Self, SourceError> {
        let format = Format::Pcapng { big_endian: false, interfaces: Vec::new() };
        let mut source = Self { input, offset: 0, records: 0, format, buffer: Vec::new() };
        let magic = match source.fill(4)? {
            4 => [source.buffer[0], source.buffer[1], source.buffer[2], source.buffer[3]],
            _ => return Err(source.defect("neither a pcap nor a pcapng file: shorter than 4 bytes".into())),
        };
        if magic == SECTION_HEADER.to_be_bytes() {
            source.section()?;
            return Ok(source);
        }
        let Some(order) = ByteOrder::of(&magic) else {
            return Err(source.at(0, "neither a pcap nor a pcapng file".into()));
        };
        source.whole(20, "file header")?;
        let link = order.u32_at(&source.buffer, 16).unwrap_or(0) & 0xffff;
        source.format = Format::Pcap { order, link };
        Ok(source)
    }

    /// The next packet; `None` at the end of the file.
    ///
    /// # Errors
    /// The file is damaged or ends within a packet; everything before was returned.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, SourceError> {
        let found = match self.format {
            Format::Pcap { order, link } => self.pcap(order, link)?,
            Format::Pcapng { .. } => self.pcapng()?,
        };
        let Some((at_us, link, from, to)) = found else { return Ok(None) };
        self.records += 1;
        let ip = self.buffer.get(from..to).and_then(|bytes| ip_packet(link, bytes));
        Ok(Some(Record { number: self.records, at_us, ip }))
    }

    /// Time, link type and place in the buffer.
    fn pcap(&mut self, order: ByteOrder, link: u32) -> Result<Option<(u64, u32, usize, usize)>, SourceError> {
        let start = self.offset;
        match self.fill(16)? {
            0 => return Ok(None),
            16 => {}
            _ => return Err(self.at(start, "the file ends within the header of a packet".into())),
        }
        let word = |at| order.u32_at(&self.buffer, at).unwrap_or(0);
        let (seconds, fraction, len) = (u64::from(word(0)), u64::from(word(4)), word(8) as usize);
        if len > PACKET_BYTES_MAX {
            return Err(self.at(start, format!("a packet of {len} bytes, more than {PACKET_BYTES_MAX}")));
        }
        if self.fill(len)? < len {
            return Err(self.at(start, format!("the file ends within a packet of {len} bytes")));
        }
        let at_us = seconds * 1_000_000 + if order.nanoseconds { fraction / 1_000 } else { fraction };
        Ok(Some((at_us, link, 0, len)))
    }

    fn pcapng(&mut self) -> Result<Option<(u64, u32, usize, usize)>, SourceError> {
        loop {
            let start = self.offset;
            match self.fill(4)? {
                0 => return Ok(None),
                4 => {}
                _ => return Err(self.at(start, "the file ends within a block".into())),
            }
            let kind = self.word(0);
            if kind == SECTION_HEADER {
                self.section()?;
                continue;
            }
            self.block(start)?;
            match kind {
                INTERFACE_DESCRIPTION => self.interface(start)?,
                ENHANCED_PACKET => return self.enhanced(start).map(Some),
                SIMPLE_PACKET => {
                    let len = (self.word(0) as usize).min(self.buffer.len().saturating_sub(4));
                    let link = self.interfaces().first().map_or(0, |interface| interface.link);
                    return Ok(Some((0, link, 4, 4 + len)));
                }
                _ => {}
            }
        }
    }

    /// Reads the body of a block, and the length behind it.
    fn block(&mut self, start: u64) -> Result<(), SourceError> {
        self.whole(4, "block")?;
        let total = self.word(0) as usize;
        if !(12..=BLOCK_BYTES_MAX).contains(&total) || !total.is_multiple_of(4) {
            return Err(self.at(start, format!("a block of {total} bytes")));
        }
        self.whole(total - 8, "block")?;
        if self.word(total - 12) as usize != total {
            return Err(self.at(start, format!("a block of {total} bytes ends with another length")));
        }
        self.buffer.truncate(total - 12);
        Ok(())
    }

    /// A section header, behind its type: byte order, then the rest of the block.
    fn section(&mut self) -> Result<(), SourceError> {
        let start = self.offset.saturating_sub(4);
        self.whole(8, "section header")?;
        let big_endian = match self.buffer[4..8] {
            [0x4d, 0x3c, 0x2b, 0x1a] => false,
            [0x1a, 0x2b, 0x3c, 0x4d] => true,
            _ => return Err(self.at(start, "a section header without its byte order".into())),
        };
        self.format = Format::Pcapng { big_endian, interfaces: Vec::new() };
        let total = self.word(0) as usize;
        if !(28..=BLOCK_BYTES_MAX).contains(&total) {
            return Err(self.at(start, format!("a section header of {total} bytes")));
        }
        self.whole(total - 12, "section header")
    }

    fn interface(&mut self, start: u64) -> Result<(), SourceError> {
        let link = self.word(0) & 0xffff;
        let mut ticks_per_s = 1_000_000;
        let mut at = 8;
        while let Some((code, value)) = self.option(at) {
            if code == TIME_RESOLUTION && !value.is_empty() {
                let power = u32::from(value[0] & 0x7f);
                let base: u64 = if value[0] & 0x80 == 0 { 10 } else { 2 };
                ticks_per_s = base.checked_pow(power).unwrap_or(1_000_000);
            }
            at += 4 + value.len().next_multiple_of(4);
        }
        match &mut self.format {
            Format::Pcapng { interfaces, .. } if interfaces.len() < INTERFACES_MAX => {
                interfaces.push(Interface { link, ticks_per_s });
                Ok(())
            }
            _ => Err(self.at(start, format!("more than {INTERFACES_MAX} interfaces"))),
        }
    }

    fn option(&self, at: usize) -> Option<(u16, &[u8])> {
        let head = self.buffer.get(at..at + 4)?;
        let short = |at: usize| {
            let two = [head[at], head[at + 1]];
            if self.big_endian() { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) }
        };
        let (code, len) = (short(0), usize::from(short(2)));
        (code != 0).then_some((code, self.buffer.get(at + 4..at + 4 + len)?))
    }

    fn enhanced(&self, start: u64) -> Result<(u64, u32, usize, usize), SourceError> {
        let Some(interface) = self.interfaces().get(self.word(0) as usize) else {
            return Err(self.at(start, format!("a packet of interface {}, which is unknown", self.word(0))));
        };
        let ticks = u64::from(self.word(4)) << 32 | u64::from(self.word(8));
        let at_us = u128::from(ticks) * 1_000_000 / u128::from(interface.ticks_per_s);
        let len = self.word(12) as usize;
        if self.buffer.len() < 20 || len > self.buffer.len() - 20 {
            return Err(self.at(start, format!("a packet of {len} bytes is longer than its block")));
        }
        Ok((at_us as u64, interface.link, 20, 20 + len))
    }

    fn interfaces(&self) -> &[Interface] {
        match &self.format {
            Format::Pcapng { interfaces, .. } => interfaces,
            Format::Pcap { .. } => &[],
        }
    }

    const fn big_endian(&self) -> bool {
        matches!(self.format, Format::Pcapng { big_endian: true, .. })
    }

    /// A number of the buffer in the section's byte order; 0 beyond its end.
    fn word(&self, at: usize) -> u32 {
        let order = ByteOrder { big_endian: self.big_endian(), nanoseconds: false };
        order.u32_at(&self.buffer, at).unwrap_or(0)
    }

    fn whole(&mut self, len: usize, of: &str) -> Result<(), SourceError> {
        let start = self.offset;
        match self.fill(len)? {
            read if read < len => Err(self.at(start, format!("the file ends within a {of}"))),
            _ => Ok(()),
        }
    }

    /// Reads up to `len` bytes into the buffer; fewer only at the end of the file.
    fn fill(&mut self, len: usize) -> Result<usize, SourceError> {
        self.buffer.resize(len, 0);
        let mut read = 0;
        while read < len {
            match self.input.read(&mut self.buffer[read..]) {
                Ok(0) => break,
                Ok(n) => read += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.defect(error.to_string())),
            }
        }
        self.offset += read as u64;
        Ok(read)
    }

    const fn defect(&self, why: String) -> SourceError {
        self.at(self.offset, why)
    }

    const fn at(&self, offset: u64, why: String) -> SourceError {
        SourceError { offset, records: self.records, why }
    }
}

/// The IP packet in a captured packet, by the link type of the capture.
fn ip_packet(link: u32, bytes: &[u8]) -> Option<&[u8]> {
    const IP: [u16; 2] = [0x0800, 0x86dd];
    let ether_type = |at: usize| bytes.get(at..at + 2).map(|two| u16::from_be_bytes([two[0], two[1]]));
    match link {
        // Ethernet, with up to two VLAN tags.
        1 => {
            let tag = |at: usize| matches!(ether_type(at), Some(0x8100 | 0x88a8));
            let at = (12..=20).step_by(4).find(|at| !tag(*at))?;
            IP.contains(&ether_type(at)?).then(|| &bytes[at + 2..])
        }
        // Null and loop: an address family in front.
        0 | 108 => bytes.get(4..),
        12 | 14 | 101 | 228 | 229 => Some(bytes),
        // Linux cooked, versions 1 and 2.
        113 => IP.contains(&ether_type(14)?).then(|| bytes.get(16..)).flatten(),
        276 => IP.contains(&ether_type(0)?).then(|| bytes.get(20..)).flatten(),
        _ => None,
    }
}
