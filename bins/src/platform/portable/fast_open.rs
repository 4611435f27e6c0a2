//! TCP fast open: connections are opened without it (CLI-119).

use socket2::Socket;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// Changes nothing.
pub(crate) const fn listen(_socket: &Socket, _queue: i32) {}

/// Connects to `peer`, and sends nothing of `early`.
///
/// # Errors
/// As those of any connection.
pub(crate) async fn connect(peer: SocketAddr, _early: &[u8]) -> io::Result<(TcpStream, usize)> {
    Ok((TcpStream::connect(peer).await?, 0))
}
