//! Log lines in the form of Go's log package (CLI-17).

use std::fmt;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes `YYYY/MM/DD HH:MM:SS text`, local time, as one line to standard error.
pub fn line(text: fmt::Arguments<'_>) {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let line = format!("{} {}\n", LocalTime::at(now_s), OneLine(text));
    // A log that cannot be written is no reason to stop forwarding.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

/// `log::line(format_args!(..))`.
macro_rules! log_line {
    ($($argument:tt)*) => { $crate::log::line(format_args!($($argument)*)) };
}
pub(crate) use log_line;

/// Text whose line ends are blanks, so that nothing from outside can forge a line.
struct OneLine<'a>(fmt::Arguments<'a>);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(&text.replace(['\n', '\r'], " "))
    }
}

/// A moment in the local time zone.
struct LocalTime(libc::tm);

impl LocalTime {
    fn at(unix_s: u64) -> Self {
        let seconds = libc::time_t::try_from(unix_s).unwrap_or(0);
        // SAFETY: `tm` is plain data for which all zeros is a valid value; both pointers are to live locals.
        Self(unsafe {
            let mut tm = std::mem::zeroed();
            libc::localtime_r(&seconds, &mut tm);
            tm
        })
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tm = &self.0;
        let (year, month) = (tm.tm_year + 1900, tm.tm_mon + 1);
        write!(f, "{year:04}/{month:02}/{:02} ", tm.tm_mday)?;
        write!(f, "{:02}:{:02}:{:02}", tm.tm_hour, tm.tm_min, tm.tm_sec)
    }
}
