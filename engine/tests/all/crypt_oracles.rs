//! Under random keys the ciphers equal other implementations: the RustCrypto crates under `cfb-mode`, and the definitions.

use cfb_mode::Encryptor;
use cipher::{BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, KeyIvInit, StreamCipher};
use engine::Entropy;
use engine::crypt::{Cipher, MasterKey, Suite};

const IV: [u8; 16] =
    [0xa7, 0x73, 0x4f, 0x9c, 0x12, 0xac, 0x1b, 0x01, 0xa4, 0x15, 0xf2, 0xc1, 0xfc, 0x78, 0xe6, 0x6b];

/// Seals datagrams of all kinds of lengths under `keys` random keys, and compares with `oracle` applied to the plain ones.
fn compare(cipher: Cipher, keys: usize, oracle: impl Fn(&[u8; 32], &mut [u8])) {
    compare_at(cipher, keys, (20..70).chain([1333, 1350, 1500]), oracle);
}

fn compare_at(
    cipher: Cipher,
    keys: usize,
    lens: impl Iterator<Item = usize> + Clone,
    oracle: impl Fn(&[u8; 32], &mut [u8]),
) {
    let mut entropy = Entropy::from_seed([cipher as u8; 32]);
    for _ in 0..keys {
        let mut key = [0; 32];
        entropy.fill(&mut key);
        let suite = Suite::new(cipher, &MasterKey::from(key));
        for len in lens.clone() {
            let mut plain = vec![0; len];
            entropy.fill(&mut plain);
            let mut sealed = plain.clone();
            suite.seal(&plain[..16], &mut sealed);
            let sum = crc32fast::hash(&plain[20..]);
            plain[16..20].copy_from_slice(&sum.to_le_bytes());
            oracle(&key, &mut plain);
            assert_eq!(sealed, plain, "{} of {len} bytes under {key:02x?}", cipher.name());
        }
    }
}

/// CRYPT-5, CRYPT-8: textbook CFB with the first `key_len` bytes of the master key.
fn cfb<C: BlockCipherEncrypt + BlockSizeUser + KeyInit>(key_len: usize) -> impl Fn(&[u8; 32], &mut [u8]) {
    move |key, datagram| {
        let cipher = C::new_from_slice(&key[..key_len]).unwrap();
        let iv = &IV[..C::block_size()];
        Encryptor::inner_iv_slice_init(cipher, iv).unwrap().encrypt(datagram);
    }
}

#[test]
fn aes() {
    compare(Cipher::Aes, 20, cfb::<aes::Aes256>(32));
    compare(Cipher::Aes192, 20, cfb::<aes::Aes192>(24));
    compare(Cipher::Aes128, 20, cfb::<aes::Aes128>(16));
}

#[test]
fn twofish() {
    compare(Cipher::Twofish, 8, cfb::<twofish::Twofish>(32));
}

#[test]
fn triple_des() {
    compare(Cipher::TripleDes, 20, cfb::<des::TdesEde3>(24));
}

#[test]
fn sm4() {
    compare(Cipher::Sm4, 10, cfb::<sm4::Sm4>(16));
}

#[test]
fn blowfish() {
    compare(Cipher::Blowfish, 4, cfb::<blowfish::Blowfish>(32));
}

#[test]
fn cast5() {
    compare(Cipher::Cast5, 10, cfb::<cast5::Cast5>(16));
}

#[test]
fn salsa20() {
    // CRYPT-10: every length, since short and long datagrams take different ways.
    compare_at(Cipher::Salsa20, 2, 20..=1500, |key, datagram| {
        let (nonce, rest) = datagram.split_at_mut(8);
        salsa20::Salsa20::new_from_slices(key, nonce).unwrap().apply_keystream(rest);
    });
}

#[test]
fn tea_and_xtea() {
    // CRYPT-6
    compare(Cipher::Tea, 20, |key, datagram| feedback(datagram, |block| tea(key, block)));
    compare(Cipher::Xtea, 20, |key, datagram| feedback(datagram, |block| xtea(key, block)));
}

/// CFB-64 as packet.md writes it down.
fn feedback(datagram: &mut [u8], encrypt: impl Fn(u64) -> u64) {
    let mut pad = encrypt(u64::from_be_bytes(IV[..8].try_into().unwrap()));
    for block in datagram.chunks_mut(8) {
        for (byte, mask) in block.iter_mut().zip(pad.to_be_bytes()) {
            *byte ^= mask;
        }
        if let Ok(whole) = (&*block).try_into() {
            pad = encrypt(u64::from_be_bytes(whole));
        }
    }
}

fn tea(key: &[u8; 32], block: u64) -> u64 {
    let k = words(key);
    let (mut v0, mut v1, mut sum) = ((block >> 32) as u32, block as u32, 0_u32);
    let term = |v: u32, a: u32, b: u32, sum: u32| {
        (v << 4).wrapping_add(a) ^ v.wrapping_add(sum) ^ (v >> 5).wrapping_add(b)
    };
    for _ in 0..8 {
        sum = sum.wrapping_add(0x9e37_79b9);
        v0 = v0.wrapping_add(term(v1, k[0], k[1], sum));
        v1 = v1.wrapping_add(term(v0, k[2], k[3], sum));
    }
    u64::from(v0) << 32 | u64::from(v1)
}

fn xtea(key: &[u8; 32], block: u64) -> u64 {
    let k = words(key);
    let (mut v0, mut v1, mut sum) = ((block >> 32) as u32, block as u32, 0_u32);
    let mix = |v: u32| (v << 4 ^ v >> 5).wrapping_add(v);
    for _ in 0..32 {
        v0 = v0.wrapping_add(mix(v1) ^ sum.wrapping_add(k[(sum & 3) as usize]));
        sum = sum.wrapping_add(0x9e37_79b9);
        v1 = v1.wrapping_add(mix(v0) ^ sum.wrapping_add(k[(sum >> 11 & 3) as usize]));
    }
    u64::from(v0) << 32 | u64::from(v1)
}

fn words(key: &[u8; 32]) -> [u32; 4] {
    std::array::from_fn(|i| u32::from_be_bytes(key[4 * i..4 * i + 4].try_into().unwrap()))
}
