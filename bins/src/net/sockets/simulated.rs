//! The sockets of a simulated network: those of turmoil-net, with the rest of what the drivers ask of a socket.
//!
//! One datagram per call and no send buffer that fills, so batches and blocked UDP sockets are not seen here.

use crate::net::udp::{Datagrams, RecvBatch, SocketOptions};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncWrite, Interest, ReadBuf};
use turmoil_net::shim::tokio::net as shim;

/// How often a connection is looked at whose reset is waited for: the shim wakes nobody who has bytes unread.
const BROKEN_LOOK: Duration = Duration::from_millis(1);

thread_local! {
    /// Connections closed by a reset, which the shim has no call for.
    static RESETS: RefCell<Vec<(SocketAddr, SocketAddr)>> = const { RefCell::new(Vec::new()) };
}

/// The connections that were closed by a reset since the last call, local address first. The network has to reset them.
pub fn take_resets() -> Vec<(SocketAddr, SocketAddr)> {
    RESETS.take()
}

/// A UDP socket.
#[derive(Debug)]
pub struct UdpSocket {
    socket: shim::UdpSocket,
    local: SocketAddr,
    send_errors: Cell<u64>,
}

impl UdpSocket {
    /// Binds `address`; the options change nothing here.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn bind(address: SocketAddr, _options: SocketOptions) -> io::Result<Self> {
        let socket = at_once(shim::UdpSocket::bind(address))?;
        let local = socket.local_addr()?;
        Ok(Self { socket, local, send_errors: Cell::new(0) })
    }
}

impl Datagrams for UdpSocket {
    fn local_addr(&self) -> SocketAddr {
        self.local
    }

    fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(self.socket.peek_from(&mut [0; 1])).poll(cx).map_ok(|_| ())
    }

    fn poll_send_ready(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn try_recv(&self, batch: &mut RecvBatch) -> io::Result<()> {
        batch.fill(|slot| self.socket.try_recv_from(slot))
    }

    fn try_send(&self, to: SocketAddr, bytes: &[u8], segment: Option<NonZeroU16>) -> io::Result<usize> {
        let size = segment.map_or(bytes.len(), |segment| usize::from(segment.get()));
        for datagram in bytes.chunks(size.max(1)) {
            if self.socket.try_send_to(datagram, to).is_err() {
                self.send_errors.set(self.send_errors.get() + 1);
            }
        }
        Ok(bytes.len())
    }

    fn send_errors(&self) -> u64 {
        self.send_errors.get()
    }
}

/// A TCP connection.
#[derive(Debug)]
pub struct TcpStream {
    stream: RefCell<shim::TcpStream>,
    reset_on_close: Cell<bool>,
}

impl TcpStream {
    fn new(stream: shim::TcpStream) -> Self {
        Self { stream: RefCell::new(stream), reset_on_close: Cell::new(false) }
    }

    /// Connects to `peer`.
    ///
    /// # Errors
    /// As the system's, with the system's number where a message needs it.
    pub async fn connect(peer: &SocketAddr) -> io::Result<Self> {
        shim::TcpStream::connect(*peer).await.map(Self::new).map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => io::Error::from_raw_os_error(libc::ECONNREFUSED),
            _ => error,
        })
    }

    /// As tokio's.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.stream.borrow().set_nodelay(nodelay)
    }

    /// As tokio's.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; else the connection is broken.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.borrow().try_read(buffer)
    }

    /// As tokio's.
    ///
    /// # Errors
    /// `WouldBlock` when nothing fits; else the connection is broken.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.borrow().try_write(bytes)
    }

    /// Waits until the connection is readable, writable or reset.
    ///
    /// # Errors
    /// None: what is wrong is for reading and writing to tell.
    pub async fn ready(&self, interest: Interest) -> io::Result<()> {
        if interest.is_readable() {
            let _ = poll_fn(|cx| self.poll_peek(cx)).await;
        } else if interest.is_writable() {
            // Writing nothing waits for room all the same.
            let _ = poll_fn(|cx| Pin::new(&mut *self.stream.borrow_mut()).poll_write(cx, &[])).await;
        } else {
            while !self.is_broken() {
                tokio::time::sleep(BROKEN_LOOK).await;
            }
        }
        Ok(())
    }

    fn poll_peek(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.stream.borrow().poll_peek(cx, &mut ReadBuf::new(&mut [0; 1]))
    }

    fn is_broken(&self) -> bool {
        matches!(self.poll_peek(&mut Context::from_waker(Waker::noop())), Poll::Ready(Err(_)))
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        let stream = self.stream.borrow();
        if let (true, Ok(local), Ok(peer)) =
            (self.reset_on_close.get(), stream.local_addr(), stream.peer_addr())
        {
            RESETS.with_borrow_mut(|resets| resets.push((local, peer)));
        }
    }
}

/// Tells the peer that nothing more will be written.
pub fn shutdown_write(stream: &TcpStream) {
    let _ = Pin::new(&mut *stream.stream.borrow_mut()).poll_shutdown(&mut Context::from_waker(Waker::noop()));
}

/// Makes closing reset the connection.
pub fn reset_on_close(stream: &TcpStream) {
    stream.reset_on_close.set(true);
}

/// Accepts TCP connections.
#[derive(Debug)]
pub struct TcpListener(shim::TcpListener);

impl TcpListener {
    /// As tokio's.
    ///
    /// # Errors
    /// None.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.accept().await.map(|(stream, peer)| (TcpStream::new(stream), peer))
    }

    /// As tokio's.
    ///
    /// # Errors
    /// None.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Listens on `address`.
///
/// # Errors
/// The address cannot be bound.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    at_once(shim::TcpListener::bind(address)).map(TcpListener)
}

/// The result of a future of the shim that never waits.
fn at_once<T>(future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
