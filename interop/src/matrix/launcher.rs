//! Cells that another program runs, for example in containers.
//!
//! The launcher is called as `LAUNCHER facts PATH`, and prints `{"version": ..., "sha256": ...}` of a program; and as
//! `LAUNCHER cell`, with an [`Order`] on its standard input, and prints a [`Ran`].

use super::cell::{Cell, Ran, clipped};
use super::judge::Task;
use crate::Program;
use anyhow::{Context, ensure};
use lab::conformance::{ProgramFacts, Role, Verdict};
use lab::process::Running;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a launcher needs to run a cell.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Order {
    /// Path of the client program, as it was given.
    pub client: String,
    /// Path of the server program.
    pub server: String,
    /// Flags of the client, without addresses.
    pub client_flags: Vec<String>,
    /// Flags of the server, without addresses.
    pub server_flags: Vec<String>,
    /// Name of the path between them.
    pub path: String,
    /// Seed of the path.
    pub seed: u64,
    /// What the judge has to do.
    pub task: Task,
}

/// A program that runs cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher(pub PathBuf);

#[derive(Deserialize)]
struct Facts {
    version: String,
    sha256: String,
}

impl Launcher {
    /// Version and hash of a program.
    ///
    /// # Errors
    /// The launcher cannot be run, fails, or prints something else.
    pub(super) fn facts(&self, program: &Program, role: Role) -> anyhow::Result<ProgramFacts> {
        let path = program.path.display().to_string();
        let output = Command::new(&self.0).args(["facts", &path]).stderr(Stdio::inherit()).output();
        let output = output.with_context(|| self.0.display().to_string())?;
        ensure!(output.status.success(), "{} facts {path}: {}", self.0.display(), output.status);
        let Facts { version, sha256 } =
            serde_json::from_slice(&output.stdout).context("facts of the launcher")?;
        Ok(ProgramFacts {
            name: program.name.clone(),
            role,
            path,
            flags: program.flags.clone(),
            version,
            sha256,
        })
    }

    /// Has the cell run.
    pub(super) fn run(&self, cell: &Cell<'_>) -> Ran {
        if cell.case.tcp {
            return Ran::without(Verdict::NotMeasured, "the launcher has no forged TCP".to_owned());
        }
        let [flags, client_flags, server_flags] = cell.flags();
        let text = |path: &Path| path.display().to_string();
        let order = Order {
            client: text(&cell.client.path),
            server: text(&cell.server.path),
            client_flags: [flags.clone(), client_flags].concat(),
            server_flags: [flags, server_flags].concat(),
            path: cell.case.path.clone(),
            seed: cell.seed,
            task: cell.task(),
        };
        self.ordered(&order)
            .unwrap_or_else(|error| Ran::without(Verdict::Error, clipped(&format!("{error:#}"))))
    }

    fn ordered(&self, order: &Order) -> anyhow::Result<Ran> {
        let mut command = Command::new(&self.0);
        command.arg("cell").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = Running::spawn(&mut command).with_context(|| self.0.display().to_string())?;
        let (mut to, mut from) = child.pipes().context("no pipes")?;
        to.write_all(serde_json::to_string(order)?.as_bytes())?;
        drop(to);
        let mut text = String::new();
        from.read_to_string(&mut text)?;
        serde_json::from_str(&text).with_context(|| format!("the launcher printed {text:?}"))
    }
}
