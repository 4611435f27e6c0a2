//! Common parts of the trace formats: one JSON object per line, hex, the payload pattern.

use super::Mismatch;
use serde_json::Value;

/// Calls `event` for each line after the first; returns their number.
pub(super) fn for_each(
    text: &str,
    mut event: impl FnMut(&Value) -> Result<(), String>,
) -> Result<usize, Mismatch> {
    let mut events = 0;
    for (index, line) in text.lines().enumerate().skip(1) {
        parse(line)
            .and_then(|value| event(&value))
            .map_err(|difference| Mismatch { line: index + 1, difference })?;
        events += 1;
    }
    Ok(events)
}

/// Parses the first line.
pub(super) fn header(text: &str) -> Result<Value, Mismatch> {
    let line = text.lines().next().ok_or_else(|| "empty trace".to_owned());
    line.and_then(parse).map_err(|difference| Mismatch { line: 1, difference })
}

fn parse(line: &str) -> Result<Value, String> {
    serde_json::from_str(line).map_err(|error| format!("not JSON: {error}"))
}

pub(super) fn number(event: &Value, name: &str) -> Result<u64, String> {
    event[name].as_u64().ok_or_else(|| format!("no number {name}"))
}

pub(super) fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return Err("odd number of hex digits".into());
    }
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(|pair| byte(pair).ok_or_else(|| "bad hex".to_owned())).collect()
}

/// `len` bytes of the payload pattern from `offset` on (section 3 of the golden format).
pub(super) fn pattern(seed: u64, offset: u64, len: u64) -> Vec<u8> {
    let byte = |at: u64| 7 * at + 13 * (at >> 8) + 29 * (at >> 16) + seed;
    (offset..offset.saturating_add(len)).map(|at| byte(at) as u8).collect()
}
