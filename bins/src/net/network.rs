//! The source of a program's sockets: the system, or a simulated network in tests.

use super::address;
use super::dns::Resolvers;
use super::wire::{Listener, Wire};
use crate::datagrams::{Datagrams, SocketOptions};
use crate::log::log_line;
use crate::platform::{UdpSocket, fast_open, forged, host};
use engine::Entropy;
use engine::forged::Variant;
use socket2::{Domain, Protocol, Socket, Type};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};

const BACKLOG: i32 = 4096;

/// A socket of forged TCP, or why there is none.
pub type Forged = io::Result<Box<dyn Datagrams>>;

/// The result of an operation that waits.
pub type Waiting<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + 'a>>;

/// Opens UDP sockets and TCP connections. Unix sockets are always the system's.
pub trait Network: fmt::Debug {
    /// Binds a UDP socket to `address`.
    ///
    /// # Errors
    /// The address cannot be bound.
    fn bind_udp(&self, address: SocketAddr, options: SocketOptions) -> io::Result<Box<dyn Datagrams>>;

    /// Opens a flow of forged TCP to `server`.
    ///
    /// # Errors
    /// No route, no privilege, or no such network.
    fn forge(
        &self,
        server: SocketAddr,
        variant: Variant,
        settings: &forged::Settings,
        entropy: Entropy,
    ) -> Forged {
        let _ = (server, variant, settings, entropy);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Serves forged TCP on `address`; an IPv6 wildcard serves both families.
    ///
    /// # Errors
    /// The address cannot be bound, no privilege, or no such network.
    fn serve_forged(&self, address: SocketAddr, settings: &forged::Settings, entropy: Entropy) -> Forged {
        let _ = (address, settings, entropy);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Listens for TCP connections on `address`; an IPv6 wildcard takes both families.
    ///
    /// # Errors
    /// The address cannot be bound.
    fn listen(&self, address: SocketAddr) -> io::Result<Listener>;

    /// Connects to a TCP port. The future fails when the connection is refused or `peer` cannot be reached.
    fn connect(&self, peer: SocketAddr) -> Waiting<'_, Wire>;

    /// Whether connections may be opened with data (CLI-119).
    fn opens_fast(&self) -> bool {
        false
    }

    /// As [`connect`](Self::connect), with the first bytes of the connection in its first packet where that is possible; how
    /// many of them were sent.
    fn connect_with<'a>(&'a self, peer: SocketAddr, early: &'a [u8]) -> Waiting<'a, (Wire, usize)> {
        let _ = early;
        Box::pin(async move { Ok((self.connect(peer).await?, 0)) })
    }

    /// Looks a name up, as [`address::resolve`] does.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Waiting<'a, Vec<SocketAddr>> {
        Box::pin(address::resolve(host, port))
    }
}

/// A connection of a simulated network. Its methods do what those of [`Wire`] do.
pub trait Stream: fmt::Debug {
    /// See [`Wire::try_read`].
    ///
    /// # Errors
    /// As there.
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// See [`Wire::try_write`].
    ///
    /// # Errors
    /// As there.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Waits until the connection is readable, writable or reset, as `interest` says.
    fn ready(&self, interest: Interest) -> Waiting<'_, ()>;

    /// See [`Wire::shutdown_write`].
    fn shutdown_write(&self);
}

/// Accepts the connections of a simulated network.
pub trait Accept: fmt::Debug {
    /// Waits for the next connection.
    fn accept(&self) -> Waiting<'_, Wire>;
}

/// The operating system's network.
#[derive(Clone, Debug, Default)]
pub struct System {
    /// TCP fast open, of connections in and out.
    pub fast_open: bool,
    /// Resolvers besides that of the system.
    pub resolvers: Resolvers,
}

impl Network for System {
    fn bind_udp(&self, address: SocketAddr, options: SocketOptions) -> io::Result<Box<dyn Datagrams>> {
        let socket = UdpSocket::bind(address, options)?;
        // As in kcptun, a system that refuses is no reason not to start.
        if options.dscp != 0
            && let Err(error) = socket.set_dscp(options.dscp)
        {
            log_line!("SetDSCP: {error}");
        }
        Ok(Box::new(socket))
    }

    fn forge(
        &self,
        server: SocketAddr,
        variant: Variant,
        settings: &forged::Settings,
        entropy: Entropy,
    ) -> Forged {
        let client = forged::Client::connect(server, variant, settings, entropy);
        Ok(Box::new(client.map_err(forged::without_privilege)?))
    }

    fn serve_forged(&self, address: SocketAddr, settings: &forged::Settings, entropy: Entropy) -> Forged {
        let server = forged::Server::bind(address, settings, entropy);
        Ok(Box::new(server.map_err(forged::without_privilege)?))
    }

    fn listen(&self, address: SocketAddr) -> io::Result<Listener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        host::share_port(&socket)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        if self.fast_open {
            fast_open::listen(&socket, BACKLOG);
        }
        TcpListener::from_std(socket.into()).map(Listener::Tcp)
    }

    fn connect(&self, peer: SocketAddr) -> Waiting<'_, Wire> {
        Box::pin(async move { Ok(Wire::of_tcp(TcpStream::connect(peer).await?, peer)) })
    }

    fn opens_fast(&self) -> bool {
        self.fast_open
    }

    fn connect_with<'a>(&'a self, peer: SocketAddr, early: &'a [u8]) -> Waiting<'a, (Wire, usize)> {
        Box::pin(async move {
            if !self.fast_open || early.is_empty() {
                return Ok((self.connect(peer).await?, 0));
            }
            let (stream, sent) = fast_open::connect(peer, early).await?;
            Ok((Wire::of_tcp(stream, peer), sent))
        })
    }

    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Waiting<'a, Vec<SocketAddr>> {
        Box::pin(self.resolvers.resolve(host, port))
    }
}
