//! Pads: what was encrypted in some pieces is decrypted in others.

use super::Script;
use engine::qpp::{Generator, Pads};
use std::sync::LazyLock;

static PADS: LazyLock<Vec<Pads>> = LazyLock::new(|| {
    let keys: [(&[u8], u16); 4] = [(b"", 1), (b"key", 7), (b"it's a secrect", 61), (&[0xee; 300], 256)];
    keys.into_iter().map(|(key, count)| Pads::new(key, count).expect("count is positive")).collect()
});

/// First bytes: pads, number of pieces on either side; then the bytes of a stream.
pub fn qpp(data: &[u8]) {
    let mut script = Script::new(data);
    let pads = &PADS[usize::from(script.byte()) % PADS.len()];
    let (mut cuts, mut other_cuts) = (script.clone(), Script::new(script.take(16)));
    let plain = script.rest();

    let mut whole = plain.to_vec();
    pads.generator().encrypt(pads, &mut whole);
    let mut bytes = plain.to_vec();
    in_pieces(&mut bytes, &mut cuts, &mut pads.generator(), |generator, piece| {
        generator.encrypt(pads, piece)
    });
    assert_eq!(bytes, whole, "pieces change the cipher text");
    in_pieces(&mut bytes, &mut other_cuts, &mut pads.generator(), |generator, piece| {
        generator.decrypt(pads, piece);
    });
    assert_eq!(bytes, plain, "decrypts to something else");
}

fn in_pieces(
    mut bytes: &mut [u8],
    cuts: &mut Script<'_>,
    generator: &mut Generator,
    apply: impl Fn(&mut Generator, &mut [u8]),
) {
    while !bytes.is_empty() {
        let n = if cuts.is_over() { bytes.len() } else { usize::from(cuts.byte() % 32).min(bytes.len()) };
        let (piece, rest) = bytes.split_at_mut(n);
        apply(generator, piece);
        bytes = rest;
    }
}
