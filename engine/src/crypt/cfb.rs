//! Full-block cipher feedback with kcp-go's fixed IV, restarted for each datagram (CRYPT-5; kcp-go crypt.go).
//!
//! Encryption is one serial chain per datagram, so the chains of a run are interleaved: inside one closure, where the
//! cipher's round keys are loaded once, the processor overlaps the independent blocks by itself. Decryption is parallel
//! within one datagram. Both directions use the block cipher's encryption only.

use super::transform::Transform;
use cipher::array::{Array, ArraySize};
use cipher::consts::{U8, U16};
use cipher::typenum::Unsigned;
use cipher::{BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, ParBlocks};
use std::ops::BitXor;

/// kcp-go's IV; ciphers with 8-byte blocks use its first half.
const IV: [u8; 16] =
    [0xa7, 0x73, 0x4f, 0x9c, 0x12, 0xac, 0x1b, 0x01, 0xa4, 0x15, 0xf2, 0xc1, 0xfc, 0x78, 0xe6, 0x6b];

/// Chains in flight: enough to fill the AES pipeline, few enough to stay in registers and the first cache.
const LANES_MAX: usize = 16;

/// CFB with a cipher of 16-byte blocks.
pub(super) fn wide(
    cipher: impl BlockCipherEncrypt<BlockSize = U16> + Send + Sync + 'static,
) -> Box<dyn Transform> {
    Box::new(Cfb::<_, u128>::new(cipher))
}

/// CFB with a cipher of 8-byte blocks.
pub(super) fn narrow(
    cipher: impl BlockCipherEncrypt<BlockSize = U8> + Send + Sync + 'static,
) -> Box<dyn Transform> {
    Box::new(Cfb::<_, u64>::new(cipher))
}

/// A block cipher `C` in CFB mode; `W` is a machine word as wide as its block.
struct Cfb<C, W> {
    cipher: C,
    /// The encrypted IV: the first pad of every datagram.
    first: W,
}

impl<C, W> Cfb<C, W>
where
    W: Word,
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = W::Size>,
{
    fn new(cipher: C) -> Self {
        let mut iv = Array::from_fn(|i| IV[i]);
        cipher.encrypt_block(&mut iv);
        Self { cipher, first: W::load(&iv) }
    }
}

impl<C, W> Transform for Cfb<C, W>
where
    W: Word,
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = W::Size> + Send + Sync,
{
    fn encrypt(&self, datagram: &mut [u8]) {
        let segment = datagram.len().max(1);
        self.encrypt_run(datagram, segment);
    }

    fn encrypt_run(&self, run: &mut [u8], segment: usize) {
        self.cipher.encrypt_with_backend(EncryptRun { run, segment, first: self.first });
    }

    fn decrypt(&self, datagram: &mut [u8]) {
        self.cipher.encrypt_with_backend(Decrypt { datagram, first: self.first });
    }
}

/// A run of datagrams to encrypt, in the form of the `cipher` crate's closures.
struct EncryptRun<'d, W> {
    run: &'d mut [u8],
    segment: usize,
    first: W,
}

impl<W: Word> BlockSizeUser for EncryptRun<'_, W> {
    type BlockSize = W::Size;
}

impl<W: Word> BlockCipherEncClosure for EncryptRun<'_, W> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = W::Size>>(self, backend: &B) {
        for group in self.run.chunks_mut(self.segment.saturating_mul(LANES_MAX)) {
            encrypt_group(backend, group, self.segment, self.first);
        }
    }
}

/// Encrypts up to `LANES_MAX` datagrams, one block of each in turn. Only the last one may be shorter than `segment`.
#[inline(always)]
fn encrypt_group<W, B>(backend: &B, group: &mut [u8], segment: usize, first: W)
where
    W: Word,
    B: BlockCipherEncBackend<BlockSize = W::Size>,
{
    let lanes = group.len().div_ceil(segment);
    let last_len = group.len() - (lanes - 1) * segment;
    let longest_len = if lanes > 1 { segment } else { last_len };
    let mut pads = [first; LANES_MAX];
    for step in 0..longest_len / W::LEN {
        let active = if step < last_len / W::LEN { lanes } else { lanes - 1 };
        for (lane, pad) in pads[..active].iter_mut().enumerate() {
            let at = lane * segment + step * W::LEN;
            let block = &mut group[at..at + W::LEN];
            let sealed = W::load(block) ^ *pad;
            sealed.store(block);
            *pad = sealed.encrypted(backend);
        }
    }
    for (datagram, pad) in group.chunks_mut(segment).zip(pads) {
        xor_tail(datagram, pad);
    }
}

