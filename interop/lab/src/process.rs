//! One child process: output kept for the case that it fails, killed by its id at the end.

use crate::sys;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Lines of output shown when something failed.
const TAIL_LINES: usize = 12;

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `path` with `flags`; its standard output and error go to a temporary file.
    pub fn start(path: &Path, flags: &[String]) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let log = std::env::temp_dir().join(format!("karst-live-{}-{number}.log", std::process::id()));
        let output = File::create(&log)?;
        let error = output.try_clone()?;
        let mut command = Command::new(path);
        command.args(flags).stdin(Stdio::null()).stdout(output).stderr(error);
        sys::dies_with_parent(&mut command);
        match command.spawn() {
            Ok(child) => Ok(Self { child, log }),
            Err(error) => {
                let _ = std::fs::remove_file(&log);
                Err(error)
            }
        }
    }

    /// How it ended, if it has: programs of the matrix never do so by themselves.
    pub fn ended(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(status.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Stops it where it is, or lets it go on.
    pub fn suspend(&self, stopped: bool) {
        sys::suspend(&self.child, stopped);
    }

    /// The last lines it wrote.
    pub fn output(&self) -> String {
        let text = std::fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.log);
    }
}
