//! The servers of a differential run.

use crate::Program;
use crate::probe::peer::Common;
use anyhow::Context;
use engine::crypt::{Cipher, MasterKey, Suite};
use lab::mihomo;
use lab::pair::{Addresses, Started};
use lab::ports::{self, Protocol};
use sim::Side;
use std::net::SocketAddr;

/// Key of all servers.
const KEY: &str = "differential";

/// A running server: one process for each version of smux.
pub(super) struct Server {
    pub(super) name: String,
    pub(super) common: Common,
    /// What each stream begins with: mihomo reads the address of the target, as shadowsocks without a cipher writes it.
    pub(super) head: Vec<u8>,
    started: Vec<(Started, SocketAddr)>,
}

impl Server {
    /// Starts a program twice, in front of `target`.
    pub(super) fn start(program: &Program, target: SocketAddr) -> anyhow::Result<Self> {
        let suite = Suite::new(Cipher::Aes128, &MasterKey::derive(KEY.as_bytes()));
        let common = Common { suite, compressed: true, smux: 1, shape: None, shadowsocks: false };
        let head = if mihomo::is(&program.path) { mihomo::head(target) } else { Vec::new() };
        let mut server = Self { name: program.name.clone(), common, head, started: Vec::new() };
        for smux in [1, 2] {
            let address = ports::free_udp()?;
            let addresses = Addresses { remote: address, server: address, client: address, target };
            let flags = [flags(smux), program.flags.clone()].concat();
            let mut started = addresses
                .start(&program.path, Side::Server, &flags, None)
                .with_context(|| program.name.clone())?;
            started.process.listens(Protocol::Udp, address.port()).with_context(|| program.name.clone())?;
            server.started.push((started, address));
        }
        Ok(server)
    }

    pub(super) fn address(&self, smux: u8) -> SocketAddr {
        self.started[usize::from(smux != 1)].1
    }

    /// How it ended; `None` while all its processes run.
    pub(super) fn ended(&mut self) -> Option<String> {
        let mut processes = self.started.iter_mut().map(|(started, _)| &mut started.process);
        processes.find_map(|process| process.check().err()).map(|error| error.to_string())
    }
}

fn flags(smux: u8) -> Vec<String> {
    let words = "--crypt aes-128 --mode fast3 --datashard 0 --parityshard 0 --smuxver";
    let words = ["--key", KEY].into_iter().chain(words.split(' ')).map(str::to_owned);
    let nocomp = (smux == 2).then(|| "--nocomp".to_owned());
    words.chain([smux.to_string()]).chain(nocomp).collect()
}
