//! Commands of the user at the ends of a network.

use super::{End, LEFT, Network, RIGHT};
use crate::process::Running;
use crate::sys;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Time for a foreground command to exit after a signal.
const GRACE: Duration = Duration::from_secs(2);

/// A command to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// For `sh -c`, in a process group of its own, without input.
    Shell(String),
    /// A program and its arguments, in the foreground.
    Foreground(Vec<String>),
}

/// Starts `right`, then `left`, waits for the left command (the right one if there is no left), then kills the other. Returns
/// None when a signal ended the wait.
///
/// # Errors
/// A command cannot be started.
pub fn run_commands(
    network: &Network,
    left: Option<&Command>,
    right: Option<&Command>,
) -> io::Result<Option<ExitStatus>> {
    let start =
        |end, command: Option<&Command>| command.map(|command| start(network, end, command)).transpose();
    let mut right = start(End::Right, right)?;
    let mut left = start(End::Left, left)?;
    let Some(main) = left.as_mut().or(right.as_mut()) else { return Ok(None) };
    let mut signalled: Option<Instant> = None;
    loop {
        if let Some(status) = main.try_wait()? {
            return Ok(signalled.is_none().then_some(status));
        }
        if sys::is_stopping() && signalled.get_or_insert_with(Instant::now).elapsed() > GRACE {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn start(network: &Network, end: End, command: &Command) -> io::Result<Running> {
    let mut process = match command {
        Command::Shell(text) => {
            let mut shell = std::process::Command::new("sh");
            shell.args(["-c", text]).stdin(Stdio::null()).process_group(0);
            shell
        }
        Command::Foreground(words) => {
            let mut program = std::process::Command::new(words.first().map_or("sh", String::as_str));
            program.args(words.get(1..).unwrap_or_default());
            program
        }
    };
    process.env("KARST_LEFT", LEFT.to_string()).env("KARST_RIGHT", RIGHT.to_string());
    network.end(end).run(move || Running::spawn(&mut process))
}
