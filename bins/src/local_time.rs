//! Moments in the local time zone, and Go's way of writing them into file names (CLI-32; Go time/format.go).

use crate::platform::calendar::Calendar;
use std::fmt::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// A moment in a time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// Seconds since 1970, UTC.
    pub unix_s: i64,
    /// Nanoseconds of the second.
    pub nanos: u32,
    /// Year, four digits for a long time.
    pub year: i32,
    /// 1..=12
    pub month: u32,
    /// 1..=31
    pub day: u32,
    /// 0..=23
    pub hour: u32,
    /// 0..=59
    pub minute: u32,
    /// 0..=60
    pub second: u32,
    /// 0 is Sunday.
    pub weekday: u32,
    /// 1..=366
    pub day_of_year: u32,
    /// East of UTC, seconds.
    pub offset_s: i64,
    /// Abbreviation of the zone.
    pub zone: String,
}

impl LocalTime {
    /// This moment in the process's time zone.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::at(i64::try_from(since.as_secs()).unwrap_or(0), since.subsec_nanos())
    }

    /// A moment in the process's time zone; in UTC where the system cannot convert it (PLAT-3).
    pub fn at(unix_s: i64, nanos: u32) -> Self {
        let calendar = Calendar::local(unix_s).unwrap_or_else(|| Calendar::utc(unix_s));
        let Calendar { year, month, day, hour, minute, second, weekday, day_of_year, offset_s, zone } =
            calendar;
        Self { unix_s, nanos, year, month, day, hour, minute, second, weekday, day_of_year, offset_s, zone }
    }

    /// The moment in a layout of Go's time package.
    pub fn format(&self, layout: &str) -> String {
        let mut text = String::with_capacity(layout.len() + 8);
        let mut rest = layout;
        while let Some(first) = rest.chars().next() {
            let taken = match self.fraction(rest, &mut text) {
                Some(taken) => taken,
                None => match TOKENS.iter().find(|token| token.starts(rest)) {
                    Some(token) => {
                        // Writing to a string cannot fail.
                        let _ = (token.write)(self, &mut text);
                        token.text.len()
                    }
                    None => {
                        text.push(first);
                        first.len_utf8()
                    }
                },
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
        text
    }

    /// `.000` and its relatives: any number of equal digits 0 or 9 after a point or comma, and then no digit.
    fn fraction(&self, rest: &str, text: &mut String) -> Option<usize> {
        let bytes = rest.as_bytes();
        let (&mark, &digit) = (bytes.first()?, bytes.get(1)?);
        if !matches!(mark, b'.' | b',') || !matches!(digit, b'0' | b'9') {
            return None;
        }
        let count = bytes[1..].iter().take_while(|&&c| c == digit).count();
        if bytes.get(1 + count).is_some_and(u8::is_ascii_digit) {
            return None;
        }
        let mut digits = format!("{:09}", self.nanos);
        while digits.len() < count {
            digits.push('0');
        }
        digits.truncate(count);
        if digit == b'9' {
            digits.truncate(digits.trim_end_matches('0').len());
        }
        if digit == b'0' || !digits.is_empty() {
            text.push(char::from(mark));
            text.push_str(&digits);
        }
        Some(1 + count)
    }

    fn month_name(&self) -> &'static str {
        MONTHS.get(self.month.saturating_sub(1) as usize).copied().unwrap_or("January")
    }

    fn day_name(&self) -> &'static str {
        DAYS.get(self.weekday as usize).copied().unwrap_or("Sunday")
    }

    const fn hour_12(&self) -> u32 {
        match self.hour % 12 {
            0 => 12,
            hour => hour,
        }
    }

    /// `+02`, then minutes and seconds as asked, each after `colon`; `Z` for UTC when `z`.
    fn offset(&self, text: &mut String, z: bool, parts: u32, colon: &str) -> fmt::Result {
        if z && self.offset_s == 0 {
            return text.write_char('Z');
        }
        let (sign, s) = (if self.offset_s < 0 { '-' } else { '+' }, self.offset_s.unsigned_abs());
        write!(text, "{sign}{:02}", s / 3600)?;
        if parts > 1 {
            write!(text, "{colon}{:02}", s / 60 % 60)?;
        }
        if parts > 2 {
            write!(text, "{colon}{:02}", s % 60)?;
        }
        Ok(())
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

struct Token {
    text: &'static str,
    /// Not a token when a lower-case letter follows.
    word: bool,
    write: fn(&LocalTime, &mut String) -> fmt::Result,
}

impl Token {
    fn starts(&self, rest: &str) -> bool {
        rest.strip_prefix(self.text)
            .is_some_and(|after| !self.word || !after.starts_with(|c: char| c.is_ascii_lowercase()))
    }
}

macro_rules! token {
    ($text:literal, $format:literal, $value:ident) => {
        Token { text: $text, word: false, write: |t, out| write!(out, $format, t.$value) }
    };
}

/// Longer tokens before those they start with.
static TOKENS: &[Token] = &[
    Token { text: "January", word: false, write: |t, out| out.write_str(t.month_name()) },
    Token { text: "Jan", word: true, write: |t, out| out.write_str(&t.month_name()[..3]) },
    Token { text: "Monday", word: false, write: |t, out| out.write_str(t.day_name()) },
    Token { text: "Mon", word: true, write: |t, out| out.write_str(&t.day_name()[..3]) },
    Token { text: "MST", word: false, write: |t, out| out.write_str(&t.zone) },
    token!("2006", "{:04}", year),
    token!("002", "{:03}", day_of_year),
    token!("01", "{:02}", month),
    token!("02", "{:02}", day),
    Token { text: "03", word: false, write: |t, out| write!(out, "{:02}", t.hour_12()) },
    token!("04", "{:02}", minute),
    token!("05", "{:02}", second),
    Token { text: "06", word: false, write: |t, out| write!(out, "{:02}", t.year.rem_euclid(100)) },
    token!("15", "{:02}", hour),
    token!("1", "{}", month),
    // An underscore before a year is not the blank of a day.
    Token { text: "_2006", word: false, write: |t, out| write!(out, "_{:04}", t.year) },
    token!("__2", "{:3}", day_of_year),
    token!("_2", "{:2}", day),
    token!("2", "{}", day),
    Token { text: "3", word: false, write: |t, out| write!(out, "{}", t.hour_12()) },
    token!("4", "{}", minute),
    token!("5", "{}", second),
    Token { text: "PM", word: false, write: |t, out| out.write_str(if t.hour < 12 { "AM" } else { "PM" }) },
    Token { text: "pm", word: false, write: |t, out| out.write_str(if t.hour < 12 { "am" } else { "pm" }) },
    Token { text: "-070000", word: false, write: |t, out| t.offset(out, false, 3, "") },
    Token { text: "-07:00:00", word: false, write: |t, out| t.offset(out, false, 3, ":") },
    Token { text: "-0700", word: false, write: |t, out| t.offset(out, false, 2, "") },
    Token { text: "-07:00", word: false, write: |t, out| t.offset(out, false, 2, ":") },
    Token { text: "-07", word: false, write: |t, out| t.offset(out, false, 1, "") },
    Token { text: "Z070000", word: false, write: |t, out| t.offset(out, true, 3, "") },
    Token { text: "Z07:00:00", word: false, write: |t, out| t.offset(out, true, 3, ":") },
    Token { text: "Z0700", word: false, write: |t, out| t.offset(out, true, 2, "") },
    Token { text: "Z07:00", word: false, write: |t, out| t.offset(out, true, 2, ":") },
    Token { text: "Z07", word: false, write: |t, out| t.offset(out, true, 1, "") },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> LocalTime {
        LocalTime {
            unix_s: 1_772_849_109,
            nanos: 123_000_000,
            year: 2026,
            month: 3,
            day: 7,
            hour: 4,
            minute: 5,
            second: 9,
            weekday: 6,
            day_of_year: 66,
            offset_s: 7200,
            zone: "EET".into(),
        }
    }

    // CLI-32
    #[test]
    fn layouts_are_written_as_go_writes_them() {
        let cases = [
            ("snmp-20060102.log", "snmp-20260307.log"),
            ("snmp1.log", "snmp3.log"),
            ("snmp2.csv", "snmp7.csv"),
            ("client05.log", "client09.log"),
            ("file-3306.log", "file-4426.log"),
            ("10.0.0.2.log", "30.1.1.7.log"),
            ("Janet.log Monitor.log", "Janet.log Monitor.log"),
            ("Jan-January Mon,Monday", "Mar-March Sat,Saturday"),
            ("06|02|_2|002|__2|15|03|3|04|4|05|PM|pm|MST", "26|07| 7|066| 66|04|04|4|05|5|09|AM|am|EET"),
            ("_2006", "_2026"),
            ("-0700|-07:00|-07|-070000|Z0700|Z07:00|Z07", "+0200|+02:00|+02|+020000|+0200|+02:00|+02"),
            ("05.000|05,00|5.999999|5.0001", "09.123|09,12|9.123|9.0003"),
            ("é☃", "é☃"),
        ];
        for (layout, expected) in cases {
            assert_eq!(example().format(layout), expected, "{layout}");
        }
        let utc = LocalTime { offset_s: 0, hour: 12, ..example() };
        assert_eq!(utc.format("Z0700 Z07:00 -0700 3PM"), "Z Z +0000 12PM");
    }

    // CLI-32: the system's own calendar agrees with the fields.
    #[test]
    fn a_moment_splits_into_its_fields() {
        let time = LocalTime::at(1_772_849_109, 5);
        let utc = time.unix_s + time.offset_s;
        assert_eq!(i64::from(time.hour * 3600 + time.minute * 60 + time.second), utc.rem_euclid(86_400));
        assert_eq!((time.year, time.nanos), (2026, 5));
    }
}
