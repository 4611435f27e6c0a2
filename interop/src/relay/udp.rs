//! The sockets of a relay.

use crate::line::Ends;
use crate::sys::Waiter;
use sim::Direction;
use sim::pcapng::udp_headers;
use socket2::SockRef;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

/// Clients remembered; datagrams of further ones are dropped.
const CLIENTS_MAX: usize = 1024;

/// Room for what arrives while the relay is busy, as far as the system allows.
const BUFFER_BYTES: usize = 4 << 20;

/// One socket for all clients, and one towards the server for each of them.
#[derive(Debug)]
pub(super) struct Sockets {
    listen: UdpSocket,
    address: SocketAddr,
    server: SocketAddr,
    clients: Vec<Client>,
    numbers: BTreeMap<SocketAddr, u16>,
    inodes: Vec<u64>,
    /// Each client is to get another socket.
    moving: bool,
}

#[derive(Debug)]
struct Client {
    address: SocketAddr,
    towards_server: UdpSocket,
}

impl Sockets {
    pub(super) fn bind(listen: SocketAddr, server: SocketAddr) -> io::Result<(Self, Waiter)> {
        let mut waiter = Waiter::default();
        let listen = bind(listen)?;
        waiter.add(listen.as_raw_fd());
        let address = listen.local_addr()?;
        let inodes = inode(&listen).into_iter().collect();
        let (clients, numbers) = (Vec::new(), BTreeMap::new());
        Ok((Self { listen, address, server, clients, numbers, inodes, moving: false }, waiter))
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of a client, which gets its socket with its first datagram.
    fn number(&mut self, address: SocketAddr, waiter: &mut Waiter) -> Option<u16> {
        if let Some(number) = self.numbers.get(&address) {
            return Some(*number);
        }
        if self.clients.len() >= CLIENTS_MAX {
            return None;
        }
        let towards_server = self.connected().ok()?;
        waiter.add(towards_server.as_raw_fd());
        self.inodes.extend(inode(&towards_server));
        let number = self.clients.len() as u16;
        self.numbers.insert(address, number);
        self.clients.push(Client { address, towards_server });
        Some(number)
    }
}

impl Sockets {
    fn connected(&self) -> io::Result<UdpSocket> {
        let any = if self.server.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0_u16; 8]) };
        let socket = bind(SocketAddr::new(any, 0))?;
        socket.connect(self.server)?;
        Ok(socket)
    }

    /// What was on its way to an old address is lost.
    fn move_now(&mut self, waiter: &mut Waiter) {
        for number in 0..self.clients.len() {
            let Ok(socket) = self.connected() else { continue };
            waiter.replace(1 + number, socket.as_raw_fd());
            self.inodes.extend(inode(&socket));
            self.clients[number].towards_server = socket;
        }
        self.moving = false;
    }
}

impl Ends for Sockets {
    fn receive(
        &mut self,
        file: usize,
        waiter: &mut Waiter,
        buffer: &mut [u8],
    ) -> Option<(Direction, u16, usize)> {
        if self.moving {
            self.move_now(waiter);
        }
        let Some(client) = file.checked_sub(1) else {
            loop {
                let (len, from) = readable(|| self.listen.recv_from(buffer))?;
                if let Some(number) = self.number(from, waiter) {
                    return Some((Direction::Up, number, len));
                }
            }
        };
        let len = readable(|| self.clients[client].towards_server.recv(buffer))?;
        Some((Direction::Down, client as u16, len))
    }

    fn send(&mut self, direction: Direction, flow: u16, bytes: &[u8]) {
        let client = &self.clients[usize::from(flow)];
        let _ = match direction {
            Direction::Up => client.towards_server.send(bytes),
            Direction::Down => self.listen.send_to(bytes, client.address),
        };
    }

    fn move_clients(&mut self) {
        self.moving = true;
    }

    fn headers(&self, direction: Direction, flow: u16, len: usize) -> Vec<u8> {
        let client = self.clients[usize::from(flow)].address;
        match direction {
            Direction::Up => udp_headers(client, self.server, len),
            Direction::Down => udp_headers(self.server, client, len),
        }
    }

    fn files(&self) -> usize {
        1 + self.clients.len()
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
    // The system's own limit applies quietly.
    let _ = SockRef::from(&socket).set_recv_buffer_size(BUFFER_BYTES);
    let _ = SockRef::from(&socket).set_send_buffer_size(BUFFER_BYTES);
    Ok(socket)
}

/// The next datagram; None when nothing waits. A refused destination shows up as another error, and is no reason to stop.
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
