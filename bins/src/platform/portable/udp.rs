//! Datagrams one by one, over tokio.

use crate::datagrams::{Datagrams, RecvBatch, SocketOptions};
use crate::platform::system;
use socket2::SockRef;
use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::num::NonZeroU16;
use std::task::{Context, Poll};

/// A UDP socket.
#[derive(Debug)]
pub struct UdpSocket {
    socket: tokio::net::UdpSocket,
    local: SocketAddr,
    send_errors: Cell<u64>,
    /// Errors are reported.
    reports: bool,
    refused: Cell<bool>,
}

impl UdpSocket {
    /// Binds `address`; an IPv6 wildcard takes both families.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn bind(address: SocketAddr, options: SocketOptions) -> io::Result<Self> {
        let socket = options.open(address)?;
        socket.bind(&address.into())?;
        let socket = tokio::net::UdpSocket::from_std(socket.into())?;
        let local = socket.local_addr()?;
        let (send_errors, refused) = (Cell::new(0), Cell::new(false));
        Ok(Self { socket, local, send_errors, reports: options.reports, refused })
    }

    /// Sets the differentiated services code point (CLI-34).
    ///
    /// # Errors
    /// The system refuses.
    pub fn set_dscp(&self, dscp: u8) -> io::Result<()> {
        system::host::set_type_of_service(&SockRef::from(&self.socket), self.local.is_ipv6(), dscp << 2)
    }

    /// Runs of datagrams never go out in one call.
    pub const fn uses_segmentation(&self, _to: SocketAddr) -> bool {
        false
    }

    /// Notes an error that is about a datagram sent before: Windows reports it to the next call.
    fn note_report(&self, error: &io::Error) {
        if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset) && self.reports {
            self.refused.set(true);
        }
    }

    /// One call; `Ok` also for errors that lose the datagram, which are counted.
    fn send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        match self.socket.try_send_to(datagram, to) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(error),
            Err(error) => {
                self.note_report(&error);
                self.send_errors.set(self.send_errors.get() + 1);
                Ok(())
            }
        }
    }

    /// An IPv6 socket speaks to IPv4 peers under their mapped addresses.
    fn name_of(&self, to: SocketAddr) -> SocketAddr {
        match (self.local, to) {
            (SocketAddr::V6(_), SocketAddr::V4(to)) => {
                SocketAddr::new(IpAddr::V6(to.ip().to_ipv6_mapped()), to.port())
            }
            _ => to,
        }
    }
}

impl Datagrams for UdpSocket {
    fn local_addr(&self) -> SocketAddr {
        self.local
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_recv_ready(cx)
    }

    fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_send_ready(cx)
    }

    fn try_recv(&self, batch: &mut RecvBatch) -> io::Result<()> {
        batch.fill(|slot| {
            let (len, from) = self.socket.try_recv_from(slot).inspect_err(|error| self.note_report(error))?;
            Ok(match (from.ip().to_canonical(), from) {
                // It cannot be answered.
                _ if from.port() == 0 => (0, SocketAddr::from(([0; 4], 0))),
                (ip @ IpAddr::V4(_), _) => (len, SocketAddr::new(ip, from.port())),
                (_, SocketAddr::V6(from)) => {
                    (len, SocketAddrV6::new(*from.ip(), from.port(), 0, from.scope_id()).into())
                }
                _ => (len, from),
            })
        })
    }

    fn try_send(&self, to: SocketAddr, bytes: &[u8], segment: Option<NonZeroU16>) -> io::Result<usize> {
        let to = self.name_of(to);
        let size = segment.map_or(bytes.len(), |segment| usize::from(segment.get())).max(1);
        let mut sent = 0;
        for datagram in bytes.chunks(size) {
            match self.send(to, datagram) {
                Ok(()) => sent += datagram.len(),
                Err(_) if sent > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    fn take_refused(&self) -> bool {
        self.refused.take()
    }

    fn send_errors(&self) -> u64 {
        self.send_errors.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    fn bind(address: &str) -> UdpSocket {
        let options = SocketOptions { buffer_bytes: 4 << 20, ..SocketOptions::default() };
        UdpSocket::bind(address.parse().unwrap(), options).unwrap()
    }

    async fn send(from: &UdpSocket, to: SocketAddr, bytes: &[u8], segment: Option<NonZeroU16>) {
        poll_fn(|cx| from.poll_send_ready(cx)).await.unwrap();
        assert_eq!(from.try_send(to, bytes, segment).unwrap(), bytes.len());
    }

    async fn receive(socket: &UdpSocket, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let (mut batch, mut got) = (RecvBatch::default(), Vec::new());
        while got.len() < count {
            poll_fn(|cx| socket.poll_recv_ready(cx)).await.unwrap();
            if socket.try_recv(&mut batch).is_ok() {
                batch.for_each(|from, datagram| got.push((from, datagram.to_vec())));
            }
        }
        got
    }

    // PLAT-2
    #[tokio::test]
    async fn runs_keep_their_boundaries() {
        let (from, to) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
        for (len, segment, count) in [(48 * 1350, 1350, 48), (10_001, 500, 21), (600, 600, 1)] {
            let bytes: Vec<u8> = (0..len).map(|at| (at / segment) as u8).collect();
            send(&from, to.local_addr(), &bytes, NonZeroU16::new(segment as u16)).await;
            let got = receive(&to, count).await;
            assert!(got.iter().map(|(_, datagram)| &datagram[..]).eq(bytes.chunks(segment)));
            assert!(got.iter().all(|(source, _)| *source == from.local_addr()));
        }
        assert_eq!(to.try_recv(&mut RecvBatch::default()).unwrap_err().kind(), ErrorKind::WouldBlock);
    }

    // PLAT-2
    #[tokio::test]
    async fn a_wildcard_serves_both_families() {
        // A machine without IPv6 has nothing to show.
        let Ok(server) = UdpSocket::bind(([0u16; 8], 0).into(), SocketOptions::default()) else { return };
        let client = bind("127.0.0.1:0");
        let port = server.local_addr().port();
        send(&client, ([127, 0, 0, 1], port).into(), b"up", None).await;
        assert_eq!(receive(&server, 1).await, [(client.local_addr(), b"up".to_vec())]);
        send(&server, client.local_addr(), b"down", None).await;
        assert_eq!(receive(&client, 1).await, [(([127, 0, 0, 1], port).into(), b"down".to_vec())]);
    }

    // PLAT-2
    #[tokio::test]
    async fn refused_datagrams_are_counted_and_lost() {
        let (from, to) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
        send(&from, to.local_addr(), &[0; 70_000], None).await;
        assert_eq!(from.send_errors(), 1);
    }

    // PLAT-2: the code point is in the upper six bits.
    #[tokio::test]
    async fn the_code_point_is_set() {
        let socket = bind("127.0.0.1:0");
        socket.set_dscp(46).unwrap();
        assert_eq!(SockRef::from(&socket.socket).tos_v4().unwrap(), 184);
    }
}
