//! An unnamed network namespace: a thread holds it, and the kernel removes it with its last thread, process and socket.

use super::sys;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

type Job = Box<dyn FnOnce() + Send>;

/// A namespace. Sockets and processes made by [`Namespace::run`] belong to it, whichever thread uses them.
#[derive(Debug)]
pub(super) struct Namespace {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// The `net` folder of the thread in /proc.
    tables: String,
}

impl Namespace {
    /// Creates a namespace with an idle loopback device only.
    pub(super) fn new() -> io::Result<Self> {
        let (jobs, queue) = channel::<Job>();
        let (started, result) = channel();
        let thread = std::thread::spawn(move || {
            let left = sys::leave_network().and_then(|()| std::fs::read_link("/proc/thread-self"));
            let failed = left.is_err();
            let _ = started.send(left);
            if !failed {
                queue.iter().for_each(|job| job());
            }
        });
        let own: PathBuf = result.recv().map_err(|_| io::Error::other("the thread ended"))??;
        let tables = format!("/proc/{}/net", own.display());
        Ok(Self { jobs: Some(jobs), thread: Some(thread), tables })
    }

    /// Runs `job` in the namespace; jobs run one at a time.
    pub(super) fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (done, result) = channel();
        let job = Box::new(move || _ = done.send(job()));
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        if !sent {
            return Err(io::Error::other("the namespace has ended"));
        }
        result.recv().map_err(|_| io::Error::other("the namespace has ended"))?
    }

    /// The `net` folder of this namespace in /proc.
    pub(super) fn tables(&self) -> &str {
        &self.tables
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
