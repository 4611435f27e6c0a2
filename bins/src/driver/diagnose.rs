//! Names the option that differs (CLI-50): a few datagrams per source that do not open are tried with the other ciphers.
//! Off the hot path: only datagrams without a session, a bounded number of them.

use crate::log::log_line;
use engine::crypt::{Cipher, MasterKey};
use engine::diagnose::Diagnosis;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Datagrams tried per source.
const DATAGRAMS_MAX: u8 = 3;

/// Sources tried; beyond them the program is being flooded and logs nothing more.
const SOURCES_MAX: usize = 256;

pub(crate) struct Diagnose {
    own: Cipher,
    key: MasterKey,
    /// Derives keys, so it is created by the first datagram that needs it.
    diagnosis: Option<Diagnosis>,
    seen: BTreeMap<IpAddr, u8>,
}

impl Diagnose {
    pub(crate) fn new(own: Cipher, secret: &str) -> Self {
        let key = MasterKey::derive(secret.as_bytes());
        Self { own, key, diagnosis: None, seen: BTreeMap::new() }
    }

    /// Whether a datagram of this source is worth a copy, in case it does not open.
    pub(crate) fn wants(&self, from: SocketAddr) -> bool {
        match self.seen.get(&from.ip()) {
            Some(count) => *count < DATAGRAMS_MAX,
            None => self.seen.len() < SOURCES_MAX,
        }
    }

    /// Tries a sealed datagram that could not be used, and logs the result.
    pub(crate) fn judge(&mut self, from: SocketAddr, datagram: &[u8]) {
        let count = self.seen.entry(from.ip()).or_default();
        *count += 1;
        let diagnosis = self.diagnosis.get_or_insert_with(|| Diagnosis::new(self.own, &self.key));
        if let Some(cipher) = diagnosis.cipher_of(datagram) {
            *count = DATAGRAMS_MAX;
            log_line!(
                "{from} uses --crypt {} and this side --crypt {}, with the same --key: make them equal",
                cipher.name(),
                self.own.name()
            );
        } else if *count == DATAGRAMS_MAX {
            log_line!(
                "{from} sends datagrams that open under no cipher with this side's key: is --key the same on both sides?"
            );
        }
    }
}
