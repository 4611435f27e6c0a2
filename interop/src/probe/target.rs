//! The target of a server under test: a TCP listener whose connections do what their first line requests.
//!
//! `TOKEN MODE N`, then data. The token identifies the connection afterwards. Modes: `echo` returns everything and ends after
//! the end; `send` sends N bytes of the pattern of the token, ends and then reads; `after` reads to the end, then sends N bytes
//! of the pattern and ends.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Maximum length of the first line.
const LINE_BYTES_MAX: usize = 128;

/// Time after which an idle connection is closed.
const IDLE: Duration = Duration::from_secs(60);

/// What a target received in one connection, behind its first line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) bytes: Vec<u8>,
    /// The end of the stream was read.
    pub(crate) ended: bool,
    /// The connection was reset.
    pub(crate) reset: bool,
    /// Connections with this token.
    pub(crate) connections: u32,
}

type Records = Arc<Mutex<BTreeMap<String, Seen>>>;

/// A listening target.
pub(crate) struct Target {
    records: Records,
    ended: Arc<AtomicBool>,
    address: SocketAddr,
}

impl Target {
    /// Listens.
    pub(crate) fn listen(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let records: Records = Arc::default();
        let ended = Arc::new(AtomicBool::new(false));
        let (of_thread, stop) = (Arc::clone(&records), Arc::clone(&ended));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let records = Arc::clone(&of_thread);
                std::thread::spawn(move || {
                    let _ = serve(stream, &records);
                });
            }
        });
        Ok(Self { records, ended, address })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the connections with this token received.
    pub(crate) fn seen(&self, token: &str) -> Seen {
        lock(&self.records).get(token).cloned().unwrap_or_default()
    }

    /// Connections with this token, their bytes, and whether they are over.
    pub(crate) fn progress(&self, token: &str) -> (u32, usize, bool) {
        let records = lock(&self.records);
        records
            .get(token)
            .map_or((0, 0, false), |seen| (seen.connections, seen.bytes.len(), seen.ended || seen.reset))
    }

    /// Forgets a token.
    pub(crate) fn forget(&self, token: &str) {
        lock(&self.records).remove(token);
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_millis(100));
    }
}

fn lock(records: &Records) -> std::sync::MutexGuard<'_, BTreeMap<String, Seen>> {
    records.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut stream: TcpStream, records: &Records) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    stream.set_nodelay(true)?;
    let line = first_line(&mut stream)?;
    let mut words = line.split(' ');
    let token = words.next().unwrap_or_default().to_owned();
    let mode = words.next().unwrap_or_default().to_owned();
    let n: usize = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    let with = |change: &dyn Fn(&mut Seen)| change(lock(records).entry(token.clone()).or_default());
    with(&|seen| seen.connections += 1);
    if mode == "send" {
        stream.write_all(&pattern(&token, n))?;
        stream.shutdown(Shutdown::Write)?;
    }
    let mut buffer = vec![0; 65_536];
    let reset = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break false,
            Ok(len) => {
                with(&|seen| seen.bytes.extend_from_slice(&buffer[..len]));
                if mode == "echo" {
                    stream.write_all(&buffer[..len])?;
                }
            }
            Err(_) => break true,
        }
    };
    with(&|seen| (seen.ended, seen.reset) = (!reset, reset));
    if mode == "after" && !reset {
        stream.write_all(&pattern(&token, n))?;
    }
    Ok(())
}

fn first_line(stream: &mut TcpStream) -> io::Result<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while stream.read(&mut byte)? == 1 {
        if byte[0] == b'\n' || line.len() >= LINE_BYTES_MAX {
            return Ok(String::from_utf8_lossy(&line).into_owned());
        }
        line.push(byte[0]);
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// Bytes that differ between tokens and between offsets.
pub(crate) fn pattern(token: &str, len: usize) -> Vec<u8> {
    let seed = token.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let byte = |at: u32| (at.wrapping_mul(7) ^ (at >> 8).wrapping_mul(13) ^ seed ^ (seed >> 11)) as u8;
    (0..len as u32).map(byte).collect()
}
