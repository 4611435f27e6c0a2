//! mihomo, which has kcptun's protocol below shadowsocks: its configuration, made of kcptun's flags.
//!
//! Without a cipher of its own, shadowsocks only writes a [`head`] in front of each stream. What talks to a peer of mihomo has to
//! write it, or to skip it.

use crate::pair::Addresses;
use crate::results::Skipped;
use serde_json::{Map, Value, json};
use sim::Side;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Name of the program.
pub const NAME: &str = "mihomo";

/// File that shows that it takes connections.
const UP: &str = "up";

/// Flags of kcptun without a value.
const SWITCHES: [&str; 2] = ["nocomp", "acknodelay"];

/// Flags that concern karst only.
const LEFT_OUT: [&str; 1] = ["compat"];

/// The program in the PATH.
///
/// # Errors
/// The folders that were searched.
pub fn find() -> Result<PathBuf, Skipped> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut files = std::env::split_paths(&path).map(|folder| folder.join(NAME));
    let missing =
        || Skipped { name: NAME.into(), reason: format!("{NAME} is not in {}", path.to_string_lossy()) };
    files.find(|file| file.is_file()).ok_or_else(missing)
}

/// Whether a program is mihomo.
pub fn is(program: &Path) -> bool {
    program.file_name().is_some_and(|name| name == NAME)
}

/// What shadowsocks without a cipher writes in front of a stream to `target`: SOCKS5's form of the address.
pub fn head(target: SocketAddr) -> Vec<u8> {
    let mut head = match target.ip() {
        IpAddr::V4(ip) => [&[1], &ip.octets()[..]].concat(),
        IpAddr::V6(ip) => [&[4], &ip.octets()[..]].concat(),
    };
    head.extend(target.port().to_be_bytes());
    head
}

/// What is behind a head of shadowsocks; empty while the head is incomplete.
pub fn behind_head(bytes: &[u8]) -> &[u8] {
    let len = match bytes {
        [1, ..] => 7,
        [3, name, ..] => 4 + usize::from(*name),
        [4, ..] => 19,
        // Not a head, so that a difference shows.
        _ => 0,
    };
    bytes.get(len..).unwrap_or_default()
}

/// A folder with the configuration of one process, removed when dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Writes the configuration of a side. Its client forwards each connection to the target, its server connects where a
    /// head says.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(crate) fn new(side: Side, addresses: Addresses, flags: &[String]) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("karst-lab-{NAME}-{}-{number}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&folder.0)?;
        // JSON is YAML.
        std::fs::write(folder.0.join("config.yaml"), configuration(side, addresses, flags).to_string())?;
        Ok(folder)
    }

    /// The command line of the process.
    pub fn arguments(&self) -> Vec<String> {
        let up = format!("touch '{}'", self.0.join(UP).display());
        vec!["-d".into(), self.0.display().to_string(), "-post-up".into(), up]
    }

    /// Whether the process takes connections: it listens some time before, and closes what comes until then.
    pub(crate) fn is_up(&self) -> bool {
        self.0.join(UP).exists()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn configuration(side: Side, addresses: Addresses, flags: &[String]) -> Value {
    let mut options = options(flags);
    let Addresses { remote, server, client, target } = addresses;
    let (listener, proxies, to) = match side {
        Side::Client => (
            json!({ "name": "in", "type": "tunnel", "listen": client.ip(), "port": client.port(), "network": ["tcp"],
                "target": target.to_string() }),
            json!([{ "name": "out", "type": "ss", "server": remote.ip(), "port": remote.port(), "cipher": "none",
                "password": "none", "plugin": "kcptun", "plugin-opts": options }]),
            "out",
        ),
        Side::Server => {
            options.insert("enable".into(), json!(true));
            (
                json!({ "name": "in", "type": "shadowsocks", "listen": server.ip(), "port": server.port(),
                    "cipher": "none", "password": "none", "kcp-tun": options }),
                json!([]),
                "DIRECT",
            )
        }
    };
    json!({ "mode": "rule", "log-level": "warning", "listeners": [listener], "proxies": proxies,
        "rules": [format!("MATCH,{to}")] })
}

/// The same options under the same names.
fn options(flags: &[String]) -> Map<String, Value> {
    let mut options = Map::new();
    let mut words = flags.iter();
    while let Some(name) = words.next().map(|word| word.trim_start_matches('-')) {
        if SWITCHES.contains(&name) {
            options.insert(name.into(), json!(true));
            continue;
        }
        let value = words.next().map_or("", String::as_str);
        if !LEFT_OUT.contains(&name) {
            let value = value.parse::<i64>().map_or_else(|_| json!(value), |number| json!(number));
            options.insert(name.into(), value);
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_kcptun_become_options() {
        let flags = ["--key", "a b", "--nocomp", "--smuxver", "2", "--compat", "mihomo", "-mtu", "512"];
        let found = options(&flags.map(String::from));
        assert_eq!(Value::from(found), json!({ "key": "a b", "nocomp": true, "smuxver": 2, "mtu": 512 }));
        assert_eq!(head("1.2.3.4:258".parse().unwrap()), [1, 1, 2, 3, 4, 1, 2]);
    }
}
