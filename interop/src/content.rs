//! The bytes of streams.

use engine::Entropy;

/// The bytes of stream `number` in one direction (0: from the client's end): a random half, then a half that compresses.
pub(crate) fn content(number: u32, direction: u8, bytes: usize) -> Vec<u8> {
    let mut seed = [0; 32];
    seed[0] = direction;
    seed[8..12].copy_from_slice(&number.to_le_bytes());
    let mut entropy = Entropy::from_seed(seed);
    let mut content = vec![0; bytes];
    let (random, text) = content.split_at_mut(bytes / 2);
    entropy.fill(random);
    for (at, line) in text.chunks_mut(32).enumerate() {
        let words = format!("{at:8} of stream {number:3} to {direction:2}\n");
        line.iter_mut().zip(words.bytes().cycle()).for_each(|(byte, word)| *byte = word);
    }
    content
}
