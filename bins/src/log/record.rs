//! One event for the log: what happened, how severe it is, and the facts as fields (CLI-103).

use super::Format;
use crate::local_time::LocalTime;
use std::fmt;

/// Severity of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The program, or a part of it, cannot work.
    Error,
    /// Something is wrong, and the user may have to act.
    Warn,
    /// The course of events.
    #[default]
    Info,
    /// Each stream.
    Debug,
}

engine::named! { Level { Error = "error", Warn = "warn", Info = "info", Debug = "debug", } }

/// A line before it is rendered.
pub struct Record<'a> {
    /// Its severity.
    pub level: Level,
    /// Name of the event, in snake case.
    pub event: &'static str,
    /// Facts of the event; JSON shows them, the text names them.
    pub fields: &'a [(&'static str, &'a dyn fmt::Display)],
    /// Lines of this kind that were left out before this one (CLI-102).
    pub left_out: u64,
    /// For readers.
    pub text: fmt::Arguments<'a>,
}

impl Record<'_> {
    /// The text, with the number of lines left out.
    pub(super) fn message(&self) -> String {
        match self.left_out {
            0 => self.text.to_string(),
            count => format!("{} ({count} similar lines left out)", self.text),
        }
    }

    /// One line with its end. Line ends inside the text become blanks, so that nothing from outside can forge a line.
    pub(super) fn render(&self, format: Format, time: &LocalTime) -> String {
        let message = self.message();
        if format == Format::Text {
            return format!(
                "{} {}\n",
                time.format("2006/01/02 15:04:05"),
                message.replace(['\n', '\r'], " ")
            );
        }
        let mut line = serde_json::Map::new();
        let mut put = |name: &str, value: serde_json::Value| line.insert(name.to_owned(), value);
        put("time", time.format("2006-01-02T15:04:05.000Z07:00").into());
        put("level", self.level.name().into());
        put("event", self.event.into());
        for (name, value) in self.fields {
            let text = value.to_string();
            let number = text.parse::<u64>().map(Into::into);
            put(name, number.unwrap_or_else(|_| text.into()));
        }
        if self.left_out > 0 {
            put("left_out", self.left_out.into());
        }
        put("message", message.into());
        format!("{}\n", serde_json::Value::Object(line))
    }
}

/// Logs an event: level, name, fields, and the text for readers as for `format!`.
macro_rules! log_event {
    ($level:ident, $event:literal, [$($field:ident = $value:expr),* $(,)?], $($text:tt)*) => {
        $crate::log::record(&$crate::log::Record {
            level: $crate::log::Level::$level,
            event: $event,
            fields: &[$((stringify!($field), &$value as &dyn std::fmt::Display)),*],
            left_out: 0,
            text: format_args!($($text)*),
        })
    };
}

/// As [`log_event`], for events that a peer or a failure can repeat: few about one `subject`, and few of one kind (CLI-102).
macro_rules! log_limited {
    ($subject:expr, $level:ident, $event:literal, [$($field:ident = $value:expr),* $(,)?], $($text:tt)*) => {
        if let Some(left_out) = $crate::log::permit($crate::log::Level::$level, $event, &$subject) {
            $crate::log::record(&$crate::log::Record {
                level: $crate::log::Level::$level,
                event: $event,
                fields: &[$((stringify!($field), &$value as &dyn std::fmt::Display)),*],
                left_out,
                text: format_args!($($text)*),
            });
        }
    };
}

pub(crate) use {log_event, log_limited};
