//! A timeline: moment, place and event of each line.

use crate::Side;
use crate::record::words::grouped;

/// One line of a timeline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    pub(super) t: u64,
    /// Order of creation, which lines of the same time keep.
    pub(super) order: usize,
    pub(super) place: &'static str,
    pub(super) text: String,
}

/// A timeline under construction.
#[derive(Default)]
pub(super) struct Lines(Vec<Line>);

impl Lines {
    pub(super) fn add(&mut self, t: u64, place: &'static str, text: String) {
        let order = self.0.len();
        self.0.push(Line { t, order, place, text });
    }

    pub(super) fn at(&mut self, t: u64, side: Side, text: String) {
        self.add(t, side.name(), text);
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Formats the first line with its time, and the others with the time since then.
    pub(super) fn render(mut self) -> String {
        self.0.sort();
        let Some(start) = self.0.first().map(|line| line.t) else { return String::new() };
        let mut out = String::new();
        for (row, Line { t, place, text, .. }) in self.0.iter().enumerate() {
            let time = match (row, t - start) {
                (0, _) => format!("{} ms", ms(*t)),
                (_, 0) => String::new(),
                (_, since) => format!("+ {} ms", ms(since)),
            };
            out.push_str(&format!("  {time:>16}  {place:<6}  {text}\n"));
        }
        out
    }
}

/// Microseconds as milliseconds, in groups of three digits.
pub(super) fn ms(us: u64) -> String {
    format!("{}.{:03}", grouped(us / 1_000), us % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_relative_and_lines_keep_their_order() {
        let mut lines = Lines::default();
        lines.add(1_234_567, "up", "b".into());
        lines.add(1_000_500, "client", "a".into());
        lines.add(1_234_567, "up", "c".into());
        lines.add(1_000_500, "client", "d".into());
        let expected = "      1,000.500 ms  client  a\n                    client  d\n\x20     + 234.067 ms  up      b\n      + 234.067 ms  up      c\n";
        assert_eq!(lines.render(), expected);
    }
}
