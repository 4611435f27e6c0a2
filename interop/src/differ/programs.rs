//! The servers of a differential run.

use crate::probe::peer::Common;
use anyhow::{Context, ensure};
use engine::crypt::{Cipher, MasterKey, Suite};
use lab::mihomo;
use lab::ports;
use lab::process::Process;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Key of all servers.
const KEY: &str = "differential";

/// A server program: `NAME=PATH[,flags...]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Name in reports.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Flags in addition to those of the run.
    pub flags: Vec<String>,
}

impl Program {
    /// Parses `NAME=PATH[,flags...]`.
    ///
    /// # Errors
    /// The text has no name or no path.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let (name, rest) =
            text.split_once('=').with_context(|| format!("{text}: not NAME=PATH[,flags...]"))?;
        let mut words = rest.split(',');
        let path = words.next().unwrap_or_default();
        ensure!(!name.is_empty() && !path.is_empty(), "{text}: not NAME=PATH[,flags...]");
        Ok(Self { name: name.to_owned(), path: path.into(), flags: words.map(str::to_owned).collect() })
    }
}

/// A running server: one process for each version of smux.
pub(super) struct Server {
    pub(super) name: String,
    pub(super) common: Common,
    /// What each stream begins with: mihomo reads the address of the target, as shadowsocks without a cipher writes it.
    pub(super) head: Vec<u8>,
    processes: Vec<(Process, SocketAddr)>,
    folders: Vec<PathBuf>,
}

impl Server {
    /// Starts a program twice, in front of `target`.
    pub(super) fn start(program: &Program, target: SocketAddr) -> anyhow::Result<Self> {
        let suite = Suite::new(Cipher::Aes128, &MasterKey::derive(KEY.as_bytes()));
        let common = Common { suite, compressed: true, smux: 1, shape: None };
        let is_mihomo = mihomo::is(&program.path);
        let head = if is_mihomo { mihomo::head(target) } else { Vec::new() };
        let mut server =
            Self { name: program.name.clone(), common, head, processes: Vec::new(), folders: Vec::new() };
        for smux in [1, 2] {
            let address = ports::free_udp()?;
            let flags = match is_mihomo {
                true => server.mihomo(smux, address)?,
                false => flags(smux, address, target),
            };
            let flags = [flags, program.flags.clone()].concat();
            let mut process = Process::start(&program.path, &flags, None)?;
            process.listens(ports::Protocol::Udp, address.port()).with_context(|| program.name.clone())?;
            server.processes.push((process, address));
        }
        Ok(server)
    }

    pub(super) fn address(&self, smux: u8) -> SocketAddr {
        self.processes[usize::from(smux != 1)].1
    }

    /// How it ended; `None` while all its processes run.
    pub(super) fn ended(&mut self) -> Option<String> {
        self.processes
            .iter_mut()
            .find_map(|(process, _)| process.check().err())
            .map(|error| error.to_string())
    }

    /// Writes a configuration of mihomo; returns its flags.
    fn mihomo(&mut self, smux: u8, address: SocketAddr) -> anyhow::Result<Vec<String>> {
        let name = format!("karst-diff-{}-{}", std::process::id(), address.port());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder)?;
        let options = serde_json::json!({
            "enable": true, "key": KEY, "crypt": "aes-128", "mode": "fast3", "datashard": 0, "parityshard": 0,
            "smuxver": smux, "nocomp": smux == 2,
        });
        let listener = serde_json::json!({
            "name": "in", "type": "shadowsocks", "listen": address.ip(), "port": address.port(), "cipher": "none",
            "password": "none", "kcp-tun": options,
        });
        let config = serde_json::json!({
            "mode": "rule", "log-level": "warning", "listeners": [listener], "rules": ["MATCH,DIRECT"],
        });
        // JSON is YAML.
        std::fs::write(folder.join("config.yaml"), config.to_string())?;
        let flags = vec!["-d".to_owned(), folder.display().to_string()];
        self.folders.push(folder);
        Ok(flags)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for folder in &self.folders {
            let _ = std::fs::remove_dir_all(Path::new(folder));
        }
    }
}

fn flags(smux: u8, address: SocketAddr, target: SocketAddr) -> Vec<String> {
    let (address, target, smuxver) = (address.to_string(), target.to_string(), smux.to_string());
    let words = [
        "-l",
        &address,
        "-t",
        &target,
        "--key",
        KEY,
        "--crypt",
        "aes-128",
        "--mode",
        "fast3",
        "--datashard",
        "0",
        "--parityshard",
        "0",
        "--smuxver",
        &smuxver,
        "--quiet",
    ];
    let nocomp = (smux == 2).then_some("--nocomp");
    words.into_iter().chain(nocomp).map(str::to_owned).collect()
}
