//! CRYPT-17: the cipher of a sender with the same secret is identified; for other datagrams there is no result.
use engine::crypt::{Cipher, MasterKey};
use engine::diagnose::Diagnosis;
use engine::{Entropy, Instant, Settings, Tunnel};
use std::sync::Arc;

fn first_datagram(crypt: Cipher, key: &str, datashard: i64) -> Vec<u8> {
    let settings = Settings { crypt, key: key.into(), datashard, ..Settings::client() };
    let config = Arc::new(settings.tunnel_config().unwrap());
    let server = "192.0.2.1:29900".parse().unwrap();
    let mut tunnel = Tunnel::connect(&config, Instant::ZERO, server, Entropy::from_seed([3; 32]));
    tunnel.open_stream(Instant::ZERO).unwrap();
    let mut out = [0; 1500];
    let transmit = tunnel.poll_transmit(Instant::ZERO, &mut out).unwrap();
    out[..transmit.len].to_vec()
}

#[test]
fn every_cipher_is_recognised_from_every_other() {
    for own in [Cipher::Aes, Cipher::None, Cipher::Aes128Gcm] {
        let diagnosis = Diagnosis::new(own, &MasterKey::derive(b"secret"));
        for &other in Cipher::ALL {
            for datashard in [0, 10] {
                let found = diagnosis.cipher_of(&first_datagram(other, "secret", datashard));
                let expected = (other != own).then_some(other);
                assert_eq!(found, expected, "{own:?} hears {other:?}, {datashard} data shards");
            }
        }
    }
}

#[test]
fn another_secret_and_noise_are_not_explained_away() {
    let diagnosis = Diagnosis::new(Cipher::Aes, &MasterKey::derive(b"secret"));
    for &other in Cipher::ALL.iter().filter(|cipher| !matches!(cipher, Cipher::None | Cipher::Null)) {
        assert_eq!(diagnosis.cipher_of(&first_datagram(other, "other", 10)), None, "{other:?}");
    }
    let mut entropy = Entropy::from_seed([8; 32]);
    let mut noise = [0; 1400];
    for len in 0..1400 {
        entropy.fill(&mut noise[..len]);
        assert_eq!(diagnosis.cipher_of(&noise[..len]), None, "{len} bytes of noise");
    }
}
