//! Free ports, and waiting until somebody listens on one.

use std::io;
use std::net::{TcpListener, UdpSocket};
use std::time::{Duration, Instant};

/// A TCP port nobody listens on at this moment.
pub fn free_tcp() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// A UDP port nobody is bound to at this moment.
pub fn free_udp() -> io::Result<u16> {
    Ok(UdpSocket::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Waits until a UDP socket is bound to `port`, or `limit` has passed, or `give_up` says so.
///
/// Binding it for a test could take the port away from the program that is starting, so the system's tables are read.
pub fn wait_for_udp(port: u16, limit: Duration, mut give_up: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < limit && !give_up() && !is_bound("/proc/net", "udp", port) {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a UDP socket is bound to `port`, or a TCP socket listens there; `tables` is the `net` folder of a process or thread.
pub fn is_bound(tables: &str, protocol: &str, port: u16) -> bool {
    let needle = format!(":{port:04X}");
    let lists = |family: &str| {
        let text = std::fs::read_to_string(format!("{tables}/{protocol}{family}")).unwrap_or_default();
        text.lines().any(|line| is_server(line, &needle, protocol))
    };
    lists("") || lists("6")
}

/// Connections of a program that is gone stay in the table of TCP for a while: only a listener counts there.
fn is_server(line: &str, port: &str, protocol: &str) -> bool {
    let mut columns = line.split_whitespace().skip(1);
    let (local, _remote, state) = (columns.next(), columns.next(), columns.next());
    local.is_some_and(|local| local.ends_with(port)) && (protocol != "tcp" || state == Some("0A"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_no_listener() {
        let line = |state| format!(" 0: 0100007F:1F90 00000000:0000 {state} 00000000:00000000 00:00000000 0");
        assert!(is_server(&line("0A"), ":1F90", "tcp") && !is_server(&line("0A"), ":1F91", "tcp"));
        assert!(!is_server(&line("06"), ":1F90", "tcp") && is_server(&line("07"), ":1F90", "udp"));
    }
}
