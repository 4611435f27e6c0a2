//! Child processes: killed when dropped and when this program ends, their output kept for error messages, their processor time
//! and memory read from the system's tables.

use crate::ports::{Protocol, is_bound};
use crate::sys;
use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Lines of output shown in error messages.
const TAIL_LINES: usize = 12;

/// Time limit for a program to listen.
const LISTEN_LIMIT: Duration = Duration::from_secs(10);

/// Ticks of `/proc/PID/stat` in a second, on every Linux.
const TICKS_PER_S: f64 = 100.0;

/// A child that is killed, with its process group if it leads one, when this is dropped or when the thread that started it ends
/// for any reason.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    /// Starts `command`.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        sys::dies_with_parent(command);
        command.spawn().map(Self)
    }

    /// Its standard input and output, if they are pipes that were not taken before.
    pub fn pipes(&mut self) -> Option<(ChildStdin, ChildStdout)> {
        Some((self.0.stdin.take()?, self.0.stdout.take()?))
    }

    /// The exit status if the child has ended.
    ///
    /// # Errors
    /// An error of the system.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        sys::kill_group(&mut self.0);
    }
}

/// A running program with its output in a temporary file.
#[derive(Debug)]
pub struct Process {
    child: Running,
    name: String,
    log: PathBuf,
    command: String,
    started: Instant,
}

impl Process {
    /// Starts `program` with `flags`, on one processor core if `core` is given.
    ///
    /// # Errors
    /// The program cannot be started; the message starts with its path.
    pub fn start(program: &Path, flags: &[String], core: Option<usize>) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let log = std::env::temp_dir().join(format!("karst-lab-{}-{number}.log", std::process::id()));
        let output = File::create(&log)?;
        let error = output.try_clone()?;
        let mut command = Command::new(program);
        command.args(flags).stdin(Stdio::null()).stdout(output).stderr(error);
        if let Some(core) = core {
            sys::runs_on(&mut command, core);
        }
        let (name, started) = (program.display().to_string(), Instant::now());
        match Running::spawn(&mut command) {
            Ok(child) => Ok(Self { child, command: described(program, flags), name, log, started }),
            Err(error) => {
                let _ = std::fs::remove_file(&log);
                Err(io::Error::new(error.kind(), format!("{name}: {error}")))
            }
        }
    }

    /// The command line without the folder of the program.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// How the program ended; None while it runs.
    pub fn ended(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(status.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Kills the program.
    pub fn end(&mut self) {
        // Fails if it has ended.
        let _ = self.child.0.kill();
    }

    /// Checks that the program still runs.
    ///
    /// # Errors
    /// It has ended: [`io::ErrorKind::BrokenPipe`]; the message has its path, status and last output.
    pub fn check(&mut self) -> io::Result<()> {
        let Some(status) = self.ended() else { return Ok(()) };
        let output = self.output().replace('\n', " / ");
        let why = format!("{} exited ({status}): {output}", self.name);
        Err(io::Error::new(io::ErrorKind::BrokenPipe, why))
    }

    /// Waits until the program listens on a port of this machine; returns the time since its start.
    ///
    /// # Errors
    /// The program exited ([`io::ErrorKind::BrokenPipe`]), the limit of ten seconds passed ([`io::ErrorKind::TimedOut`]), or a
    /// signal was received.
    pub fn listens(&mut self, protocol: Protocol, port: u16) -> io::Result<Duration> {
        self.wait(|| is_bound("/proc/net", protocol, port), Duration::from_micros(200))
    }

    /// As [`Process::listens`] for TCP, by connecting: accurate to a fraction of a millisecond, while reading the system's table
    /// takes several.
    ///
    /// # Errors
    /// As [`Process::listens`].
    pub fn accepts(&mut self, address: SocketAddr) -> io::Result<Duration> {
        self.wait(|| TcpStream::connect(address).is_ok(), Duration::ZERO)
    }

    /// Waits until `is_ready` returns true, which is called at that interval; returns the time since the start.
    ///
    /// # Errors
    /// As [`Process::listens`].
    pub(crate) fn wait(&mut self, is_ready: impl Fn() -> bool, interval: Duration) -> io::Result<Duration> {
        while !is_ready() {
            self.check()?;
            if self.started.elapsed() > LISTEN_LIMIT {
                let why = format!("{} does not listen after {LISTEN_LIMIT:?}", self.name);
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            sys::pause(interval)?;
        }
        Ok(self.started.elapsed())
    }

    /// Suspends the program, or resumes it.
    pub fn suspend(&self, stopped: bool) {
        sys::suspend(&self.child.0, stopped);
    }

    /// The last lines of output.
    pub fn output(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// Processor time so far in seconds, with a resolution of 10 ms.
    ///
    /// # Errors
    /// The program has ended.
    pub fn cpu_s(&self) -> io::Result<f64> {
        cpu_s(&self.table("stat")?).ok_or_else(|| self.unreadable("stat"))
    }

    /// Processor time of the live threads, to the nanosecond.
    ///
    /// # Errors
    /// The program has ended, or the kernel keeps no scheduler statistics.
    pub fn fine_cpu_s(&self) -> io::Result<f64> {
        let mut sum_ns = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.0.id()))? {
            let text = std::fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
            sum_ns += text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
        }
        if sum_ns > 0 { Ok(sum_ns as f64 / 1e9) } else { Err(self.unreadable("task/*/schedstat")) }
    }

    /// Resident memory in MiB; with `peak`, its maximum so far.
    ///
    /// # Errors
    /// The program has ended.
    pub fn memory_mib(&self, peak: bool) -> io::Result<f64> {
        let key = if peak { "VmHWM:" } else { "VmRSS:" };
        memory_mib(&self.table("status")?, key).ok_or_else(|| self.unreadable("status"))
    }

    fn table(&self, name: &str) -> io::Result<String> {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.child.0.id()))
    }

    fn unreadable(&self, table: &str) -> io::Error {
        io::Error::other(format!("{}: /proc/{}/{table} cannot be read", self.name, self.child.0.id()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.log);
    }
}

