//! The two programs as child processes on loopback, and small targets for them.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses a part; a helper that fails is a failed test"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Time limit of an operation that is quick on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Reports a check that did not run, bypassing the capture of passing tests.
pub(crate) fn skipped(what: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {what}: {why}");
}

/// A running program; killed when dropped.
pub(crate) struct Program {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Program {
    pub(crate) fn client(words: &[&str]) -> Self {
        Self::start(env!("CARGO_BIN_EXE_karst-client"), words)
    }

    pub(crate) fn server(words: &[&str]) -> Self {
        Self::start(env!("CARGO_BIN_EXE_karst-server"), words)
    }

    pub(crate) fn start(path: &str, words: &[&str]) -> Self {
        Self::run(Command::new(path).args(words))
    }

    /// Runs a program that may have `count` descriptors open.
    pub(crate) fn with_descriptors(path: &str, count: u32, words: &[&str]) -> Self {
        let script = format!("ulimit -n {count} && exec \"$0\" \"$@\"");
        Self::run(Command::new("sh").args(["-c", &script, path]).args(words))
    }

    /// Runs a program with `hosts` as /etc/hosts; `None` if the system does not permit that.
    pub(crate) fn with_hosts(path: &str, words: &[&str], hosts: &std::path::Path) -> Option<Self> {
        Self::with_file(path, words, hosts, "/etc/hosts")
    }

    /// Runs a program that sees `file` instead of the system's `own`; `None` if the system does not permit that.
    pub(crate) fn with_file(path: &str, words: &[&str], file: &std::path::Path, own: &str) -> Option<Self> {
        let alone = Command::new("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status();
        if !alone.is_ok_and(|status| status.success()) {
            skipped(&format!("programs with another {own}"), "no right to a mount namespace (root has it)");
            return None;
        }
        let script = "mount --bind \"$0\" \"$1\" && shift && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).arg(file).args([own, path]).args(words);
        Some(Self::run(&mut command))
    }

    fn run(command: &mut Command) -> Self {
        let mut child = command
            .env_remove("KCPTUN_KEY")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, copy) = (BufReader::new(child.stderr.take().unwrap()).lines(), Arc::clone(&log));
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                copy.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Self { child, log }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log holds `text`; panics with the log if it never does.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if self.log().contains(text) {
                return self.log();
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("no {text:?} in the log:\n{}", self.log());
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn signal(&self, number: i32) {
        let pid = i32::try_from(self.child.id()).unwrap();
        // SAFETY: the child has not been waited for, so its process id is still valid.
        assert_eq!(unsafe { libc::kill(pid, number) }, 0);
    }

    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + limit;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client and a server with the same options, and the port the client listens on.
pub(crate) struct Pair {
    pub(crate) server: Program,
    pub(crate) client: Program,
    pub(crate) local: SocketAddr,
    pub(crate) udp: SocketAddr,
}

impl Pair {
    pub(crate) fn start(target: SocketAddr, both: &[&str]) -> Self {
        let udp = free_udp();
        let server = start_server(target, udp, both);
        let (client, local) = start_client(udp, both);
        Self { server, client, local, udp }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.local)
    }
}

pub(crate) fn start_server(target: SocketAddr, udp: SocketAddr, more: &[&str]) -> Program {
    let (target, udp) = (target.to_string(), udp.to_string());
    let server = Program::server(&[&["-t", &target, "-l", &udp], more].concat());
    server.wait_for("Listening on: ");
    server
}

pub(crate) fn start_client(udp: SocketAddr, more: &[&str]) -> (Program, SocketAddr) {
    let client = Program::client(&[&["-r", &udp.to_string(), "-l", "127.0.0.1:0"], more].concat());
    let log = client.wait_for("key derivation done");
    let (_, rest) = log.split_once("listening on: ").unwrap();
    let local = rest.lines().next().unwrap().parse().unwrap();
    (client, local)
}

pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub(crate) fn free_udp() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A target that runs `serve` on a thread per connection.
pub(crate) fn target(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Echoes every byte, until the peer ends its direction.
pub(crate) fn echo(mut stream: TcpStream) {
    let mut buffer = vec![0; 65_536];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
}

/// Bytes that compress in parts and differ by seed.
pub(crate) fn sample(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let noise = |at: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if (at / 4096).is_multiple_of(2) { (state >> 56) as u8 } else { (at % 61) as u8 }
    };
    (0..len).map(noise).collect()
}

/// Writes `data`, half-closes, and reads to the end.
pub(crate) fn exchange(mut stream: TcpStream, data: Vec<u8>) -> Vec<u8> {
    let mut writer = stream.try_clone().unwrap();
    let writing = thread::spawn(move || {
        let _ = writer.write_all(&data);
        let _ = writer.shutdown(Shutdown::Write);
    });
    let mut got = Vec::new();
    let _ = stream.read_to_end(&mut got);
    writing.join().unwrap();
    got
}

/// Forwards datagrams both ways; `passes` decides by direction (true toward the server) and length.
pub(crate) fn relay(
    server: SocketAddr,
    passes: impl Fn(bool, usize) -> bool + Clone + Send + 'static,
) -> SocketAddr {
    let front = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = front.local_addr().unwrap();
    let mut paths: BTreeMap<SocketAddr, UdpSocket> = BTreeMap::new();
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((count, from)) = front.recv_from(&mut buffer) {
            let back = paths.entry(from).or_insert_with(|| {
                let back = UdpSocket::bind("127.0.0.1:0").unwrap();
                let (answers, front, passes) =
                    (back.try_clone().unwrap(), front.try_clone().unwrap(), passes.clone());
                thread::spawn(move || {
                    let mut buffer = [0; 2048];
                    while let Ok(count) = answers.recv(&mut buffer) {
                        if passes(false, count) {
                            let _ = front.send_to(&buffer[..count], from);
                        }
                    }
                });
                back
            });
            if passes(true, count) {
                let _ = back.send_to(&buffer[..count], server);
            }
        }
    });
    address
}
