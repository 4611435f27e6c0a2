//! Whether the system may split datagrams that are larger than the path takes.

use std::io;
use std::net::UdpSocket;

/// Changes nothing.
///
/// # Errors
/// Always.
pub fn forbid_fragments(_socket: &UdpSocket, _forbid: bool) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