fn described(program: &Path, flags: &[String]) -> String {
    let file = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    [&[file], flags].concat().join(" ")
}

/// User and system time: fields 14 and 15, counted after the name, which may contain spaces and parentheses.
fn cpu_s(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) as f64 / TICKS_PER_S)
}

fn memory_mib(status: &str, key: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_by_field() {
        let stat = "17 (a ) b) S 1 17 17 0 -1 4194560 1 0 0 0 250 50 9 9 20 0 4 0 12345 1 2";
        assert_eq!((cpu_s(stat), cpu_s("17 (x) S 1")), (Some(3.0), None));
        let status = "Name:\tx\nVmHWM:\t    4096 kB\nVmRSS:\t    2048 kB\n";
        assert_eq!((memory_mib(status, "VmHWM:"), memory_mib(status, "VmRSS:")), (Some(4.0), Some(2.0)));
    }

    #[test]
    fn the_error_of_an_exited_program_has_its_output() {
        let flags = ["-c".into(), "echo no such flag; exit 3".into()];
        let mut shell = Process::start(Path::new("/bin/sh"), &flags, None).unwrap();
        let why = shell.listens(Protocol::Tcp, 1).unwrap_err().to_string();
        assert!(why.contains("/bin/sh exited") && why.contains("no such flag"), "{why}");
    }

    #[test]
    fn processor_time_and_memory_are_those_of_the_program() {
        let flags = ["-c".into(), "while :; do :; done".into()];
        let busy = Process::start(Path::new("/bin/sh"), &flags, Some(0)).unwrap();
        let start = Instant::now();
        // Slow on a busy machine.
        while busy.fine_cpu_s().unwrap() < 0.3 && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let (coarse, fine) = (busy.cpu_s().unwrap(), busy.fine_cpu_s().unwrap());
        assert!(coarse > 0.2 && (coarse - fine).abs() < 0.1, "{coarse} {fine}");
        assert!(busy.memory_mib(true).unwrap() >= busy.memory_mib(false).unwrap());
    }
}
