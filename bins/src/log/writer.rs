//! Writes lines as far as the log takes them, and states how many it did not (CLI-60).

use super::queue::Queue;
use super::{Format, Level, Record};
use crate::local_time::LocalTime;
use std::io::{self, Write};
use std::thread::sleep;
use std::time::Duration;

/// Pause while the log is set to refuse instead of to wait: another program may share its description.
const RETRY: Duration = Duration::from_millis(20);

/// The end of the queue.
pub(super) struct Writer<W> {
    out: W,
    format: Format,
    /// Lines not written since the last report, and why.
    lost: u64,
    reason: String,
    /// The last line written has no end.
    torn: bool,
}

impl<W: Write> Writer<W> {
    pub(super) const fn new(out: W, format: Format) -> Self {
        Self { out, format, lost: 0, reason: String::new(), torn: false }
    }

    /// Writes what the queue holds, without end. `reopen` returns another output when the current one is to be left.
    pub(super) fn run(mut self, queue: &Queue, mut reopen: impl FnMut() -> Option<io::Result<W>>) {
        let mut text = String::new();
        loop {
            let dropped = queue.take(&mut text);
            match reopen() {
                Some(Ok(out)) => (self.out, self.torn) = (out, false),
                Some(Err(error)) => self.complain(&format!("log: cannot be opened again: {error}")),
                None => {}
            }
            self.put(&text, dropped);
        }
    }

    /// Writes whole lines, behind which `dropped` ones are missing.
    pub(super) fn put(&mut self, text: &str, dropped: u64) {
        if self.report() {
            self.write(text);
        } else {
            self.lost += lines(text.as_bytes());
        }
        if dropped > 0 {
            if self.lost == 0 {
                self.reason = "the log was blocked".into();
            }
            self.lost += dropped;
            self.report();
        }
    }

    /// Reports lost lines, if there are any; `false` while the log takes nothing.
    fn report(&mut self) -> bool {
        if self.lost == 0 && !self.torn {
            return true;
        }
        let end = if self.torn { "\n" } else { "" };
        let text = format!("log: lines dropped: {} ({})", self.lost, self.reason);
        let line = format!("{end}{}", self.line(&text));
        let lost = std::mem::take(&mut self.lost);
        self.write(&line);
        if self.lost == 0 {
            return true;
        }
        self.lost = lost;
        false
    }

    fn complain(&mut self, text: &str) {
        let line = self.line(text);
        self.write(&line);
    }

    fn line(&self, text: &str) -> String {
        let record = Record {
            level: Level::Warn,
            event: "log",
            fields: &[],
            left_out: 0,
            text: format_args!("{text}"),
        };
        record.render(self.format, &LocalTime::now())
    }

    /// Writes whole lines; counts those that do not get into the log.
    fn write(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            match self.out.write(rest) {
                Ok(0) => return self.lose(rest, &io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.torn = rest[count - 1] != b'\n';
                    rest = &rest[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(RETRY),
                Err(error) => return self.lose(rest, &error),
            }
        }
    }

    fn lose(&mut self, rest: &[u8], error: &io::Error) {
        self.lost += lines(rest);
        self.reason = error.to_string();
    }
}

fn lines(text: &[u8]) -> u64 {
    text.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for some bytes.
    #[derive(Default)]
    struct Disk {
        room: usize,
        content: Vec<u8>,
    }

    impl Write for &mut Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= count;
            self.content.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    // CLI-60
    #[test]
    fn lines_that_a_full_disk_refuses_are_counted_and_reported_once_it_has_room() {
        let mut disk = Disk { room: 9, ..Disk::default() };
        let mut writer = Writer::new(&mut disk, Format::Text);
        writer.put("first\nsecond\nthird\n", 0);
        writer.put("fourth\n", 2);
        writer.out.room = 1000;
        writer.put("fifth\n", 0);
        writer.put("sixth\n", 4);
        let text = String::from_utf8(disk.content).unwrap();
        let lines: Vec<&str> =
            text.lines().map(|line| line.split_once(" log: ").map_or(line, |(_, text)| text)).collect();
        let (full, blocked) =
            ("lines dropped: 5 (no storage space)", "lines dropped: 4 (the log was blocked)");
        assert_eq!(lines, ["first", "sec", full, "fifth", "sixth", blocked]);
    }

    // CLI-60: the report itself may be torn; no line is counted twice or forgotten.
    #[test]
    fn a_torn_report_is_repeated() {
        let mut disk = Disk::default();
        let mut writer = Writer::new(&mut disk, Format::Text);
        writer.put("first\n", 0);
        writer.out.room = 10;
        writer.put("second\n", 0);
        writer.out.room = 1000;
        writer.put("third\n", 0);
        let text = String::from_utf8(disk.content).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), lines[0].len(), lines[2]), (3, 10, "third"), "{text}");
        assert!(lines[1].contains("lines dropped: 2 "), "{text}");
    }
}
