//! Numbers and booleans as Go's flag package reads them.

/// Why Go refuses a value, in its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GoError {
    /// Not of the right form.
    #[error("parse error")]
    Syntax,
    /// More than 64 bits.
    #[error("value out of range")]
    Range,
}

/// The values of Go's `strconv.ParseBool` (CLI-3).
///
/// # Errors
/// Any other text is [`GoError::Syntax`].
pub fn parse_bool(text: &str) -> Result<bool, GoError> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(GoError::Syntax),
    }
}

/// Go's `strconv.ParseInt(text, 0, 64)`: sign, base prefix, underscores between digits (CLI-5).
///
/// # Errors
/// [`GoError::Syntax`], or [`GoError::Range`] when the number does not fit 64 bits.
pub fn parse_int(text: &str) -> Result<i64, GoError> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !underscores_separate_digits(digits) {
        return Err(GoError::Syntax);
    }
    let (base, digits) = split_base(digits);
    let mut sum: i128 = 0;
    for digit in digits.iter().filter(|&&c| c != b'_') {
        let value = char::from(*digit).to_digit(base).ok_or(GoError::Syntax)?;
        // Stays above any 64-bit number once it got there, so the rest is only checked for syntax.
        sum = (sum * i128::from(base) + i128::from(value)).min(1 << 70);
    }
    i64::try_from(if negative { -sum } else { sum }).map_err(|_| GoError::Range)
}

fn split_base(digits: &[u8]) -> (u32, &[u8]) {
    match digits {
        [b'0', b'b' | b'B', rest @ ..] if !rest.is_empty() => (2, rest),
        [b'0', b'o' | b'O', rest @ ..] if !rest.is_empty() => (8, rest),
        [b'0', b'x' | b'X', rest @ ..] if !rest.is_empty() => (16, rest),
        [b'0', rest @ ..] => (8, rest),
        rest => (10, rest),
    }
}

/// Every underscore follows a digit or the base prefix, and a digit follows it.
fn underscores_separate_digits(digits: &[u8]) -> bool {
    let prefixed = matches!(digits, [b'0', b'b' | b'B' | b'o' | b'O' | b'x' | b'X', ..]);
    let start = if prefixed { 2 } else { 0 };
    let mut after_digit = prefixed;
    let mut after_underscore = false;
    for &c in &digits[start..] {
        if c == b'_' && !after_digit {
            return false;
        }
        after_underscore = c == b'_';
        after_digit = !after_underscore;
    }
    !after_underscore
}
