//! The network of the simulated hosts: turmoil-net's sockets behind the programs' own traits.
//!
//! One datagram per call and a send buffer that never fills, so batches and blocked UDP sockets are not covered here.

use bins::datagrams::{Datagrams, RecvBatch, SocketOptions};
use bins::net::network::{Accept, Network, Stream, Waiting};
use bins::net::wire::{Listener, Wire};
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

/// Interval of polls for a reset: the shim wakes no task that has unread bytes.
const RESET_POLL: Duration = Duration::from_millis(1);

thread_local! {
    /// Connections closed by a reset, which the shim has no call for.
    static RESETS: RefCell<Vec<(SocketAddr, SocketAddr)>> = const { RefCell::new(Vec::new()) };
}

/// The connections closed by a reset since the last call, local address first. The caller resets them.
pub(super) fn take_resets() -> Vec<(SocketAddr, SocketAddr)> {
    RESETS.take()
}

/// The network of turmoil-net's current host.
#[derive(Debug)]
pub(super) struct Simulated;

impl Network for Simulated {
    /// The options have no meaning here.
    fn bind_udp(&self, address: SocketAddr, _options: SocketOptions) -> io::Result<Box<dyn Datagrams>> {
        let socket = at_once(shim::UdpSocket::bind(address))?;
        let local = socket.local_addr()?;
        Ok(Box::new(UdpSocket { socket, local, send_errors: Cell::new(0) }))
    }

    fn listen(&self, address: SocketAddr) -> io::Result<Listener> {
        let listener = at_once(shim::TcpListener::bind(address))?;
        let local = listener.local_addr()?;
        Ok(Listener::Simulated(Box::new(TcpListener(listener)), local))
    }

    /// A refusal carries the system's error number, which a log line shows.
    fn connect(&self, peer: SocketAddr) -> Waiting<'_, Wire> {
        Box::pin(async move {
            let stream = shim::TcpStream::connect(peer).await.map_err(|error| match error.kind() {
                io::ErrorKind::ConnectionRefused => io::Error::from_raw_os_error(libc::ECONNREFUSED),
                _ => error,
            })?;
            Ok(TcpStream::wire(stream, peer))
        })
    }
}

#[derive(Debug)]
struct UdpSocket {
    socket: shim::UdpSocket,
    local: SocketAddr,
    send_errors: Cell<u64>,
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

#[derive(Debug)]
struct TcpStream {
    stream: RefCell<shim::TcpStream>,
    reset_on_close: Cell<bool>,
}

impl TcpStream {
    fn wire(stream: shim::TcpStream, peer: SocketAddr) -> Wire {
        let _ = stream.set_nodelay(true);
        let stream = Self { stream: RefCell::new(stream), reset_on_close: Cell::new(true) };
        Wire::Simulated(Box::new(stream), peer)
    }

    fn poll_peek(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.stream.borrow().poll_peek(cx, &mut ReadBuf::new(&mut [0; 1]))
    }

    fn is_broken(&self) -> bool {
        matches!(self.poll_peek(&mut Context::from_waker(Waker::noop())), Poll::Ready(Err(_)))
    }
}

impl Stream for TcpStream {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.borrow().try_read(buffer)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.borrow().try_write(bytes)
    }

    /// Never fails: reading and writing report the error.
    fn ready(&self, interest: Interest) -> Waiting<'_, ()> {
        Box::pin(async move {
            if interest.is_readable() {
                let _ = poll_fn(|cx| self.poll_peek(cx)).await;
            } else if interest.is_writable() {
                // A write of no bytes waits for room, too.
                let _ = poll_fn(|cx| Pin::new(&mut *self.stream.borrow_mut()).poll_write(cx, &[])).await;
            } else {
                while !self.is_broken() {
                    tokio::time::sleep(RESET_POLL).await;
                }
            }
            Ok(())
        })
    }

    fn shutdown_write(&self) {
        let mut stream = self.stream.borrow_mut();
        let _ = Pin::new(&mut *stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        self.reset_on_close.set(false);
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

#[derive(Debug)]
struct TcpListener(shim::TcpListener);

impl Accept for TcpListener {
    fn accept(&self) -> Waiting<'_, Wire> {
        Box::pin(async move { self.0.accept().await.map(|(stream, peer)| TcpStream::wire(stream, peer)) })
    }
}

/// The result of a future of the shim that is immediately ready.
fn at_once<T>(future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
