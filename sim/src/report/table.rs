/// Aligned text: the first column to the left, the others to the right, indented by two spaces. An empty last column is
/// omitted.
pub fn table<const N: usize>(heads: &[&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heads[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let mut line = format!("  {:<width$}", cells[0], width = widths[0]);
        for (cell, width) in cells.iter().zip(widths).skip(1) {
            line.push_str(&format!("  {cell:>width$}"));
        }
        format!("{}\n", line.trim_end())
    };
    let mut out = line(*heads);
    rows.iter().for_each(|row| out.push_str(&line(row.each_ref().map(String::as_str))));
    out
}

/// Wraps `text` at `width` characters; longer words are not broken.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_with_their_last_word() {
        let rows = [["a".into(), "1.5".into(), "ms".into()], ["long".into(), "12.5".into(), String::new()]];
        let lines = "         one  two\n  a      1.5   ms\n  long  12.5\n";
        assert_eq!(table(&["", "one", "two"], &rows), lines);
    }

    #[test]
    fn lines_use_the_whole_width() {
        assert_eq!(wrapped("a bc  def g", 4), ["a bc", "def", "g"]);
    }
}
