//! Free ports of the loopback address, and whether a program listens on one.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

/// Kind of socket that owns a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A TCP listener.
    Tcp,
    /// A bound UDP socket.
    Udp,
}

/// The loopback address with that port; port 0 lets the system choose one.
pub const fn local(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// A loopback address with a TCP port that is free at this moment.
///
/// # Errors
/// No port can be bound.
pub fn free_tcp() -> io::Result<SocketAddr> {
    TcpListener::bind(local(0))?.local_addr()
}

/// A loopback address with a UDP port that is free at this moment.
///
/// # Errors
/// No port can be bound.
pub fn free_udp() -> io::Result<SocketAddr> {
    UdpSocket::bind(local(0))?.local_addr()
}

/// Whether a UDP socket is bound to `port`, or a TCP socket listens there. `tables` is the `net` folder of a process or thread,
/// such as `/proc/net`. Binding the port as a test could prevent the starting program from binding it.
pub fn is_bound(tables: &str, protocol: Protocol, port: u16) -> bool {
    let file = if protocol == Protocol::Tcp { "tcp" } else { "udp" };
    ["", "6"].iter().any(|family| {
        let table = std::fs::read_to_string(format!("{tables}/{file}{family}")).unwrap_or_default();
        table.lines().any(|line| is_listener(line, protocol, port))
    })
}

/// Connections of a program that has ended stay in the table of TCP for a while: only state 0A (listen) counts there.
fn is_listener(line: &str, protocol: Protocol, port: u16) -> bool {
    let mut columns = line.split_whitespace().skip(1);
    let (local, _remote, state) = (columns.next(), columns.next(), columns.next());
    let matches = local.is_some_and(|local| local.ends_with(&format!(":{port:04X}")));
    matches && (protocol == Protocol::Udp || state == Some("0A"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_not_listeners() {
        let line = |state| format!(" 0: 0100007F:1F90 00000000:0000 {state} 00000000:00000000 00:00000000 0");
        let is = |state, protocol, port| is_listener(&line(state), protocol, port);
        assert!(is("0A", Protocol::Tcp, 8080) && !is("0A", Protocol::Tcp, 8081));
        assert!(!is("06", Protocol::Tcp, 8080) && is("07", Protocol::Udp, 8080));
    }
}
