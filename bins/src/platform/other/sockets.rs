//! Unix sockets: tokio has none here, and addresses that are paths are refused.

use std::convert::Infallible;
use std::io;
use std::os::windows::io::{AsSocket, BorrowedSocket};
use tokio::io::{Interest, Ready};

/// A connection; there is none.
#[derive(Debug)]
pub enum UnixStream {}

impl UnixStream {
    pub(crate) fn try_read(&self, _buffer: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }

    pub(crate) fn try_write(&self, _bytes: &[u8]) -> io::Result<usize> {
        match *self {}
    }

    pub(crate) async fn ready(&self, _interest: Interest) -> io::Result<Ready> {
        match *self {}
    }
}

impl AsSocket for UnixStream {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        match *self {}
    }
}

/// Accepts connections; there is none.
#[derive(Debug)]
pub enum UnixListener {}

impl UnixListener {
    pub(crate) async fn accept(&self) -> io::Result<(UnixStream, Infallible)> {
        match *self {}
    }
}

/// Refuses to listen.
///
/// # Errors
/// Always.
pub(crate) fn listen(_path: &str) -> io::Result<UnixListener> {
    Err(refusal())
}

/// Refuses to connect.
///
/// # Errors
/// Always.
pub(crate) async fn connect(_path: &str) -> io::Result<UnixStream> {
    std::future::ready(Err(refusal())).await
}

fn refusal() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "this system has no Unix sockets, expected HOST:PORT")
}
