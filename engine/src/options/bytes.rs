//! Texts of options that need not be UTF-8: keys and paths are bytes for the system and for Go.

/// Bytes that are no UTF-8, and characters from here on themselves, stand for bytes: this value plus the byte.
const ESCAPE: u32 = 0x0010_ff00;

/// The text that stands for `bytes`: their UTF-8 text where they are UTF-8. [`bytes_of`] is the inverse.
pub fn text_of(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match u32::from(character) < ESCAPE {
                true => text.push(character),
                false => text.extend(character.encode_utf8(&mut [0; 4]).bytes().map(escaped)),
            }
        }
        text.extend(chunk.invalid().iter().copied().map(escaped));
    }
    text
}

/// The bytes that `text` stands for.
pub fn bytes_of(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        match u32::from(character).checked_sub(ESCAPE) {
            Some(byte) => bytes.push(byte as u8),
            None => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

fn escaped(byte: u8) -> char {
    char::from_u32(ESCAPE + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    // CLI-70
    #[test]
    fn every_byte_survives() {
        let all: Vec<u8> = (0..=255).collect();
        for bytes in [&all, "\u{10fffe}\u{10ff80} \u{e9}".as_bytes(), b"\xc3", b"\xe4\xbd a \xff", b""] {
            assert_eq!(bytes_of(&text_of(bytes)), bytes);
        }
        assert_eq!(text_of("k\u{e9}y \u{1f511}".as_bytes()), "k\u{e9}y \u{1f511}");
    }
}
