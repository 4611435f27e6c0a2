//! Pairs of programs that are compared.

use crate::performance::{DIRECT, PeerFacts};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A client and a server of the same make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) client: PathBuf,
    pub(crate) server: PathBuf,
    /// Flags of both, after all others.
    pub(crate) extra: Vec<String>,
}

impl Peer {
    /// Reads `NAME=CLIENT,SERVER[,FLAG...]`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not NAME=CLIENT,SERVER[,FLAG...]");
        let (name, rest) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)?;
        let mut parts = rest.split(',');
        let (Some(client), Some(server)) = (parts.next(), parts.next()) else { return Err(wrong()) };
        if name.starts_with(DIRECT) {
            return Err(format!("{name:?} is not a name for a peer: sides without a tunnel begin so"));
        }
        for path in [client, server] {
            if !Path::new(path).is_file() {
                return Err(format!("{path}: no such program"));
            }
        }
        let extra = parts.map(str::to_owned).collect();
        Ok(Self { name: name.to_owned(), client: client.into(), server: server.into(), extra })
    }

    /// karst next to this program, kcptun of the PATH; what is missing, by name and reason.
    pub(crate) fn find() -> (Vec<Self>, Vec<[String; 2]>) {
        let own = std::env::current_exe().unwrap_or_default();
        let beside = own.parent().map(Path::to_path_buf).into_iter().collect::<Vec<_>>();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for (name, prefix, folders) in
            [("karst", "karst", beside), ("go", "kcptun", std::env::split_paths(&path).collect())]
        {
            let file = |role: &str| {
                let mut files = folders.iter().map(|folder| folder.join(format!("{prefix}-{role}")));
                files.find(|file| file.is_file())
            };
            match (file("client"), file("server")) {
                (Some(client), Some(server)) => {
                    found.push(Self { name: name.to_owned(), client, server, extra: Vec::new() });
                }
                _ => missing.push([name.to_owned(), looked_for(prefix, &folders)]),
            }
        }
        (found, missing)
    }

    pub(crate) fn facts(&self) -> PeerFacts {
        PeerFacts {
            name: self.name.clone(),
            client: from_here(&self.client),
            server: from_here(&self.server),
            version: version(&self.client),
        }
    }

    /// The same, wherever the programs lie.
    pub(crate) fn bare_facts(&self) -> PeerFacts {
        let file = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        PeerFacts { client: file(&self.client), server: file(&self.server), ..self.facts() }
    }
}

fn looked_for(prefix: &str, folders: &[PathBuf]) -> String {
    let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    format!("{prefix}-client and {prefix}-server are not both in {}", folders.join(":"))
}

/// As seen from the working directory, if it lies there.
fn from_here(program: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    program.strip_prefix(here).unwrap_or(program).display().to_string()
}

/// The first line that a program says about itself.
fn version(program: &Path) -> String {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").trim().to_owned()
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
