use crate::plan::Content;
use crate::rng::Noise;
use engine::Entropy;

/// An endless reproducible byte sequence: the writer draws it, and the reader draws it again to compare.
#[derive(Clone, Debug)]
pub struct Pattern {
    dice: Entropy,
    noise: Noise,
    content: Content,
    block: Box<[u8]>,
    used: usize,
    offset: u64,
}

/// Drawn at once, so that the sequence does not depend on the sizes of reads and writes. Also what a writer offers at
/// once: as much as kcptun copies from a TCP connection in one go.
const BLOCK_BYTES: usize = 32 * 1024;

/// The same for workloads of many streams that carry little each.
const SMALL_BLOCK_BYTES: usize = 2 * 1024;

impl Pattern {
    /// The sequence of that content under those dice.
    pub fn new(content: Content, dice: Entropy) -> Self {
        Self::with_block(content, dice, BLOCK_BYTES)
    }

    /// The same sequence, drawn and offered in smaller pieces.
    pub fn small(content: Content, dice: Entropy) -> Self {
        Self::with_block(content, dice, SMALL_BLOCK_BYTES)
    }

    fn with_block(content: Content, mut dice: Entropy, block_bytes: usize) -> Self {
        let mut noise = Noise::new(&mut dice);
        let mut block: Box<[u8]> = vec![0; block_bytes].into();
        noise.fill(&mut block);
        let mut pattern = Self { dice, noise, content, block, used: 0, offset: 0 };
        pattern.draw();
        pattern
    }

    /// The next bytes, at least one; how many varies.
    pub fn upcoming(&self) -> &[u8] {
        &self.block[self.used..]
    }

    /// Goes on by `n` bytes, no more than [`Pattern::upcoming`] showed.
    pub fn advance(&mut self, n: usize) {
        self.used += n;
        self.offset += n as u64;
        if self.used == self.block.len() {
            self.draw();
        }
    }

    /// Compares `bytes` with the sequence and goes on behind them.
    ///
    /// # Errors
    /// The offset of the first byte that differs.
    pub fn check(&mut self, mut bytes: &[u8]) -> Result<(), u64> {
        while !bytes.is_empty() {
            let n = bytes.len().min(self.upcoming().len());
            let (now, later) = bytes.split_at(n);
            let wanted = &self.upcoming()[..n];
            if now != wanted {
                let same = now.iter().zip(wanted).take_while(|(got, wanted)| got == wanted).count();
                return Err(self.offset + same as u64);
            }
            self.advance(n);
            bytes = later;
        }
        Ok(())
    }

    fn draw(&mut self) {
        self.used = 0;
        match self.content {
            Content::Random => self.noise.stir(&mut self.block),
            Content::Text => self.draw_text(),
        }
    }

    fn draw_text(&mut self) {
        let mut filled = 0;
        while filled < self.block.len() {
            let word = WORDS[self.dice.next_u32() as usize % WORDS.len()].as_bytes();
            let n = word.len().min(self.block.len() - filled);
            self.block[filled..filled + n].copy_from_slice(&word[..n]);
            filled += n;
        }
    }
}

const WORDS: [&str; 16] = [
    "the ",
    "window ",
    "of ",
    "a ",
    "sender ",
    "is ",
    "what ",
    "it ",
    "may ",
    "put ",
    "on ",
    "wire ",
    "before ",
    "an ",
    "acknowledgement ",
    "arrives.\n",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    fn pattern(content: Content) -> Pattern {
        Pattern::new(content, Seed(1).stream("work.test"))
    }

    fn written(pattern: &mut Pattern, total: usize, step: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while out.len() < total {
            let n = step.min(total - out.len()).min(pattern.upcoming().len());
            out.extend_from_slice(&pattern.upcoming()[..n]);
            pattern.advance(n);
        }
        out
    }

    #[test]
    fn does_not_depend_on_the_sizes_of_pieces() {
        for content in [Content::Random, Content::Text] {
            let bytes = written(&mut pattern(content), 100_000, 7);
            assert_eq!(bytes, written(&mut pattern(content), 100_000, 32_768));
            let mut reader = pattern(content);
            bytes.chunks(777).for_each(|piece| assert_eq!(reader.check(piece), Ok(())));
        }
    }

    #[test]
    fn names_the_first_byte_that_differs() {
        let mut bytes = written(&mut pattern(Content::Random), 40_000, 1_000);
        bytes[35_000] ^= 1;
        assert_eq!(pattern(Content::Random).check(&bytes), Err(35_000));
    }
}
