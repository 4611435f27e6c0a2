//! Comparison of bytes with a readable difference.

use super::hex;

const EXCERPT_BYTES: usize = 12;

/// None when equal; otherwise the first difference, with an excerpt of both.
pub(super) fn bytes(recorded: &[u8], found: &[u8]) -> Option<String> {
    if recorded == found {
        return None;
    }
    let at = recorded.iter().zip(found).take_while(|(a, b)| a == b).count();
    Some(format!(
        "differ from byte {at} on: recorded {} ({} bytes), engine {} ({} bytes)",
        excerpt(recorded, at),
        recorded.len(),
        excerpt(found, at),
        found.len()
    ))
}

fn excerpt(bytes: &[u8], from: usize) -> String {
    match bytes.get(from..) {
        None | Some([]) => "end".to_owned(),
        Some(rest) if rest.len() > EXCERPT_BYTES => format!("{}..", hex(&rest[..EXCERPT_BYTES])),
        Some(rest) => hex(rest),
    }
}
