//! This machine, and what its sockets are set to.

use socket2::Socket;
use std::io;

/// Name of this machine.
pub(crate) fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Permits to listen on a port on which connections of an ended program linger.
pub(crate) fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_address(true)
}

/// Sets IPv4's type of service, and of an IPv6 socket the traffic class, too: peers that it reaches over IPv4 get the former.
pub(crate) fn set_type_of_service(socket: &Socket, is_ipv6: bool, octet: u8) -> io::Result<()> {
    let v4 = socket.set_tos_v4(octet.into());
    let v6 = if is_ipv6 { socket.set_tclass_v6(octet.into()) } else { Ok(()) };
    v6.and(v4)
}
