//! Local connections: TCP or unix sockets behind one type.

use super::address::{Address, bind_candidates};
use super::network::{Accept, Network, Stream};
use crate::platform::sockets::{self, UnixListener, UnixStream};
use crate::platform::text::path_of;
use crate::platform::{errors, tcp};
use socket2::SockRef;
use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

/// Interval at which a connection is checked for bytes without acknowledgement.
const ACKNOWLEDGED_STEP: Duration = Duration::from_millis(5);

/// Interval at which a connection is checked for its end.
const LEFT_STEP: Duration = Duration::from_millis(100);

/// A byte stream to a local application or to a target.
#[derive(Debug)]
pub enum Wire {
    /// Over TCP, with the peer's address.
    Tcp(TcpStream, SocketAddr),
    /// Over a unix socket, with its path.
    Unix(UnixStream, String),
    /// Over TCP in a simulated network, with the peer's address.
    Simulated(Box<dyn Stream>, SocketAddr),
}

impl Wire {
    /// Connects to `address` of `network` within `limit`. The addresses of a name are tried in turn, each with its share of the time
    /// left (CLI-53; Go net.Dialer).
    ///
    /// # Errors
    /// The lookup or the connection failed, or took too long; of several addresses that of the first.
    pub async fn connect(network: &dyn Network, address: &Address, limit: Duration) -> io::Result<Self> {
        Self::connect_with(network, address, limit, &[]).await.map(|(wire, _)| wire)
    }

    /// As [`connect`](Self::connect), with the first bytes of the connection; how many of them were sent (CLI-119).
    ///
    /// # Errors
    /// As there.
    pub async fn connect_with(
        network: &dyn Network,
        address: &Address,
        limit: Duration,
        early: &[u8],
    ) -> io::Result<(Self, usize)> {
        let until = Instant::now() + limit;
        let (host, port) = match address {
            Address::Tcp(host, port) => (host, *port),
            Address::Unix(path) => {
                return Ok((Self::Unix(within(until, sockets::connect(path)).await?, path.clone()), 0));
            }
        };
        let peers = within(until, network.resolve(host, port)).await?;
        let mut first_error = None;
        for (index, peer) in peers.iter().enumerate() {
            let now = Instant::now();
            let share = until.saturating_duration_since(now) / (peers.len() - index) as u32;
            match within(now + share, network.connect_with(*peer, early)).await {
                Ok(connected) => return Ok(connected),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
    }

    /// Closing the connection resets it until [`Self::shutdown_write`], also when the process is killed (CLI-57). The error
    /// of a connection that is gone is reported by the next read.
    pub(super) fn of_tcp(stream: TcpStream, peer: SocketAddr) -> Self {
        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        // Bytes were already held back as long as the tunnel wants to.
        let _ = stream.set_nodelay(true);
        Self::Tcp(stream, SocketAddr::new(peer.ip().to_canonical(), peer.port()))
    }

    /// Reads what is there; 0 at the end.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there; else the connection is broken.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream, _) => stream.try_read(buffer),
            Self::Unix(stream, _) => stream.try_read(buffer),
            Self::Simulated(stream, _) => stream.try_read(buffer),
        }
    }

    /// Writes what fits.
    ///
    /// # Errors
    /// `WouldBlock` when nothing fits; else the connection is broken.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream, _) => stream.try_write(bytes),
            Self::Unix(stream, _) => stream.try_write(bytes),
            Self::Simulated(stream, _) => stream.try_write(bytes),
        }
    }

    /// Waits until [`Wire::try_read`] is worth a try.
    ///
    /// # Errors
    /// The runtime is gone.
    pub async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await
    }

    /// Waits until [`Wire::try_write`] is worth a try.
    ///
    /// # Errors
    /// The runtime is gone.
    pub async fn writable(&self) -> io::Result<()> {
        self.ready(Interest::WRITABLE).await
    }

    /// Waits until the peer resets the connection.
    pub async fn broken(&self) {
        match tcp::RESET {
            Some(reset) => drop(self.ready(reset).await),
            None => self.ended(|ends| ends.both).await,
        }
    }

    /// Waits until the peer has left: it closed or reset the connection, or ended its direction `half_closed_max` ago. Bytes that
    /// wait to be read do not matter. Never returns in a simulated network.
    pub async fn left(&self, half_closed_max: Duration) {
        let mut ended_at = None;
        let has_left = |ends: tcp::Ends| {
            ends.both || ends.half && ended_at.get_or_insert_with(Instant::now).elapsed() >= half_closed_max
        };
        self.ended(has_left).await;
    }

    /// Waits for ends of the connection, without end in a simulated network.
    async fn ended(&self, mut suffice: impl FnMut(tcp::Ends) -> bool) {
        let socket = match self {
            Self::Tcp(stream, _) => SockRef::from(stream),
            Self::Unix(stream, _) => SockRef::from(stream),
            Self::Simulated(..) => return std::future::pending().await,
        };
        while !suffice(tcp::ends(&socket)) {
            sleep(LEFT_STEP).await;
        }
    }

    async fn ready(&self, interest: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream, _) => stream.ready(interest).await.map(|_| ()),
            Self::Unix(stream, _) => stream.ready(interest).await.map(|_| ()),
            Self::Simulated(stream, _) => stream.ready(interest).await,
        }
    }

    /// Address of the peer; `None` over a unix socket.
    pub const fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(_, peer) | Self::Simulated(_, peer) => Some(*peer),
            Self::Unix(..) => None,
        }
    }

    /// Ends the outgoing direction in order. Without this call, closing resets a TCP connection, so that its peer does not
    /// take a cut stream for a complete one. Unix sockets have no reset.
    pub fn shutdown_write(&self) {
        // Both fail only when the connection is gone, which the next read reports.
        match self {
            Self::Tcp(stream, _) => {
                let socket = SockRef::from(stream);
                let _ = socket.shutdown(Shutdown::Write).and_then(|()| socket.set_linger(None));
            }
            Self::Unix(stream, _) => drop(SockRef::from(stream).shutdown(Shutdown::Write)),
            Self::Simulated(stream, _) => stream.shutdown_write(),
        }
    }

    /// Waits until the peer's system has acknowledged everything written, which a reset would discard.
    pub async fn acknowledged(&self) {
        while let Self::Tcp(stream, _) = self {
            if tcp::unacknowledged_bytes(&SockRef::from(stream)) == 0 {
                return;
            }
            sleep(ACKNOWLEDGED_STEP).await;
        }
    }
}

