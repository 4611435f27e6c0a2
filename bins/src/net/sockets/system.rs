//! The system's sockets.

pub use crate::net::udp::UdpSocket;
pub use tokio::net::{TcpListener, TcpStream};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

const BACKLOG: i32 = 4096;

/// Listens on `address`; an IPv6 wildcard takes both families.
///
/// # Errors
/// The address cannot be bound.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Tells the peer that nothing more will be written.
pub fn shutdown_write(stream: &TcpStream) {
    // Fails only when the connection is gone, which reading will tell.
    let _ = SockRef::from(stream).shutdown(Shutdown::Write);
}

/// Makes closing reset the connection.
pub fn reset_on_close(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
