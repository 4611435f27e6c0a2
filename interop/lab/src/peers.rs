//! Pairs of tunnel programs, found on this machine or given on the command line.

use crate::mihomo;
use crate::process::Process;
use crate::results::{DIRECT, PeerFacts, Skipped};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Time limit for a program to print its version.
const VERSION_LIMIT: Duration = Duration::from_secs(3);

/// A client and a server of one implementation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Name in tables.
    pub name: String,
    /// The client program.
    pub client: PathBuf,
    /// The server program.
    pub server: PathBuf,
    /// Additional flags of both programs, after all others.
    pub extra: Vec<String>,
}

/// The pairs of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Pairs with both programs, kcptun before karst.
    pub peers: Vec<Peer>,
    /// Pairs that lack a program, with the folders that were searched.
    pub missing: Vec<Skipped>,
}

impl Peer {
    /// Reads `NAME=CLIENT,SERVER[,FLAG...]`.
    ///
    /// # Errors
    /// Another form, a name with the prefix of kernel TCP, or a program that does not exist.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not NAME=CLIENT,SERVER[,FLAG...]");
        let (name, rest) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)?;
        let mut parts = rest.split(',');
        let (Some(client), Some(server)) = (parts.next(), parts.next()) else { return Err(wrong()) };
        if name.starts_with(DIRECT) {
            return Err(format!("{name:?} is not a name for a peer: the prefix {DIRECT} denotes kernel TCP"));
        }
        for path in [client, server] {
            if !Path::new(path).is_file() {
                return Err(format!("{path}: no such program"));
            }
        }
        let extra = parts.map(str::to_owned).collect();
        Ok(Self { name: name.to_owned(), client: client.into(), server: server.into(), extra })
    }

    /// Searches `go` (kcptun-client and kcptun-server) in the PATH, and `karst` (karst-client and karst-server) in
    /// `KARST_BIN_DIR`, or in cargo's target folder relative to this executable.
    pub fn find() -> Found {
        let mut found = Found::default();
        let path = std::env::var_os("PATH").unwrap_or_default();
        found.search("go", "kcptun", &std::env::split_paths(&path).collect::<Vec<_>>());
        found.search("karst", "karst", &karst_folders());
        found
    }

    /// Name, paths relative to the working directory, and version.
    pub fn facts(&self) -> PeerFacts {
        PeerFacts {
            name: self.name.clone(),
            client: relative(&self.client),
            server: relative(&self.server),
            version: version(&self.client),
        }
    }

    /// As [`Peer::facts`] with file names instead of paths.
    pub fn bare_facts(&self) -> PeerFacts {
        let file = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        PeerFacts { client: file(&self.client), server: file(&self.server), ..self.facts() }
    }
}

impl Found {
    fn search(&mut self, name: &str, prefix: &str, folders: &[PathBuf]) {
        let file = |role: &str| {
            let mut paths = folders.iter().map(|folder| folder.join(format!("{prefix}-{role}")));
            paths.find(|path| path.is_file())
        };
        let name = name.to_owned();
        if let (Some(client), Some(server)) = (file("client"), file("server")) {
            return self.peers.push(Peer { name, client, server, extra: Vec::new() });
        }
        let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
        let reason = format!("{prefix}-client and {prefix}-server are not both in {}", folders.join(":"));
        self.missing.push(Skipped { name, reason });
    }

    /// Moves karst to the front, because comparisons are with the first pair.
    #[must_use]
    pub fn karst_first(mut self) -> Self {
        self.peers.sort_by_key(|peer| peer.name != "karst");
        self
    }

    /// The pair of that name.
    pub fn named(&self, name: &str) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.name == name)
    }
}

/// `target/PROFILE` for a program there, and for a test one folder further down; the other profile last.
fn karst_folders() -> Vec<PathBuf> {
    if let Some(folder) = std::env::var_os("KARST_BIN_DIR") {
        return vec![PathBuf::from(folder)];
    }
    let executable = std::env::current_exe().unwrap_or_default();
    let own = executable.parent().unwrap_or(Path::new("."));
    let profile = if own.ends_with("deps") { own.parent().unwrap_or(own) } else { own };
    let target = profile.parent().unwrap_or(profile);
    vec![profile.to_owned(), target.join("release"), target.join("debug")]
}

/// Relative to the working directory if the program is inside it.
pub fn relative(program: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    program.strip_prefix(here).unwrap_or(program).display().to_string()
}

/// The first line that `--version` prints within [`VERSION_LIMIT`], or `unknown`.
pub fn version(program: &Path) -> String {
    let (unknown, flag) = ("unknown".to_owned(), if mihomo::is(program) { "-v" } else { "--version" });
    let Ok(mut process) = Process::start(program, &[flag.to_owned()], None) else { return unknown };
    let begun = Instant::now();
    while process.ended().is_none() {
        if begun.elapsed() > VERSION_LIMIT {
            return unknown;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    process.output().lines().next().map_or(unknown, |line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_a_name_two_programs_and_flags() {
        let peer = Peer::parse("me=/bin/sh,/bin/cat,--smuxver,1").unwrap();
        assert_eq!((peer.name.as_str(), peer.client.as_path()), ("me", Path::new("/bin/sh")));
        assert_eq!(
            (peer.server.as_path(), peer.extra.as_slice()),
            (Path::new("/bin/cat"), &["--smuxver".into(), "1".into()][..])
        );
        let refused = |text: &str| Peer::parse(text).unwrap_err();
        assert!(refused("me=/bin/sh").contains("NAME=CLIENT,SERVER"));
        assert!(refused("/bin/sh,/bin/cat").contains("NAME=CLIENT,SERVER"));
        assert!(refused("=/bin/sh,/bin/cat").contains("NAME=CLIENT,SERVER"));
        assert_eq!(refused("me=/bin/sh,/bin/none"), "/bin/none: no such program");
        assert!(refused("tcp-x=/bin/sh,/bin/cat").contains("not a name"));
    }
}