/// A datagram to decrypt.
struct Decrypt<'d, W> {
    datagram: &'d mut [u8],
    first: W,
}

impl<W: Word> BlockSizeUser for Decrypt<'_, W> {
    type BlockSize = W::Size;
}

impl<W: Word> BlockCipherEncClosure for Decrypt<'_, W> {
    /// Backwards, so that every block's predecessor is still encrypted when its pad is computed.
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = W::Size>>(self, backend: &B) {
        let Self { datagram, first } = self;
        let blocks = datagram.len() / W::LEN;
        if !datagram.len().is_multiple_of(W::LEN) {
            let pad = match blocks.checked_sub(1) {
                Some(last) => block_at::<W>(datagram, last).encrypted(backend),
                None => first,
            };
            xor_tail(datagram, pad);
        }
        let mut end = blocks;
        while end > 1 {
            let start = end.saturating_sub(B::ParBlocksSize::USIZE).max(1);
            decrypt_blocks::<W, B>(backend, datagram, start, end);
            end = start;
        }
        if blocks > 0 {
            xor_block(datagram, 0, first);
        }
    }
}

/// Decrypts the blocks `start..end`, at most as many as the backend takes at once; `start` is at least 1.
#[inline(always)]
fn decrypt_blocks<W, B>(backend: &B, datagram: &mut [u8], start: usize, end: usize)
where
    W: Word,
    B: BlockCipherEncBackend<BlockSize = W::Size>,
{
    let mut pads = ParBlocks::<B>::default();
    for (pad, index) in pads.iter_mut().zip(start..end) {
        block_at::<W>(datagram, index - 1).store(pad);
    }
    if end - start == pads.len() {
        backend.encrypt_par_blocks_inplace(&mut pads);
    } else {
        backend.encrypt_tail_blocks_inplace(&mut pads[..end - start]);
    }
    for (pad, index) in pads.iter().zip(start..end) {
        xor_block(datagram, index, W::load(pad));
    }
}

#[inline(always)]
fn block_at<W: Word>(datagram: &[u8], index: usize) -> W {
    W::load(&datagram[index * W::LEN..][..W::LEN])
}

#[inline(always)]
fn xor_block<W: Word>(datagram: &mut [u8], index: usize, pad: W) {
    let block = &mut datagram[index * W::LEN..][..W::LEN];
    (W::load(block) ^ pad).store(block);
}

/// XORs the bytes behind the last whole block with the front of `pad`.
#[inline(always)]
fn xor_tail<W: Word>(datagram: &mut [u8], pad: W) {
    let tail_at = datagram.len() / W::LEN * W::LEN;
    let mut bytes = Array::<u8, W::Size>::default();
    pad.store(&mut bytes);
    for (byte, pad) in datagram[tail_at..].iter_mut().zip(&bytes) {
        *byte ^= pad;
    }
}

/// A block as one machine word: XOR byte by byte would stall on store forwarding and cost most of the speed.
trait Word: Copy + BitXor<Output = Self> + Send + Sync {
    /// Block size as a type.
    type Size: ArraySize;
    /// Block size, bytes.
    const LEN: usize = Self::Size::USIZE;

    /// `bytes` is `LEN` long.
    fn load(bytes: &[u8]) -> Self;
    /// `bytes` is `LEN` long.
    fn store(self, bytes: &mut [u8]);
    fn encrypted<B: BlockCipherEncBackend<BlockSize = Self::Size>>(self, backend: &B) -> Self;
}

macro_rules! word {
    ($word:ty, $size:ty) => {
        impl Word for $word {
            type Size = $size;

            #[inline(always)]
            fn load(bytes: &[u8]) -> Self {
                let mut word = [0; size_of::<Self>()];
                word.copy_from_slice(bytes);
                Self::from_ne_bytes(word)
            }

            #[inline(always)]
            fn store(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_ne_bytes());
            }

            #[inline(always)]
            fn encrypted<B: BlockCipherEncBackend<BlockSize = $size>>(self, backend: &B) -> Self {
                let mut block = Array(self.to_ne_bytes());
                backend.encrypt_block_inplace(&mut block);
                Self::from_ne_bytes(block.0)
            }
        }
    };
}

word!(u64, U8);
word!(u128, U16);
