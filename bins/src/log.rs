//! Log lines in the form of Go's log package, or as JSON (CLI-17, CLI-30).
//!
//! A thread of its own writes them, so that a log that is not read, or a disk without room, delays nothing else (CLI-60).

mod queue;
mod writer;

use crate::local_time::LocalTime;
use crate::path_of;
use queue::Queue;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::OnceLock;
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
    /// `{"time":"..","message":".."}`, time as in RFC 3339.
    Json,
}

engine::named! { Format { Text = "text", Json = "json", } }

/// Where lines go once the log is open.
#[derive(Debug)]
struct Sink {
    queue: &'static Queue,
    format: Format,
}

static QUEUE: Queue = Queue::new();
static SINK: OnceLock<Sink> = OnceLock::new();

/// Sends the lines from here on to `path`, appended, in `format`; an empty path is standard error. Works once in a process.
///
/// # Errors
/// The file cannot be opened for writing, or the system has no room for a thread.
pub fn open(path: &str, format: Format) -> io::Result<()> {
    let out: Box<dyn Write + Send> = match path {
        "" => Box::new(io::stderr()),
        path => Box::new(OpenOptions::new().append(true).create(true).open(path_of(path))?),
    };
    let sink = Sink { queue: &QUEUE, format };
    if SINK.set(sink).is_ok() {
        let thread = std::thread::Builder::new().name("log".into());
        thread.spawn(move || Writer::new(out, format).run(&QUEUE))?;
    }
    Ok(())
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
pub fn line(text: fmt::Arguments<'_>) {
    if KEPT.with_borrow_mut(|kept| kept.as_mut().map(|kept| kept.push(text.to_string()))).is_some() {
        return;
    }
    let rendered = |format| render(format, &LocalTime::now(), &text.to_string());
    match SINK.get() {
        Some(sink) => sink.queue.push(&rendered(sink.format)),
        // A log that cannot be written is no reason to stop forwarding.
        None => drop(io::stderr().lock().write_all(rendered(Format::Text).as_bytes())),
    }
}

/// `log::line(format_args!(..))`.
macro_rules! log_line {
    ($($argument:tt)*) => { $crate::log::line(format_args!($($argument)*)) };
}
pub(crate) use log_line;

/// Line ends inside the text become blanks, so that nothing from outside can forge a line.
fn render(format: Format, time: &LocalTime, text: &str) -> String {
    match format {
        Format::Text => {
            format!("{} {}\n", time.format("2006/01/02 15:04:05"), text.replace(['\n', '\r'], " "))
        }
        Format::Json => {
            let time = time.format("2006-01-02T15:04:05.000Z07:00");
            format!("{}\n", serde_json::json!({ "time": time, "message": text }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CLI-17, CLI-30
    #[test]
    fn a_line_is_one_line_in_both_formats() {
        let time = LocalTime::at(1_772_849_109, 123_456_789);
        let text = render(Format::Text, &time, "a\nb\r\"c\"");
        assert!(text.starts_with("2026/03/0") && text.ends_with(" a b \"c\"\n"), "{text}");
        let text = render(Format::Json, &time, "a\nb\r\"c\"");
        assert_eq!(text.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["message"], "a\nb\r\"c\"");
        assert!(value["time"].as_str().unwrap().contains(".123"), "{text}");
        assert_eq!(Format::from_name("xml"), None);
    }
}
