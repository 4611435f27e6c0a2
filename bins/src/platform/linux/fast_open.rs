//! TCP fast open (RFC 7413): the first bytes of a connection travel in its first packet (CLI-119).

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Permits data in the first packets of up to `queue` connections that are not established yet. A system that cannot goes on
/// without.
pub(crate) fn listen(socket: &Socket, queue: i32) {
    let _ = set(socket, libc::TCP_FASTOPEN, queue);
}

/// Connects to `peer`, and sends the beginning of `early`: with the first packet if the system has a cookie of the peer, else
/// once the connection is established. How many bytes were sent.
///
/// # Errors
/// As those of any connection; also after the bytes were sent.
pub(crate) async fn connect(peer: SocketAddr, early: &[u8]) -> io::Result<(TcpStream, usize)> {
    let socket = Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    let _ = set(&socket, libc::TCP_FASTOPEN_CONNECT, 1);
    match socket.connect(&peer.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        _ => {}
    }
    let stream = TcpStream::from_std(socket.into())?;
    let mut sent = 0;
    loop {
        stream.writable().await?;
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        if sent == 0 {
            match stream.try_write(early) {
                Ok(count) => sent = count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
        }
        // With a cookie the first write begins the connection, and only its result says whether the peer takes it.
        match stream.try_io(Interest::WRITABLE, || established(&stream)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result.map(|()| (stream, sent)),
        }
    }
}

fn established(stream: &TcpStream) -> io::Result<()> {
    match stream.peer_addr() {
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Err(io::ErrorKind::WouldBlock.into()),
        result => result.map(|_| ()),
    }
}

fn set(socket: &Socket, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let len = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the descriptor is open, and the call reads one int.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, option, (&raw const value).cast(), len)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
