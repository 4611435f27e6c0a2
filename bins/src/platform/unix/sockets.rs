//! Unix sockets.

pub use tokio::net::{UnixListener, UnixStream};

use super::text::path_of;
use engine::options::bytes_of;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net as unix;

/// Listens on a Unix socket. A socket that no process listens on was left behind by one that was killed, and is replaced; a
/// live socket and any other file are not (CLI-76).
///
/// # Errors
/// The path cannot be bound.
pub(crate) fn listen(path: &str) -> io::Result<UnixListener> {
    let name = name_of(path)?;
    let bound = unix::UnixListener::bind_addr(&name).or_else(|error| {
        let is_left_behind = error.kind() == io::ErrorKind::AddrInUse
            && name.as_pathname().is_some_and(|path| {
                std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
            })
            && unix::UnixStream::connect_addr(&name)
                .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        let Some(path) = name.as_pathname().filter(|_| is_left_behind) else { return Err(error) };
        std::fs::remove_file(path)?;
        unix::UnixListener::bind_addr(&name)
    })?;
    bound.set_nonblocking(true)?;
    UnixListener::from_std(bound)
}

/// Connects to a Unix socket; that never waits for a peer longer than its queue is full.
///
/// # Errors
/// Nothing listens there.
pub(crate) async fn connect(path: &str) -> io::Result<UnixStream> {
    if !path.starts_with('@') {
        return UnixStream::connect(path_of(path)).await;
    }
    let stream = unix::UnixStream::connect_addr(&name_of(path)?)?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// The name of a Unix socket: `@NAME` is an abstract one, as in Go.
fn name_of(path: &str) -> io::Result<unix::SocketAddr> {
    match path.strip_prefix('@') {
        Some(name) => abstract_name(&bytes_of(name)),
        None => unix::SocketAddr::from_pathname(path_of(path)),
    }
}

#[cfg(target_os = "linux")]
fn abstract_name(name: &[u8]) -> io::Result<unix::SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    unix::SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_name(_name: &[u8]) -> io::Result<unix::SocketAddr> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux has abstract Unix sockets"))
}
