//! This machine, and what its sockets are set to.

use socket2::Socket;
use std::io;

/// Name of this machine.
pub(crate) fn name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

/// Changes nothing: a port on which connections of an ended program linger can be listened on, and Windows' own option would let two
/// programs listen.
///
/// # Errors
/// None.
pub(crate) const fn share_port(_socket: &Socket) -> io::Result<()> {
    Ok(())
}

/// Sets IPv4's type of service. Windows takes it, and sends it where the administrator permits that; it has no such option of IPv6.
///
/// # Errors
/// The system refuses.
pub(crate) fn set_type_of_service(socket: &Socket, is_ipv6: bool, octet: u8) -> io::Result<()> {
    if is_ipv6 { Err(io::ErrorKind::Unsupported.into()) } else { socket.set_tos_v4(octet.into()) }
}
