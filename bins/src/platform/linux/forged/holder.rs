//! The listening socket that keeps the kernel out of a port.

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::mem::size_of;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

/// A TCP port whose segments the kernel ignores: it drops what arrives at the listener with a time to live below 255, before
/// any TCP processing. No host starts higher than that, and the first router takes one. Needs no privilege. A bound
/// socket that does not listen would not do.
#[derive(Debug)]
pub(super) struct Holder {
    _socket: Socket,
    port: u16,
}

impl Holder {
    /// Holds the port of `address`, a free one if that is 0; an IPv6 wildcard holds it for both families.
    ///
    /// # Errors
    /// The port is in use, or the address not of this machine.
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
            set(socket.as_raw_fd(), libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT)?;
        }
        // On an IPv6 socket, for the IPv4 peers of a wildcard.
        set(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_MINTTL)?;
        // A connection of an earlier program in TIME_WAIT is no obstacle.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(1)?;
        let bound = SockRef::from(&socket).local_addr()?.as_socket();
        Ok(Self { _socket: socket, port: bound.map_or(0, |address| address.port()) })
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }
}

fn set(fd: RawFd, level: libc::c_int, name: libc::c_int) -> io::Result<()> {
    let least: libc::c_int = 255;
    // SAFETY: the pointer and the length describe a live c_int.
    let result = unsafe {
        libc::setsockopt(
            fd,
            level,
            name,
            ptr::from_ref(&least).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;
    use std::time::Duration;

    // FTCP-13
    #[test]
    fn the_kernel_does_not_answer_at_a_held_port() {
        for address in [SocketAddr::from(([127, 0, 0, 1], 0)), SocketAddr::from(([0u16; 8], 0))] {
            let Ok(holder) = Holder::bind(address) else { continue };
            let to = SocketAddr::from(([127, 0, 0, 1], holder.port()));
            let error = TcpStream::connect_timeout(&to, Duration::from_millis(200)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "neither accepted nor refused");
            assert!(std::net::TcpListener::bind(to).is_err(), "the port is taken");
        }
    }
}
