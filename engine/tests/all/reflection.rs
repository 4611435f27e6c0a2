//! Datagrams that an attacker without the key sends back to the process that sent them.

use crate::pair::{Pair, both, listen, pattern, reference};
use engine::crypt::Cipher;
use engine::{DropReason, Entropy, Handled, Instant, Received, Settings, Tunnel};
use std::sync::Arc;

const NOW: Instant = Instant::from_millis(1_000);

/// What the tunnel sends now, datagram by datagram.
fn sent(tunnel: &mut Tunnel) -> Vec<Vec<u8>> {
    let (mut out, mut sent) = ([0; 20_000], Vec::new());
    while let Some(transmit) = tunnel.poll_transmit(NOW, &mut out) {
        let size = transmit.segment.map_or(transmit.len, |size| usize::from(size.get()));
        sent.extend(out[..transmit.len].chunks(size).map(<[u8]>::to_vec));
    }
    sent
}

/// A client that uploads the first bytes of a stream.
fn uploading(settings: &Settings, entropy: Entropy) -> (Tunnel, engine::StreamId) {
    let config = Arc::new(settings.tunnel_config().unwrap());
    let mut tunnel = Tunnel::connect(&config, NOW, "192.0.2.1:29900".parse().unwrap(), entropy);
    let id = tunnel.open_stream(NOW).unwrap();
    tunnel.write(NOW, id, &pattern(20_000)).unwrap();
    (tunnel, id)
}

fn marked() -> impl Iterator<Item = Cipher> {
    Cipher::ALL.iter().copied().filter(|cipher| *cipher != Cipher::Null)
}

fn with(crypt: Cipher) -> Settings {
    Settings { crypt, nocomp: true, ..reference().0 }
}

// CRYPT-18
#[test]
fn a_client_takes_nothing_of_what_it_sent_itself() {
    for cipher in marked() {
        let (mut client, id) = uploading(&with(cipher), Entropy::from_seed([1; 32]));
        let datagrams = sent(&mut client);
        assert!(datagrams.len() > 10);
        let before = client.arq().state();
        for mut datagram in datagrams.iter().chain(&datagrams).cloned() {
            let handled = client.handle_datagram(NOW, &mut datagram);
            assert_eq!(handled, Handled::Dropped(DropReason::Reflected), "{cipher:?}");
        }
        assert_eq!(client.arq().state(), before, "{cipher:?}");
        assert_eq!(client.peek(id), Err(engine::mux::ReadError::Blocked), "{cipher:?}");
        assert!(!client.is_closed() && !client.was_heard());
        assert_eq!(client.stats().reflected, 2 * datagrams.len() as u64);
    }
}

/// The bits of a nonce that can be changed without damage to the rest of the datagram (CRYPT-4).
fn blind_bits(cipher: Cipher) -> std::ops::Range<usize> {
    match cipher {
        Cipher::Blowfish | Cipher::Cast5 | Cipher::TripleDes | Cipher::Tea | Cipher::Xtea => 0..64,
        Cipher::Salsa20 => 64..128,
        _ => 0..0,
    }
}

// CRYPT-18
#[test]
fn a_changed_nonce_does_not_hide_a_reflection() {
    for cipher in marked() {
        let (mut client, _) = uploading(&with(cipher), Entropy::from_seed([1; 32]));
        let datagrams = sent(&mut client);
        let keyless = matches!(cipher, Cipher::Xor | Cipher::None);
        for bit in (0..8 * cipher.nonce_len()).filter(|_| !keyless) {
            let mut datagram = datagrams[bit % datagrams.len()].clone();
            datagram[bit / 8] ^= 1 << (bit % 8);
            let Handled::Dropped(reason) = client.handle_datagram(NOW, &mut datagram) else {
                panic!("{cipher:?}: used with bit {bit} flipped");
            };
            let blind = blind_bits(cipher).contains(&bit);
            assert!(!blind || reason == DropReason::Reflected, "{cipher:?}: bit {bit}: {reason:?}");
        }
    }
}

// CRYPT-18
#[test]
fn sessions_of_one_process_recognise_each_other_and_those_of_others_are_foreign() {
    for cipher in marked() {
        let mut process = Entropy::from_seed([1; 32]);
        let (mut first, _) = uploading(&with(cipher), process.fork());
        let (mut second, _) = uploading(&with(cipher), process.fork());
        let (mut other, _) = uploading(&with(cipher), Entropy::from_seed([2; 32]));
        let mut datagrams = sent(&mut first);
        assert_eq!(
            second.handle_datagram(NOW, &mut datagrams[0].clone()),
            Handled::Dropped(DropReason::Reflected),
            "{cipher:?}"
        );
        assert_eq!(
            other.handle_datagram(NOW, &mut datagrams[0]),
            Handled::Dropped(DropReason::ForeignConv),
            "{cipher:?}"
        );
    }
}

// CRYPT-18
#[test]
fn a_server_recognises_its_datagrams_from_any_address_and_after_the_session() {
    for cipher in marked() {
        let mut pair = Pair::new(both(|settings| (settings.crypt, settings.nocomp) = (cipher, true)));
        assert_eq!(pair.upload(&pattern(1_000), std::time::Duration::from_secs(5)), pattern(1_000));
        let (now, address) = (pair.now, pair.client_address);
        let tunnel = pair.accepted();
        let id = tunnel.open_stream(now).unwrap();
        tunnel.write(now, id, &pattern(5_000)).unwrap();
        let mut out = [0; 1500];
        let transmit = tunnel.poll_transmit(now, &mut out).unwrap();
        let datagram = &out[..transmit.segment.map_or(transmit.len, |size| usize::from(size.get()))];
        let session = pair.session.unwrap();
        let reflected = DropReason::Reflected;
        let at_session = pair.server.handle_datagram(now, address, &mut datagram.to_vec());
        assert_eq!(at_session, Received::Session(session, Handled::Dropped(reflected)), "{cipher:?}");
        pair.forget_session();
        for from in [address, "203.0.113.9:53".parse().unwrap()] {
            let received = pair.server.handle_datagram(now, from, &mut datagram.to_vec());
            assert_eq!(received, Received::Dropped(reflected), "{cipher:?}");
        }
        assert_eq!(pair.server.stats().reflected, 2);
    }
}

// CRYPT-19
#[test]
fn a_datagram_above_the_largest_mtu_is_dropped_unopened() {
    for &cipher in Cipher::ALL {
        let (mut client, _) = uploading(&with(cipher), Entropy::from_seed([1; 32]));
        let config = Arc::new(Settings { crypt: cipher, ..Settings::server() }.tunnel_config().unwrap());
        let mut server = listen(config, [2; 32]);
        let mut datagram = sent(&mut client)[0].clone();
        datagram.resize(1501, 0);
        let from = "198.51.100.7:4321".parse().unwrap();
        let received = server.handle_datagram(NOW, from, &mut datagram.clone());
        assert_eq!(received, Received::Dropped(DropReason::Oversize), "{cipher:?}");
        let handled = client.handle_datagram(NOW, &mut datagram);
        assert_eq!(handled, Handled::Dropped(DropReason::Oversize), "{cipher:?}");
    }
}
