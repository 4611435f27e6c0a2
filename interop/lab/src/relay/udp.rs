//! The sockets of a relay.

use crate::path::{AddressChange, Interfaces, Translator};
use crate::sys::Waiter;
use engine::Instant;
use sim::Direction;
use sim::host::Place;
use sim::pcapng::udp_headers;
use sim::plan::NatPlan;
use socket2::SockRef;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

/// Maximum number of clients; datagrams of further clients are dropped.
const CLIENTS_MAX: usize = 1024;

/// Maximum number of sockets towards the server; a further one replaces the oldest.
const OUTLETS_MAX: usize = 2 * CLIENTS_MAX;

/// Receive buffer, as far as the system permits.
const BUFFER_BYTES: usize = 4 << 20;

/// One socket for all clients, and one towards the server for each public address of the translator.
#[derive(Debug)]
pub(super) struct Sockets {
    listen: UdpSocket,
    address: SocketAddr,
    server: SocketAddr,
    clients: Translator<SocketAddr>,
    outlets: Vec<Outlet>,
    by_place: BTreeMap<Place, u16>,
    /// Number of outlets created so far.
    made: usize,
    inodes: Vec<u64>,
}

#[derive(Debug)]
struct Outlet {
    place: Place,
    /// First client of the outlet, for captures.
    client: SocketAddr,
    socket: UdpSocket,
}

impl Sockets {
    pub(super) fn bind(listen: SocketAddr, server: SocketAddr, nat: NatPlan) -> io::Result<(Self, Waiter)> {
        let mut waiter = Waiter::default();
        let listen = bind(listen)?;
        waiter.add(listen.as_raw_fd());
        let sockets = Self {
            address: listen.local_addr()?,
            server,
            clients: Translator::new(nat),
            outlets: Vec::new(),
            by_place: BTreeMap::new(),
            made: 0,
            inodes: inode(&listen).into_iter().collect(),
            listen,
        };
        Ok((sockets, waiter))
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The outlet of a client, created with the first datagram from its current public address.
    fn outlet(&mut self, now: Instant, client: SocketAddr, waiter: &mut Waiter) -> Option<u16> {
        if !self.clients.contains(client) && self.clients.sockets() >= CLIENTS_MAX {
            return None;
        }
        let place = self.clients.outbound(now, client);
        if let Some(number) = self.by_place.get(&place) {
            return Some(*number);
        }
        let socket = self.connected(place).ok()?;
        self.inodes.extend(inode(&socket));
        let number = self.made % OUTLETS_MAX;
        self.made += 1;
        let file = socket.as_raw_fd();
        let outlet = Outlet { place, client, socket };
        if let Some(oldest) = self.outlets.get_mut(number) {
            self.by_place.remove(&oldest.place);
            *oldest = outlet;
            waiter.replace(1 + number, file);
        } else {
            self.outlets.push(outlet);
            waiter.add(file);
        }
        self.by_place.insert(place, number as u16);
        Some(number as u16)
    }

    /// A socket towards the server. If the server is on this machine, another network is another loopback address.
    fn connected(&self, place: Place) -> io::Result<UdpSocket> {
        let network = match self.clients.address(place).map(|address| address.ip()) {
            Some(IpAddr::V4(ip)) => ip.octets()[2],
            _ => 0,
        };
        let any = match self.server.ip() {
            IpAddr::V4(ip) if ip.is_loopback() => IpAddr::from([127, 0, network, 1]),
            IpAddr::V4(_) => IpAddr::from([0; 4]),
            IpAddr::V6(_) => IpAddr::from([0_u16; 8]),
        };
        let socket = bind(SocketAddr::new(any, 0))?;
        socket.connect(self.server)?;
        Ok(socket)
    }
}

impl Interfaces for Sockets {
    fn receive(
        &mut self,
        file: usize,
        waiter: &mut Waiter,
        now: Instant,
        buffer: &mut [u8],
    ) -> Option<(Direction, u16, usize)> {
        let Some(outlet) = file.checked_sub(1) else {
            loop {
                let (len, from) = readable(|| self.listen.recv_from(buffer))?;
                if let Some(number) = self.outlet(now, from, waiter) {
                    return Some((Direction::Up, number, len));
                }
            }
        };
        let len = readable(|| self.outlets[outlet].socket.recv(buffer))?;
        Some((Direction::Down, outlet as u16, len))
    }

    fn send(&mut self, now: Instant, direction: Direction, flow: u16, bytes: &mut [u8]) {
        let outlet = &self.outlets[usize::from(flow)];
        if direction == Direction::Up {
            let _ = outlet.socket.send(bytes);
        } else if let Some(client) = self.clients.inbound(now, outlet.place) {
            let _ = self.listen.send_to(bytes, client);
        }
    }

    fn apply(&mut self, change: AddressChange) {
        self.clients.apply(change);
    }

    fn nat_packets(&self) -> u64 {
        self.clients.dropped()
    }

    fn headers(&self, direction: Direction, flow: u16, len: usize) -> Vec<u8> {
        let client = self.outlets[usize::from(flow)].client;
        match direction {
            Direction::Up => udp_headers(client, self.server, len),
            Direction::Down => udp_headers(self.server, client, len),
        }
    }

    fn files(&self) -> usize {
        1 + self.outlets.len()
    }

    fn overflow_packets(&self) -> u64 {
        ["/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"]
            .iter()
            .filter_map(|table| std::fs::read_to_string(table).ok())
            .map(|table| table.lines().filter_map(|line| drops(line, &self.inodes)).sum::<u64>())
            .sum()
    }
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    // The system caps the size without an error.
    let _ = SockRef::from(&socket).set_recv_buffer_size(BUFFER_BYTES);
    let _ = SockRef::from(&socket).set_send_buffer_size(BUFFER_BYTES);
    Ok(socket)
}

/// The next datagram; None when the socket is empty. Other errors report a refused destination of an earlier datagram and are skipped.
fn readable<T>(mut receive: impl FnMut() -> io::Result<T>) -> Option<T> {
    loop {
        match receive() {
            Ok(received) => return Some(received),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(_) => {}
        }
    }
}

fn inode(socket: &UdpSocket) -> Option<u64> {
    std::fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd())).ok().map(|data| data.ino())
}

/// The last column of a line of `/proc/net/udp` whose tenth column is one of `inodes`.
fn drops(line: &str, inodes: &[u64]) -> Option<u64> {
    let mut columns = line.split_whitespace();
    let inode: u64 = columns.nth(9)?.parse().ok()?;
    inodes.contains(&inode).then(|| columns.next_back().and_then(|drops| drops.parse().ok()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_read_by_inode() {
        let line = " 1: 0100007F:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 12";
        assert_eq!((drops(line, &[4711]), drops(line, &[1])), (Some(12), None));
    }
}
