//! karst-report: renders the simulator's results (`karst-sim --json`) and recordings (`karst-sim run --events`), and the
//! measurements of `karst-report bench` and `lines`, as HTML or Markdown.
//!
//! Exit code 0: written. 1: a measurement failed. 2: the command line or an input file was refused.

use std::process::ExitCode;

fn main() -> ExitCode {
    reports::run()
}
