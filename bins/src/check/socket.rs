//! A socket for one peer that a thread reads and writes without a driver: UDP, or forged TCP as the options have it.

use crate::datagrams::{Datagrams, RecvBatch};
use crate::platform::forbid_fragments;
use crate::platform::forged;
use engine::Entropy;
use engine::forged::Variant;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// How datagrams reach the server.
#[derive(Clone, Debug)]
pub(super) enum Via {
    /// As UDP.
    Udp,
    /// As forged TCP.
    Forged(Variant, forged::Settings),
}

impl Via {
    pub(super) const fn forged((variant, settings): (Variant, forged::Settings)) -> Self {
        Self::Forged(variant, settings)
    }

    /// Name of the protocol on the wire.
    pub(super) const fn protocol(&self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Forged(..) => "TCP",
        }
    }

    /// Opens a socket for one peer. A closed port is reported to it only.
    ///
    /// # Errors
    /// There is no route to the peer, no descriptor left, or no privilege.
    pub(super) fn connect(&self, to: SocketAddr, entropy: &mut Entropy) -> io::Result<Socket> {
        let Self::Forged(variant, settings) = self else {
            let any: SocketAddr = match to {
                SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            let socket = UdpSocket::bind(any)?;
            socket.connect(to)?;
            return Ok(Socket(Inner::Udp(socket)));
        };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let client = {
            let _inside = runtime.enter();
            forged::Client::connect(to, *variant, settings, entropy.fork())?
        };
        let (batch, waiting) = (RecvBatch::default(), VecDeque::new());
        Ok(Socket(Inner::Forged(Box::new(Flow { client, runtime, to, batch, waiting, last: 0 }))))
    }
}

/// See [`Via::connect`].
pub(super) struct Socket(Inner);

enum Inner {
    Udp(UdpSocket),
    Forged(Box<Flow>),
}

struct Flow {
    // Dropped before its runtime.
    client: forged::Client,
    runtime: Runtime,
    to: SocketAddr,
    batch: RecvBatch,
    /// Of the last batch, with their numbers in it.
    waiting: VecDeque<(usize, Vec<u8>)>,
    /// Number of the datagram that was returned last.
    last: usize,
}

impl Socket {
    /// Sends a datagram.
    ///
    /// # Errors
    /// The system did not take it, or reports a closed port.
    pub(super) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        match &self.0 {
            Inner::Udp(socket) => socket.send(datagram).map(|_| ()),
            Inner::Forged(flow) => flow.client.try_send(flow.to, datagram, None).map(|_| ()),
        }
    }

    /// Waits up to `limit`, which is at least a millisecond, for a datagram.
    ///
    /// # Errors
    /// A report about the port or the path.
    pub(super) fn receive<'b>(
        &mut self,
        limit: Duration,
        buffer: &'b mut [u8],
    ) -> io::Result<Option<&'b mut [u8]>> {
        let limit = limit.max(Duration::from_millis(1));
        let received = match &mut self.0 {
            Inner::Udp(socket) => socket.set_read_timeout(Some(limit)).and_then(|()| socket.recv(buffer)),
            Inner::Forged(flow) => flow.receive(limit, buffer),
        };
        match received {
            Ok(len) => Ok(Some(&mut buffer[..len])),
            Err(error) if is_no_news(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The datagram that was received last could be opened. A check goes on, replays or not.
    pub(super) fn opened(&self) {
        if let Inner::Forged(flow) = &self.0 {
            flow.client.opened(flow.last, true);
        }
    }

    /// As [`forbid_fragments`]; forged segments are never split.
    ///
    /// # Errors
    /// The system does not know the option.
    pub(super) fn forbid_fragments(&self, forbid: bool) -> io::Result<()> {
        match &self.0 {
            Inner::Udp(socket) => forbid_fragments(socket, forbid),
            Inner::Forged(_) if forbid => Ok(()),
            Inner::Forged(_) => Err(ErrorKind::Unsupported.into()),
        }
    }
}

impl Flow {
    fn receive(&mut self, limit: Duration, buffer: &mut [u8]) -> io::Result<usize> {
        let until = Instant::now() + limit;
        loop {
            if let Some((number, datagram)) = self.waiting.pop_front() {
                self.last = number;
                let len = datagram.len().min(buffer.len());
                buffer[..len].copy_from_slice(&datagram[..len]);
                return Ok(len);
            }
            let left = until.saturating_duration_since(Instant::now());
            let ready = poll_fn(|cx| self.client.poll_recv_ready(cx));
            // The handshake is driven while this waits.
            let ready = self.runtime.block_on(async { timeout(left, ready).await });
            ready.map_err(|_| ErrorKind::TimedOut)??;
            let received = self.client.try_recv(&mut self.batch);
            if self.client.take_refused() {
                return Err(ErrorKind::ConnectionRefused.into());
            }
            match received {
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                received => received?,
            }
            let (waiting, mut number) = (&mut self.waiting, 0);
            self.batch.for_each(|_, datagram| {
                waiting.push_back((number, datagram.to_vec()));
                number += 1;
            });
        }
    }
}

/// The call was interrupted, or there is nothing.
pub(super) fn is_no_news(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
