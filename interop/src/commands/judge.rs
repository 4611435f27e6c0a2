//! `karst-interop judge`.

use anyhow::Context;
use clap::Args;
use interop::matrix::{Dialer, Head, Order, Tunnel, judge, verdict};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Time for the client to accept.
const READY_LIMIT: Duration = Duration::from_secs(20);

#[derive(Args)]
#[command(after_help = "\
Has both ends of the streams: it connects to the client, and the server connects to it. Prints one run as JSON; exit status 0 whatever
the verdict is.")]
pub(crate) struct JudgeArgs {
    /// The order of `karst-interop matrix --launcher`, JSON
    #[arg(value_name = "FILE")]
    order: PathBuf,
    /// Address at which the client accepts
    #[arg(long)]
    entry: SocketAddr,
    /// Address to listen on as the target of the server
    #[arg(long)]
    listen: SocketAddr,
    /// Write the run there [default: standard output]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl JudgeArgs {
    /// Judges the tunnel once.
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        let text = std::fs::read_to_string(&self.order).with_context(|| self.order.display().to_string())?;
        let order: Order = serde_json::from_str(&text).with_context(|| self.order.display().to_string())?;
        let target = TcpListener::bind(self.listen).with_context(|| self.listen.to_string())?;
        let begun = std::time::Instant::now();
        while TcpStream::connect(self.entry).is_err() && begun.elapsed() < READY_LIMIT {
            std::thread::sleep(Duration::from_millis(20));
        }
        let run = verdict(judge(order.task, &Head::default(), &mut Elsewhere(self.entry), &target), None);
        let text = serde_json::to_string(&run)? + "\n";
        match &self.json {
            Some(path) => std::fs::write(path, text).with_context(|| path.display().to_string())?,
            None => print!("{text}"),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A tunnel whose programs run elsewhere.
struct Elsewhere(SocketAddr);

impl Tunnel for Elsewhere {
    fn dialer(&self) -> Dialer {
        let entry = self.0;
        Arc::new(move || TcpStream::connect_timeout(&entry, Duration::from_secs(1)))
    }

    fn check(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn restart_server(&mut self) -> Result<(), String> {
        Err("the server cannot be restarted from here".to_owned())
    }
}
