//! `karst-client check` and `karst-server check`: try what a normal run with the same options needs, and explain what does not
//! work (CLI-90, CLI-91).
//!
//! A client's check dials sessions of the engine from sockets of its own, each driven by a thread ([`session`]). What kcptun's
//! protocol does not reveal, such as the cipher of a server that stays silent, is found by trying the alternatives.

mod client;
mod path;
mod report;
mod server;
mod session;
mod silence;
mod socket;
mod system;

pub use report::Fault;

use crate::config::{Command, Config, Given, load};
use crate::flags::Side;
use crate::platform::text::of_system;
use engine::Entropy;
use report::Report;
use socket::Via;
use std::io::{self, Write};
use std::process::ExitCode;

/// The first word of a command line that requests a check.
pub const WORD: &str = "check";

/// Checks with the options in `words`, which follow [`WORD`], and prints the result. The exit status is 0 if everything works, that of
/// the first [`Fault`] otherwise, and 1 or 2 if the options do not permit a start (CLI-8).
pub fn run(side: Side, words: &[String]) -> ExitCode {
    let environment = |name: &str| std::env::var_os(name).map(|value| of_system(&value));
    let refuse = |text: String, code| {
        // Standard error may be closed.
        let _ = writeln!(io::stderr(), "{}: {}", side.program(), text.replace(['\n', '\r'], " "));
        ExitCode::from(code)
    };
    let (config, given, warnings) = match load(side, words, environment) {
        Ok(Command::Print(text)) => {
            let _ = io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Ok(Command::Run(config, given, warnings)) => (config, given, warnings),
        Err(error) => return refuse(error.to_string(), error.exit_code()),
    };
    let mut seed = [0; 32];
    if let Err(error) = getrandom::fill(&mut seed) {
        return refuse(format!("random numbers: {error}"), 1);
    }
    let mut report = Report::new(side);
    warnings.iter().for_each(|warning| report.note("options", warning));
    let via = match config.forged() {
        Ok(forged) => config.program.tcp.variant().zip(forged).map_or(Via::Udp, Via::forged),
        Err(error) => return refuse(error.to_string(), 1),
    };
    let job = Job { config: &config, given: &given, entropy: Entropy::from_seed(seed), via };
    let checked = match side {
        Side::Client => client::check(job, &mut report),
        Side::Server => server::check(job, &mut report),
    };
    match checked {
        Ok(()) => report.finish(),
        Err(error) => refuse(error.to_string(), error.exit_code()),
    }
}

/// What a check works with.
struct Job<'c> {
    config: &'c Config,
    given: &'c Given,
    entropy: Entropy,
    via: Via,
}
