//! Client and server programs under test.

use anyhow::{Context, ensure};
use lab::conformance::{ProgramFacts, Role};
use lab::peers::{Peer, relative, version};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// A client or a server program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Name in tables.
    pub name: String,
    /// The executable.
    pub path: PathBuf,
    /// Flags after all others.
    pub flags: Vec<String>,
}

impl Program {
    /// Without flags of its own.
    pub fn new(name: &str, path: impl Into<PathBuf>) -> Self {
        Self { name: name.to_owned(), path: path.into(), flags: Vec::new() }
    }

    /// The client programs, and the server programs, of `peers`.
    pub fn of_peers(peers: &[Peer]) -> [Vec<Self>; 2] {
        let all = |path: fn(&Peer) -> &PathBuf| {
            peers
                .iter()
                .map(|peer| Self { flags: peer.extra.clone(), ..Self::new(&peer.name, path(peer)) })
                .collect()
        };
        [all(|peer| &peer.client), all(|peer| &peer.server)]
    }

    /// The programs that `texts` name, or `found` without any.
    pub fn given(texts: &[String], found: Vec<Self>) -> Vec<Self> {
        if texts.is_empty() { found } else { texts.iter().map(|text| Self::parse(text)).collect() }
    }

    /// Reads `NAME=PATH[,FLAG...]`; a bare path is named after its file.
    pub fn parse(text: &str) -> Self {
        let mut parts = text.split(',');
        let first = parts.next().unwrap_or_default();
        let (name, path) = first.split_once('=').unwrap_or(("", first));
        let path = PathBuf::from(path);
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = if name.is_empty() { file } else { name.to_owned() };
        Self { name, path, flags: parts.map(str::to_owned).collect() }
    }

    /// As [`Program::parse`] reads it, with a path relative to the working directory.
    pub fn argument(&self) -> String {
        let words = std::iter::once(format!("{}={}", self.name, relative(&self.path)));
        words.chain(self.flags.iter().cloned()).collect::<Vec<_>>().join(",")
    }

    /// Name, path, version and hash.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn facts(&self, role: Role) -> anyhow::Result<ProgramFacts> {
        let bytes = std::fs::read(&self.path).with_context(|| self.path.display().to_string())?;
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(ProgramFacts {
            name: self.name.clone(),
            role,
            path: relative(&self.path),
            flags: self.flags.clone(),
            version: version(&self.path),
            sha256,
        })
    }
}

/// Checks that no two programs of a role have the same name.
///
/// # Errors
/// Two have.
pub(crate) fn check_names(programs: &[Program]) -> anyhow::Result<()> {
    for (at, program) in programs.iter().enumerate() {
        let is_new = programs[..at].iter().all(|other| other.name != program.name);
        ensure!(is_new, "two programs have the name {:?}", program.name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_has_a_name_a_path_and_flags() {
        let program = Program::parse("me=/bin/sh,--smuxver,2");
        assert_eq!((program.name.as_str(), program.flags.join(" ").as_str()), ("me", "--smuxver 2"));
        assert_eq!(program.argument(), "me=/bin/sh,--smuxver,2");
        assert_eq!(Program::parse("/bin/cat").name, "cat");
        assert!(check_names(&[Program::parse("/bin/cat"), Program::parse("cat=/bin/sh")]).is_err());
    }
}
