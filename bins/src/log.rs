//! Log lines in the form of Go's log package, or as JSON (CLI-17, CLI-30, CLI-103).
//!
//! A thread of its own writes them, so that a log that is not read, or a disk without room, delays nothing else (CLI-60).

mod limit;
mod queue;
mod record;
mod writer;

pub(crate) use limit::{Bucket, forget, permit};
pub use record::{Level, Record};
pub(crate) use record::{log_event, log_limited};

use crate::local_time::LocalTime;
use crate::platform::text::path_of;
use queue::Queue;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use writer::Writer;

/// Time that the last lines of a program get to be written.
const FLUSH_MAX: Duration = Duration::from_millis(500);

/// Shape of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `YYYY/MM/DD HH:MM:SS text`
    #[default]
    Text,
    /// An object with time as in RFC 3339, level, event, the event's fields, and message.
    Json,
}

engine::named! { Format { Text = "text", Json = "json", } }

/// Where lines go once the log is open.
#[derive(Debug)]
struct Sink {
    queue: &'static Queue,
    format: Format,
    level: Level,
}

static QUEUE: Queue = Queue::new();
static SINK: OnceLock<Sink> = OnceLock::new();

/// The file is to be opened again before the next line.
static REOPEN: AtomicBool = AtomicBool::new(false);

/// Sends the lines from here on to `path`, appended, in `format`, down to `level`; an empty path is standard error. Works once in a
/// process.
///
/// # Errors
/// The file cannot be opened for writing, or the system has no room for a thread.
pub fn open(path: &str, format: Format, level: Level) -> io::Result<()> {
    let path = path.to_owned();
    let out: Box<dyn Write + Send> = match path.as_str() {
        "" => Box::new(io::stderr()),
        path => Box::new(append(path)?),
    };
    let sink = Sink { queue: &QUEUE, format, level };
    if SINK.set(sink).is_ok() {
        let reopen = move || -> Option<io::Result<Box<dyn Write + Send>>> {
            let wanted = REOPEN.swap(false, Ordering::Relaxed) && !path.is_empty();
            wanted.then(|| Ok(Box::new(append(&path)?) as _))
        };
        let thread = std::thread::Builder::new().name("log".into());
        thread.spawn(move || Writer::new(out, format).run(&QUEUE, reopen))?;
    }
    Ok(())
}

fn append(path: &str) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path_of(path))
}

/// Opens the log file again before the next line, so that a file that was renamed meanwhile can be removed (CLI-104). If that fails,
/// lines go on to the old one.
pub fn reopen() {
    REOPEN.store(true, Ordering::Relaxed);
}

/// Waits until the lines so far are written, half a second at most, when it is dropped: at the end of the program, in whatever way.
#[derive(Debug)]
pub struct Flushed;

impl Drop for Flushed {
    fn drop(&mut self) {
        if let Some(sink) = SINK.get() {
            sink.queue.flush(FLUSH_MAX);
        }
    }
}

thread_local! {
    static KEPT: std::cell::RefCell<Option<Vec<String>>> = const { std::cell::RefCell::new(None) };
}

/// The thread's lines since the last call. From the first call on they are kept for the next one instead of written.
pub fn take() -> Vec<String> {
    KEPT.replace(Some(Vec::new())).unwrap_or_default()
}

/// Writes one line, local time, to the log.
pub fn record(record: &Record<'_>) {
    if KEPT.with_borrow_mut(|kept| kept.as_mut().map(|kept| kept.push(record.message()))).is_some() {
        return;
    }
    match SINK.get() {
        Some(sink) if record.level > sink.level => {}
        Some(sink) => sink.queue.push(&record.render(sink.format, &LocalTime::now())),
        // A log that cannot be written is no reason to stop forwarding.
        None => {
            drop(io::stderr().lock().write_all(record.render(Format::Text, &LocalTime::now()).as_bytes()))
        }
    }
}

/// As [`record`], without fields.
pub fn line(level: Level, event: &'static str, text: fmt::Arguments<'_>) {
    record(&Record { level, event, fields: &[], left_out: 0, text });
}

/// A line about the program itself, at [`Level::Info`].
macro_rules! log_line {
    ($($argument:tt)*) => {
        $crate::log::line($crate::log::Level::Info, "program", format_args!($($argument)*))
    };
}
pub(crate) use log_line;

#[cfg(test)]
mod tests {
    use super::*;

    // CLI-17, CLI-30, CLI-103
    #[test]
    fn a_line_is_one_line_in_both_formats() {
        let time = LocalTime::at(1_772_849_109, 123_456_789);
        let render = |format| {
            let fields: &[(&'static str, &dyn fmt::Display)] = &[("peer", &"192.0.2.1:1"), ("session", &7)];
            let (level, left_out) = (Level::Warn, 2);
            let text = format_args!("a\nb\r\"c\"");
            Record { level, event: "closed", fields, left_out, text }.render(format, &time)
        };
        let text = render(Format::Text);
        assert!(
            text.starts_with("2026/03/0") && text.ends_with(" a b \"c\" (2 similar lines left out)\n"),
            "{text}"
        );
        let text = render(Format::Json);
        assert_eq!(text.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["message"], "a\nb\r\"c\" (2 similar lines left out)");
        assert_eq!((&value["level"], &value["event"]), (&"warn".into(), &"closed".into()));
        assert_eq!((&value["peer"], &value["session"]), (&"192.0.2.1:1".into(), &7.into()));
        assert_eq!(value["left_out"], 2);
        assert!(value["time"].as_str().unwrap().contains(".123"), "{text}");
        assert_eq!(Format::from_name("xml"), None);
    }
}
