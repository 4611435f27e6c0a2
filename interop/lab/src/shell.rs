//! Command lines as a shell reads them.

/// The command line of this process, with `program` in front instead of its path: results repeat it.
pub fn own_command(program: &str) -> String {
    let words = std::iter::once(program.to_owned()).chain(std::env::args().skip(1));
    words.map(|word| quoted(&word)).collect::<Vec<_>>().join(" ")
}

/// A word, in single quotes if a shell would take it for anything else.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:+%@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        assert_eq!(
            ["a=b/c,--d", "two words", "it's", ""].map(quoted),
            ["a=b/c,--d", "'two words'", r"'it'\''s'", "''"]
        );
    }
}
