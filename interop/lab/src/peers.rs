//! Which programs there are on this machine.

use std::path::{Path, PathBuf};

/// The two ends, in the order of [`Program`] lists.
pub const ROLES: [&str; 2] = ["client", "server"];

/// A client or a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Name in tables.
    pub name: String,
    /// The executable.
    pub path: PathBuf,
}

impl Program {
    /// Reads `NAME=PATH`; a bare path is named after its file.
    pub fn parse(text: &str) -> Self {
        let (name, path) = text.split_once('=').unwrap_or(("", text));
        let path = PathBuf::from(path);
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Self { name: if name.is_empty() { file } else { name.to_owned() }, path }
    }
}

/// A pair of programs that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Name in tables.
    pub name: &'static str,
    /// What was looked for, and where.
    pub why: String,
}

/// What was found, clients and servers in the same order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Programs {
    /// Client programs.
    pub clients: Vec<Program>,
    /// Server programs.
    pub servers: Vec<Program>,
    /// Pairs that were not found; never a silent pass.
    pub missing: Vec<Missing>,
}

impl Programs {
    /// `go`: kcptun-client and kcptun-server in the PATH. `karst`: karst-client and karst-server in `KARST_BIN_DIR`, or
    /// where cargo puts them relative to this executable.
    pub fn find() -> Self {
        let mut programs = Self::default();
        let path = std::env::var_os("PATH").unwrap_or_default();
        programs.add("go", "kcptun", &std::env::split_paths(&path).collect::<Vec<_>>());
        programs.add("karst", "karst", &karst_folders());
        programs
    }

    fn add(&mut self, name: &'static str, prefix: &str, folders: &[PathBuf]) {
        let pair = ROLES.map(|role| in_folders(&format!("{prefix}-{role}"), folders));
        let [Some(client), Some(server)] = pair else {
            let looked: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
            let why = format!("{prefix}-client and {prefix}-server are not both in {}", looked.join(":"));
            return self.missing.push(Missing { name, why });
        };
        self.clients.push(Program { name: name.to_owned(), path: client });
        self.servers.push(Program { name: name.to_owned(), path: server });
    }
}

fn in_folders(file: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    folders.iter().map(|folder| folder.join(file)).find(|path| path.is_file())
}

/// `target/PROFILE` for a program there, and for a test one folder further down; the other profile as a last resort.
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