impl fmt::Display for Wire {
    /// The peer's address or path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(_, peer) | Self::Simulated(_, peer) => write!(f, "{peer}"),
            Self::Unix(_, path) => f.write_str(path),
        }
    }
}

async fn within<T>(until: Instant, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "i/o timeout");
    tokio::time::timeout_at(until, work).await.map_err(late)?
}

/// A failed dial in Go's words, which scripts look for: `dial tcp 127.0.0.1:9: connect: connection refused` (CLI-18).
pub struct DialError<'a>(pub &'a Address, pub &'a io::Error);

impl fmt::Display for DialError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(address, error) = self;
        let network = match address {
            Address::Tcp(..) => "tcp",
            Address::Unix(_) => "unix",
        };
        match error.raw_os_error() {
            Some(_) => {
                let text = error.to_string();
                let text = text.split(" (os error").next().unwrap_or_default();
                write!(f, "dial {network} {address}: connect: {}", text.to_lowercase())
            }
            None => write!(f, "dial {network} {address}: {error}"),
        }
    }
}

/// Accepts local connections.
#[derive(Debug)]
pub enum Listener {
    /// On a TCP port.
    Tcp(TcpListener),
    /// On a unix socket, with its path, which is removed at the end.
    Unix(UnixListener, String),
    /// On a TCP port of a simulated network, with its address.
    Simulated(Box<dyn Accept>, SocketAddr),
}

impl Listener {
    /// Listens on `address` of `network`.
    ///
    /// # Errors
    /// The address cannot be looked up or bound.
    pub async fn bind(network: &dyn Network, address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(host, port) => {
                let candidates = bind_candidates(host, *port).await?;
                first_working(&candidates, |address| network.listen(address))
            }
            Address::Unix(path) => Ok(Self::Unix(sockets::listen(path)?, path.clone())),
        }
    }

    /// The next connection.
    ///
    /// # Errors
    /// The system has no room for one now.
    pub async fn accept(&self) -> io::Result<Wire> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, peer)| Wire::of_tcp(stream, peer)),
            Self::Unix(listener, path) => {
                listener.accept().await.map(|(stream, _)| Wire::Unix(stream, path.clone()))
            }
            Self::Simulated(listener, _) => listener.accept().await,
        }
    }
}

impl fmt::Display for Listener {
    /// The actual address or the path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => write!(f, "{address}"),
                Err(error) => write!(f, "{error}"),
            },
            Self::Unix(_, path) => write!(f, "unix:{path}"),
            Self::Simulated(_, address) => write!(f, "{address}"),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            let _ = std::fs::remove_file(path_of(path));
        }
    }
}

/// Tries `open` with each address, going on only when a family is not there at all.
///
/// # Errors
/// That of the last address tried.
pub fn first_working<T>(
    candidates: &[SocketAddr],
    open: impl Fn(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut result = Err(io::Error::new(io::ErrorKind::NotFound, "no address"));
    for address in candidates {
        result = open(*address);
        if !result.as_ref().err().is_some_and(errors::lacks_family) {
            break;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    // CLI-18
    #[test]
    fn failed_dials_read_as_gos() {
        let address = Address::Tcp("127.0.0.1".into(), 9);
        // Linux' number.
        let refused = io::Error::from_raw_os_error(111);
        let text = DialError(&address, &refused).to_string();
        assert_eq!(text, "dial tcp 127.0.0.1:9: connect: connection refused");
        let late = io::Error::new(io::ErrorKind::TimedOut, "i/o timeout");
        let text = DialError(&Address::Unix("/x".into()), &late).to_string();
        assert_eq!(text, "dial unix /x: i/o timeout");
    }
}
