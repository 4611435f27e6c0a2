//! Programs under measurement, and what the system's tables say about them.

use anyhow::{Context, bail, ensure};
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Ticks of `/proc/PID/stat` in a second, on every Linux.
const TICKS_PER_S: f64 = 100.0;

/// Lines of output shown when something failed.
const TAIL_LINES: usize = 6;

/// How long a program may take until it listens.
const LISTEN_LIMIT: Duration = Duration::from_secs(5);

/// A running program; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    name: String,
    log: PathBuf,
    /// File name and flags.
    pub(crate) command: String,
    started: Instant,
}

/// What a program listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

impl Process {
    /// Starts `program`, on `cores` when given; it dies with this program, too.
    pub(crate) fn start(program: &Path, flags: &[String], cores: Option<&str>) -> anyhow::Result<Self> {
        let mut words = vec!["setpriv".to_owned(), "--pdeathsig".into(), "KILL".into()];
        if let Some(cores) = cores {
            words.extend(["taskset".into(), "-c".into(), cores.into()]);
        }
        Self::spawn(&words, program, flags)
    }

    /// Starts `program` without anything before it, for measuring how long that takes.
    pub(crate) fn start_bare(program: &Path, flags: &[String]) -> anyhow::Result<Self> {
        Self::spawn(&[], program, flags)
    }

    fn spawn(before: &[String], program: &Path, flags: &[String]) -> anyhow::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let log = std::env::temp_dir().join(format!("karst-bench-{}-{number}.log", std::process::id()));
        let output = File::create(&log).with_context(|| log.display().to_string())?;
        let error = output.try_clone()?;
        let name = program.display().to_string();
        let words: Vec<String> =
            before.iter().cloned().chain([name.clone()]).chain(flags.iter().cloned()).collect();
        let started = Instant::now();
        let child = Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(error)
            .spawn()
            .with_context(|| format!("starting {}", words[0]))?;
        let file = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let command = [&[file], flags].concat().join(" ");
        Ok(Self { child, name, log, command, started })
    }

    /// Waits until it listens on `port`, and says how long after its start that was.
    pub(crate) fn listens(&mut self, protocol: Protocol, port: u16) -> anyhow::Result<Duration> {
        while !is_bound(protocol, port) {
            self.check()?;
            ensure!(
                self.started.elapsed() < LISTEN_LIMIT,
                "{} does not listen on {port} after {LISTEN_LIMIT:?}",
                self.name
            );
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(self.started.elapsed())
    }

    /// The same for TCP, by connecting: to the fraction of a millisecond, since the system's table takes several to read.
    pub(crate) fn accepts(&mut self, address: SocketAddr) -> anyhow::Result<Duration> {
        while TcpStream::connect(address).is_err() {
            self.check()?;
            ensure!(
                self.started.elapsed() < LISTEN_LIMIT,
                "{} does not accept on {address} after {LISTEN_LIMIT:?}",
                self.name
            );
        }
        Ok(self.started.elapsed())
    }

    /// Refuses a program that ended by itself.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended by itself ({status}): {}", self.name, self.output());
        }
        Ok(())
    }

    fn output(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join(" / ")
    }

    /// Processor time so far, in hundredths of a second.
    pub(crate) fn cpu_s(&self) -> anyhow::Result<f64> {
        let stat = self.table("stat")?;
        cpu_s(&stat).with_context(|| format!("/proc/{}/stat cannot be read", self.child.id()))
    }

    /// Processor time of the threads that live, to the nanosecond.
    pub(crate) fn fine_cpu_s(&self) -> anyhow::Result<f64> {
        let threads = format!("/proc/{}/task", self.child.id());
        let mut sum_ns = 0;
        for thread in std::fs::read_dir(&threads).with_context(|| threads.clone())? {
            let text = std::fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
            sum_ns += text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
        }
        ensure!(sum_ns > 0, "{threads}: no schedstat");
        Ok(sum_ns as f64 / 1e9)
    }

    /// Memory it has, in MiB; with `peak` the most it ever had.
    pub(crate) fn memory_mib(&self, peak: bool) -> anyhow::Result<f64> {
        let status = self.table("status")?;
        let key = if peak { "VmHWM:" } else { "VmRSS:" };
        memory_mib(&status, key).with_context(|| format!("/proc/{}/status has no {key}", self.child.id()))
    }

    fn table(&self, name: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{name}", self.child.id());
        std::fs::read_to_string(&path).with_context(|| path)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.log);
    }
}

/// User and system time: the fourteenth and fifteenth field, counted after the name, which may hold anything.
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

/// Whether somebody listens on `port`. Binding it for a test could take it away from a program that is starting.
fn is_bound(protocol: Protocol, port: u16) -> bool {
    let file = if protocol == Protocol::Tcp { "tcp" } else { "udp" };
    ["", "6"].iter().any(|family| {
        let table = std::fs::read_to_string(format!("/proc/net/{file}{family}")).unwrap_or_default();
        table.lines().any(|line| is_listener(line, protocol, port))
    })
}

fn is_listener(line: &str, protocol: Protocol, port: u16) -> bool {
    let mut columns = line.split_whitespace().skip(1);
    let (local, _remote, state) = (columns.next(), columns.next(), columns.next());
    let ours = local.is_some_and(|local| local.ends_with(&format!(":{port:04X}")));
    ours && (protocol == Protocol::Udp || state == Some("0A"))
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
        let line = |state| format!(" 0: 0100007F:1F90 00000000:0000 {state} 00000000:00000000 00:00000000 0");
        assert!(
            is_listener(&line("0A"), Protocol::Tcp, 8080) && !is_listener(&line("06"), Protocol::Tcp, 8080)
        );
        assert!(
            is_listener(&line("07"), Protocol::Udp, 8080) && !is_listener(&line("07"), Protocol::Udp, 8081)
        );
    }

    #[test]
    fn a_program_that_ends_is_named_with_its_last_words() {
        let flags = ["-c".into(), "echo no such flag; exit 3".into()];
        let mut shell = Process::start(Path::new("/bin/sh"), &flags, None).unwrap();
        let said = format!("{:#}", shell.listens(Protocol::Tcp, 1).unwrap_err());
        assert!(said.contains("/bin/sh ended by itself") && said.contains("no such flag"), "{said}");
    }

    #[test]
    fn processor_time_and_memory_are_those_of_the_program() {
        let flags = ["-c".into(), "while :; do :; done".into()];
        let busy = Process::start(Path::new("/bin/sh"), &flags, Some("0")).unwrap();
        let start = Instant::now();
        // On a busy machine that takes its time.
        while busy.fine_cpu_s().unwrap() < 0.3 && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let (coarse, fine) = (busy.cpu_s().unwrap(), busy.fine_cpu_s().unwrap());
        assert!(coarse > 0.2 && (coarse - fine).abs() < 0.1, "{coarse} {fine}");
        assert!(busy.memory_mib(true).unwrap() >= busy.memory_mib(false).unwrap());
    }
}
